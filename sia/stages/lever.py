"""Which lever an author pulled, and what its training plan brings along; checked before anything is trained."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sia.author import brief as contract
from sia.author.decision import parse_decision
from sia.plainfile import read_text
from sia.score.model import Lever
from sia.stages.session import Session
from sia.stages.workspace import parent_of_next
from sia.weights.plan import EXAMPLES_FILE, REWARD_FILE, TrainingPlan

MAX_EXAMPLES_BYTES = 32 << 20


@dataclass(frozen=True)
class Pulled:
    """What `decision.json` says, and what is wrong with it or with the files that its plan names."""

    lever: Lever = "harness"
    files: tuple[Path, ...] = ()
    """In the staging folder, beside those that every author may leave."""
    problem: str | None = None


def pulled_lever(session: Session, workspace: Path, staging: Path) -> Pulled:
    """The lever of the open generation. Without `--focus weights` or `auto` it is always the harness."""
    focus = session.settings.focus
    if focus == "harness":
        return Pulled()
    try:
        decision = parse_decision(read_text(workspace / contract.DECISION_FILE))
    except ValueError as error:
        if str(error) != "is missing":
            return Pulled(problem=f"{contract.DECISION_FILE}: {error}")
        decision = None
    first = session.progress.best is None
    if focus == "weights" and not first and (decision is None or decision.lever == "harness"):
        return Pulled(problem=f"{contract.DECISION_FILE}: this run is to change the weights; leave a training plan")
    if decision is None or decision.training is None:
        return Pulled()
    lever = _measured_lever(session, workspace)
    if focus == "weights" and not first and lever == "both":
        told = f"this run is to change the weights alone; leave {contract.AGENT_FILE} as it was"
        return Pulled("both", problem=told)
    return _with_files(session, lever, decision.training, workspace, staging)


def _measured_lever(session: Session, workspace: Path) -> Lever:
    """What was pulled, whatever the author calls it: weights alone where the agent is its parent's, byte by byte.

    An author that changes the weights alone need not copy the agent.
    """
    number = parent_of_next(session)
    if number is None:
        return "both"
    agent, parents = workspace / contract.AGENT_FILE, session.run.generation_dir(number) / contract.AGENT_FILE
    if not agent.exists():
        shutil.copyfile(parents, agent)
    try:
        return "weights" if read_text(agent) == read_text(parents) else "both"
    except ValueError:
        # What is wrong with the agent is told where it is taken.
        return "both"


def _with_files(session: Session, lever: Lever, plan: TrainingPlan, workspace: Path, staging: Path) -> Pulled:
    reward = plan.reward.function or ""
    if reward.startswith(f"{REWARD_FILE}:") and not (workspace / REWARD_FILE).is_file():
        return Pulled(lever, problem=f"the training plan names {REWARD_FILE}, which is not there")
    if plan.data.origin != "author":
        return Pulled(lever)
    try:
        text = read_text(workspace / EXAMPLES_FILE, MAX_EXAMPLES_BYTES)
    except ValueError as error:
        return Pulled(lever, problem=f"{EXAMPLES_FILE} {error}")
    leaks = session.guard.leaks(text)
    if leaks:
        return Pulled(lever, problem=f"{EXAMPLES_FILE} holds private values, first in {leaks[0]}")
    file = staging / EXAMPLES_FILE
    file.write_text(text, encoding="utf-8")
    return Pulled(lever, (file,))
