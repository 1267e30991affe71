"""A training at Tinker, as the train stage starts it: outside the jail, because it holds the key of the service.

Nothing that an author wrote runs out here. Rows are read as data, the plan is a bounded model, and rewards come from a
program in the jail that is started for each batch of answers.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sia.author.program import BOOT
from sia.gateway.keys import demand_key, key_of, known_variables
from sia.gateway.providers import TINKER_PATH
from sia.jail.program import program_environment
from sia.jail.protocol import Command, Limits, Mount, OnLine
from sia.plainfile import on_one_line, read_plain, without_escapes
from sia.stages.session import Session, own_mounts, raise_if_disk_full
from sia.weights.examples import Example
from sia.weights.grader import BATCH, REWARDS, Answered
from sia.weights.outcome import TrainingOutcome
from sia.weights.plan import PLAN_FILE, PlanError, TrainingPlan
from sia.weights.tinker.reference import TinkerAdapter, read_reference
from sia.weights.traces import Grade

GRADER = "sia.weights.grader"
GRADING_SECONDS = 120.0
GRADING_BYTES = 4 << 30
GRADING_PROCESSES = 64
MAX_REWARDS_BYTES = 16 << 20


@dataclass(frozen=True)
class RemotePlace:
    """The folders of one training at Tinker."""

    author: Path
    """Plan, and the author's rows and reward."""
    out: Path
    work: Path
    """Outlives a kill."""
    grading: Path
    log: Path
    parent: Path | None
    """Folder of the adapter to go on from."""


def train_at_tinker(session: Session, plan: TrainingPlan, place: RemotePlace, on_line: OnLine) -> TrainingOutcome:
    """Trains, and writes the lines that a jailed trainer would have said. Raises PlanError: the run lacks something."""
    from sia.weights.tinker.engine import RemoteJob
    from sia.weights.tinker.training import train_remotely

    assert session.gateway is not None
    model = session.gateway.models["target"]
    if plan.base_model not in ("", session.settings.task_model):
        raise PlanError(f"base_model is {plan.base_model!r}, the run's model is {session.settings.task_model!r}")
    variables = known_variables()
    demand_key(model.provider, variables, "--trainer tinker")
    place.grading.mkdir(parents=True, exist_ok=True)
    number = session.progress.open.number
    limits = [cost for cost in (plan.limits.cost, session.gateway.left(number)) if cost is not None]
    with place.log.open("a", encoding="utf-8") as log:

        def say(line: str) -> None:
            # The service's own words are among them.
            shown = on_one_line(without_escapes(line))
            log.write(f"{shown}\n")
            log.flush()
            on_line(shown)

        job = RemoteJob(
            plan=plan,
            base_model=model.name,
            public=session.task.public_dir,
            author=place.author,
            parent=_parent(place.parent),
            out=place.out,
            work=place.work,
            grade=_grade(session, place),
            key=key_of(model.provider, variables) or "",
            url=model.provider.base_url.removesuffix(TINKER_PATH),
            prices=model.provider.prices.get(model.name),
            most_cost=min(limits, default=None),
        )
        outcome = train_remotely(job, say)
        say(f"{outcome.ended}: {outcome.reason}" if outcome.reason else outcome.ended)
    return outcome


def _parent(folder: Path | None) -> TinkerAdapter | None:
    if folder is None:
        return None
    try:
        return read_reference(folder)
    except ValueError:
        raise PlanError("the parent adapter does not lie at Tinker, or its reference is damaged") from None


def _grade(session: Session, place: RemotePlace) -> Grade:
    """Rewards by a program in the jail, one start for each batch."""
    python = Path(sys.executable)
    batch, out, log = (place.grading / name for name in ("batch.json", "rewards.json", "grading.log"))

    def grade(groups: Sequence[tuple[Sequence[str], Example]]) -> list[list[float]]:
        answered = [
            Answered(answers=list(answers), right=example.answer, row=dict(example.row)) for answers, example in groups
        ]
        batch.write_bytes(BATCH.dump_json(answered))
        out.unlink(missing_ok=True)
        told = {"plan": place.author / PLAN_FILE, "public": session.task.public_dir, "author": place.author}
        outcome = session.jail.run(
            Command(
                argv=(
                    str(python),
                    "-P",
                    str(BOOT),
                    GRADER,
                    *(f"--{name}={path}" for name, path in (told | {"batch": batch, "out": out}).items()),
                ),
                cwd=place.grading,
                log=log,
                limits=Limits(
                    seconds=GRADING_SECONDS,
                    memory_bytes=GRADING_BYTES,
                    processes=GRADING_PROCESSES,
                    disk_bytes=2 * MAX_REWARDS_BYTES,
                ),
                mounts=(
                    Mount(place.author),
                    Mount(session.task.public_dir),
                    Mount(place.grading, writable=True),
                    *own_mounts(python),
                ),
                protected=(session.task.private_dir,),
                environment=program_environment(place.grading, python),
            )
        )
        if not outcome.succeeded:
            raise_if_disk_full(session, outcome.last_line)
            raise PlanError(f"reward: stopped by its {outcome.stopped_by}" if outcome.stopped_by else outcome.last_line)
        return _rewards(out, [len(answers) for answers, _ in groups])

    return grade


def _rewards(file: Path, counts: Sequence[int]) -> list[list[float]]:
    """What the grader left; it ran what an author wrote."""
    try:
        rewards = REWARDS.validate_python(json.loads(read_plain(file, MAX_REWARDS_BYTES)), strict=False)
    except (ValueError, ValidationError, RecursionError):
        raise PlanError("reward: the function left no rewards") from None
    if [len(group) for group in rewards] != list(counts):
        raise PlanError("reward: the function left other rewards than were asked for")
    return rewards
