"""The score stage: the evaluator measures a clean copy of the outputs against the private data."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sia.jail.devices import gpu_mounts
from sia.jail.lend import inner_jail, inner_mounts
from sia.jail.program import program_environment, python_mounts
from sia.jail.protocol import Command, Mount, OnLine, Outcome
from sia.plainfile import read_plain
from sia.score.measure import Measurement
from sia.score.model import ScoreFailure
from sia.score.results import MAX_BYTES
from sia.stages.limits import limits_of
from sia.stages.measured import measure_results
from sia.stages.session import Session, raise_if_disk_full
from sia.stages.target import RESERVED
from sia.store.durable import files_under
from sia.store.outputs import copy_outputs
from sia.store.records import Scored
from sia.store.run_directory import EVALUATION_LOG, RESULTS_FILE
from sia.task.package import TaskPackage


@dataclass(frozen=True)
class Evaluation:
    """What the evaluator made of some outputs."""

    measured: Measurement | ScoreFailure
    outcome: Outcome
    files: list[Path]
    """Log, and `results.json` where there is one, in the staging folder."""


def score_stage(session: Session, on_line: OnLine) -> None:
    """Runs the evaluator and records the scores, or why there are none."""
    number = session.progress.open.number
    with session.run.staging(number, "score") as staging:
        folder = session.run.generation_dir(number)
        read = [file for file in files_under(folder) if file.relative_to(folder).parts[0] not in RESERVED]
        done = evaluate(session, folder, staging, on_line)
        if isinstance(done.measured, ScoreFailure):
            raise_if_disk_full(session, done.measured.reason)
        record = _record(done.measured, done.outcome)
        session.progress.add(session.run.commit(number, record, done.files, [session.task.evaluator, *read]))


def evaluate(session: Session, folder: Path, staging: Path, on_line: OnLine) -> Evaluation:
    """Runs the evaluator on a clean copy of the outputs in `folder`; log and results are left in `staging`."""
    # Same name as the outputs' folder: evaluators may print it.
    copy, log = staging / "evaluation" / folder.name, staging / EVALUATION_LOG
    copy.mkdir(parents=True)
    limits = session.task.manifest.limits
    lends = session.task.manifest.agent.program is not None
    copy_outputs(folder, copy, RESERVED)
    outcome = session.jail.run(
        Command(
            argv=(str(session.python), str(session.task.evaluator), "--gen-dir", str(copy)),
            cwd=copy,
            log=log,
            limits=limits_of(session.settings, limits, limits.evaluation_seconds),
            mounts=(
                *(Mount(path) for path in _parts(session.task)),
                Mount(copy, writable=True),
                *python_mounts(session.python),
                *(inner_mounts() if lends else ()),
                *(gpu_mounts() if session.settings.gpu else ()),
            ),
            environment=program_environment(copy, session.python) | (inner_jail(session.python) if lends else {}),
        ),
        on_line,
    )
    measured: Measurement | ScoreFailure
    if outcome.stopped_by:
        measured = ScoreFailure(reason=f"the evaluator was stopped by its {outcome.stopped_by}")
    elif outcome.exit_status != 0:
        measured = ScoreFailure(
            reason=f"the evaluator ended with exit status {outcome.exit_status}: {outcome.last_line}"
        )
    else:
        measured = measure_results(session, copy / RESULTS_FILE)
    files = [log]
    with suppress(ValueError):
        results = staging / RESULTS_FILE
        results.write_bytes(read_plain(copy / RESULTS_FILE, MAX_BYTES))
        files.append(results)
    return Evaluation(measured, outcome, files)


def _parts(task: TaskPackage) -> set[Path]:
    """Where the task lies, wherever its links lead."""
    return {task.root, *(path.resolve() for path in (task.public_dir, task.private_dir))}


def _record(measured: Measurement | ScoreFailure, outcome: Outcome) -> Scored:
    seconds, events = outcome.seconds, outcome.events
    if isinstance(measured, ScoreFailure):
        return Scored(seconds=seconds, events=events, failure=measured.reason)
    return Scored(seconds=seconds, events=events, all=measured.all, dev=measured.dev, sealed=measured.sealed)
