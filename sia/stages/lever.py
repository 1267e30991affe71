"""Which lever an author pulled, and what its training plan brings along; checked before anything is trained."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from sia.author import brief as contract
from sia.author.decision import Decision, parse_decision
from sia.plainfile import read_text
from sia.score.model import Lever
from sia.stages.session import Session
from sia.weights.plan import EXAMPLES_FILE, REWARD_FILE

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
    if decision.lever == "weights":
        _keep_agent(workspace)
    return _with_files(session, decision, workspace, staging)


def _keep_agent(workspace: Path) -> None:
    """An author that changes the weights alone need not copy the agent."""
    agent, parents = workspace / contract.AGENT_FILE, workspace / contract.PARENT_DIR / contract.AGENT_FILE
    if not agent.exists() and parents.is_file():
        shutil.copyfile(parents, agent)


def _with_files(session: Session, decision: Decision, workspace: Path, staging: Path) -> Pulled:
    plan = decision.training
    assert plan is not None
    reward = plan.reward.function or ""
    if reward.startswith(f"{REWARD_FILE}:") and not (workspace / REWARD_FILE).is_file():
        return Pulled(decision.lever, problem=f"the training plan names {REWARD_FILE}, which is not there")
    if plan.data.origin != "author":
        return Pulled(decision.lever)
    try:
        text = read_text(workspace / EXAMPLES_FILE, MAX_EXAMPLES_BYTES)
    except ValueError as error:
        return Pulled(decision.lever, problem=f"{EXAMPLES_FILE} {error}")
    leaks = session.guard.leaks(text)
    if leaks:
        return Pulled(decision.lever, problem=f"{EXAMPLES_FILE} holds private values, first in {leaks[0]}")
    file = staging / EXAMPLES_FILE
    file.write_text(text, encoding="utf-8")
    return Pulled(decision.lever, (file,))
