"""The train stage: the author's plan becomes an adapter for the target model. It takes place in the jail.

The trainer sees the public data, what the author left beside its plan, the base model and the parent adapter; nothing
private, and no network. Its checkpoints outlive a kill of the whole run in `.training/`, so that a resumed run goes on
with the training where it stood.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from sia.author.brief import DECISION_FILE, HANDED_ON
from sia.author.decision import parse_decision
from sia.author.program import BOOT
from sia.jail.devices import gpu_mounts
from sia.jail.program import program_environment
from sia.jail.protocol import Command, Limits, Mount, OnLine, Outcome
from sia.plainfile import read_plain
from sia.stages.remote_training import RemotePlace, train_at_tinker
from sia.stages.session import Session, own_mounts, raise_if_disk_full
from sia.stages.target import adapter_folder
from sia.stages.traces import write_traces
from sia.store.records import Spending, Trained
from sia.weights.adapter import ADAPTER_DIR, adapter_digest, adapter_files, publish_adapter
from sia.weights.outcome import BEST_DIR, METRICS_FILE, OUTCOME_FILE, Ending, TrainingOutcome
from sia.weights.plan import EXAMPLES_FILE, PLAN_FILE, REWARD_FILE, PlanError, TrainingPlan
from sia.weights.traces import TRACES_FILE

TRAINER = "sia.weights.trainer"
CHECKPOINTS_DIR = ".training"
TRAINING_LOG = "training.log"
START_SECONDS = 180.0
"""Beside the plan's own limit: for loading, a last validation and saving."""
MEMORY_SHARE = 1.25
"""The trainer ends by itself at the plan's limit; the jail only where that fails."""
MAX_DISK_BYTES = 8 << 30
MAX_PROCESSES = 512
MAX_ADAPTER_BYTES = 1 << 30
MAX_TEXT_BYTES = 64 << 20


@dataclass(frozen=True)
class _Place:
    """The folders of one training."""

    author: Path
    """Plan, and the author's rows and reward; read-only for the trainer."""
    out: Path
    work: Path
    log: Path


def _read(session: Session) -> list[Path]:
    """What the trainer was given of the run: the author's decision and rows."""
    folder = session.run.generation_dir(session.progress.open.number)
    return [folder / name for name in HANDED_ON]


def train_stage(session: Session, on_line: OnLine) -> None:
    """Trains by the plan in `decision.json` and records how that ended. A fault costs the generation, not the run."""
    number = session.progress.open.number
    checkpoints = session.run.path / CHECKPOINTS_DIR / f"gen_{number}"
    with session.run.staging(number, "train") as staging:
        place = _Place(staging / "author", staging / "out", checkpoints, staging / ADAPTER_DIR / TRAINING_LOG)
        for folder in (place.author, place.out, place.work, place.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        told: TrainingOutcome | None
        plan = _plan(session)
        (place.log.parent / PLAN_FILE).write_text(plan.model_dump_json(indent=2) + "\n", encoding="utf-8")
        outcome = None
        try:
            _hand_over(session, plan, place)
            if session.settings.trainer == "tinker":
                told = _train_at_tinker(session, plan, place, on_line)
            else:
                outcome = session.jail.run(_command(session, plan, place), on_line)
                told = _told(place.out)
                if not outcome.succeeded:
                    raise_if_disk_full(session, outcome.last_line)
        except PlanError as error:
            place.log.write_text(f"refused: {error}\n", encoding="utf-8")
            told = TrainingOutcome(ended="refused", reason=str(error), adapter=False)
        digest = _take(place, told)
        record = _record(session, plan, told, outcome, digest)
        if session.gateway is not None:
            session.gateway.charge(number, record.spending.cost)
        session.progress.add(session.run.commit(number, record, [staging / ADAPTER_DIR], _read(session)))
    shutil.rmtree(checkpoints.parent, ignore_errors=True)


def _plan(session: Session) -> TrainingPlan:
    """The author stage has checked that there is one."""
    text = (session.run.generation_dir(session.progress.open.number) / DECISION_FILE).read_bytes()
    plan = parse_decision(text).training
    assert plan is not None
    return plan


def _hand_over(session: Session, plan: TrainingPlan, place: _Place) -> None:
    """Puts plan, rows and reward where the trainer reads them."""
    folder = session.run.generation_dir(session.progress.open.number)
    for name in (EXAMPLES_FILE, REWARD_FILE):
        if (folder / name).is_file():
            shutil.copyfile(folder / name, place.author / name)
    if plan.data.traces is not None:
        write_traces(session, plan.data.traces, place.author / TRACES_FILE)
    (place.author / PLAN_FILE).write_text(plan.model_dump_json(), encoding="utf-8")


def _train_at_tinker(session: Session, plan: TrainingPlan, place: _Place, on_line: OnLine) -> TrainingOutcome:
    parent = _parent(session, plan)
    where = RemotePlace(place.author, place.out, place.work, place.out.with_name("grading"), place.log, parent)
    outcome = train_at_tinker(session, plan, where, on_line)
    (place.out / OUTCOME_FILE).write_text(outcome.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return outcome


def _command(session: Session, plan: TrainingPlan, place: _Place) -> Command:
    """The trainer's start. Raises PlanError for what the run does not have."""
    if session.base is None:
        raise PlanError("this run has no local model to train: start it with --task-model local/NAME")
    if plan.base_model not in ("", session.settings.task_model):
        raise PlanError(f"base_model is {plan.base_model!r}, the run's model is {session.settings.task_model!r}")
    parent = _parent(session, plan)
    told = {
        "plan": place.author / PLAN_FILE,
        "public": session.task.public_dir,
        "author": place.author,
        "base": session.base,
        "out": place.out,
        "work": place.work,
    }
    if parent:
        told["parent"] = parent
    bounds = {"hour-cost": session.settings.machine_cost or 0.0}
    if (most := _most_cost(session, plan)) is not None:
        bounds["most-cost"] = most
    python, given = Path(sys.executable), session.settings
    return Command(
        argv=(str(python), "-P", str(BOOT), TRAINER, *(f"--{name}={value}" for name, value in (told | bounds).items())),
        cwd=place.out,
        log=place.log,
        limits=Limits(
            seconds=plan.limits.seconds + START_SECONDS,
            memory_bytes=min(int(plan.limits.memory_bytes * MEMORY_SHARE), given.limit_memory or sys.maxsize),
            processes=given.limit_processes or MAX_PROCESSES,
            disk_bytes=given.limit_disk or MAX_DISK_BYTES,
        ),
        mounts=(
            Mount(place.author),
            Mount(session.task.public_dir),
            Mount(session.base),
            *((Mount(parent),) if parent else ()),
            Mount(place.out, writable=True),
            Mount(place.work, writable=True),
            *own_mounts(python),
            *(gpu_mounts() if given.gpu else ()),
        ),
        protected=(session.task.private_dir,),
        # All processors: nothing else of the run works meanwhile.
        environment=program_environment(place.out, python) | {"OMP_NUM_THREADS": str(os.cpu_count() or 1)},
    )


def _most_cost(session: Session, plan: TrainingPlan) -> float | None:
    """US dollars that the training may cost; an hour of this machine without a price costs nothing."""
    if session.settings.machine_cost is None:
        if plan.limits.cost is not None:
            raise PlanError("limits.cost: an hour of this machine has no price; the user can give --machine-cost")
        return None
    left = session.gateway.left(session.progress.open.number) if session.gateway else None
    return min((cost for cost in (plan.limits.cost, left) if cost is not None), default=None)


def _parent(session: Session, plan: TrainingPlan) -> Path | None:
    digest = plan.parent_adapter
    if digest is None:
        return None
    if digest not in session.progress.adapters:
        raise PlanError(f"parent_adapter: this run has no adapter {digest[:12]}")
    return publish_adapter(adapter_folder(session, digest), digest)


def _told(out: Path) -> TrainingOutcome | None:
    """What the trainer says; None when it did not come to its end."""
    try:
        return TrainingOutcome.model_validate_json(read_plain(out / OUTCOME_FILE, MAX_TEXT_BYTES))
    except (ValueError, ValidationError):
        return None


def _take(place: _Place, told: TrainingOutcome | None) -> str | None:
    """Copies adapter, outcome and metrics beside the plan; the adapter's digest, if there is one."""
    into = place.log.parent
    for name in (OUTCOME_FILE, METRICS_FILE):
        try:
            (into / name).write_bytes(read_plain(place.out / name, MAX_TEXT_BYTES))
        except ValueError:
            continue
    # A trainer that was stopped from outside has left its best adapter among the checkpoints.
    source = place.out if told is not None and told.adapter else place.work / BEST_DIR if told is None else None
    if source is None:
        return None
    try:
        for name in adapter_files(source):
            (into / name).write_bytes(read_plain(source / name, MAX_ADAPTER_BYTES))
    except ValueError:
        return None
    return adapter_digest(into)


def _record(
    session: Session, plan: TrainingPlan, told: TrainingOutcome | None, outcome: Outcome | None, digest: str | None
) -> Trained:
    ended: Ending | Literal["stopped"] = told.ended if told else "stopped"
    reason = told.reason if told else _why_stopped(outcome)
    return Trained(
        algorithm=plan.algorithm,
        parent_adapter=plan.parent_adapter,
        adapter=digest,
        ended=ended,
        reason=reason,
        steps=told.steps if told else 0,
        tokens=told.tokens if told else 0,
        before=told.before if told else None,
        after=told.after if told else None,
        seconds=outcome.seconds if outcome else told.seconds if told else 0.0,
        peak_memory_bytes=outcome.peak_memory_bytes if outcome else None,
        spending=_spending(session, told, outcome),
        failure=None if digest else f"{ended}: {reason}",
    )


def _spending(session: Session, told: TrainingOutcome | None, outcome: Outcome | None) -> Spending:
    """What the training cost: this machine's time at its price, or what Tinker's tokens cost where that is known."""
    if outcome is not None:
        price = (session.settings.machine_cost or 0.0) / 3600.0
        return Spending(cost=round(max(outcome.seconds * price, told.cost if told else 0.0), 9))
    if told is None or not told.tokens:
        return Spending()
    return Spending(cost=round(told.cost, 9), unpriced=0 if told.cost else 1)


def _why_stopped(outcome: Outcome | None) -> str:
    if outcome is None:
        return "it was not started"
    return outcome.stopped_by or f"exit status {outcome.exit_status}: {outcome.last_line}"
