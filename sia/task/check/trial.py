"""Runs the evaluator on one submission, shut in as in a run and on the same kind of clean copy."""

import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sia.jail.lend import inner_jail, inner_mounts
from sia.jail.program import program_environment, python_mounts
from sia.jail.protocol import Command, Jail, Limits, Mount, Outcome
from sia.plainfile import open_plain
from sia.score.measure import measure
from sia.score.model import Item, Score, ScoreFailure
from sia.score.results import MAX_BYTES, parse_results
from sia.score.split import SplitRule
from sia.store.outputs import collect_outputs
from sia.store.run_directory import EVALUATION_LOG, RESULTS_FILE
from sia.task.check.attacks import REACHED, SHADOW_MARK, Attack
from sia.task.package import TaskPackage

SECONDS = 60.0
MEMORY_BYTES = 4 << 30
LEFT_OUT = frozenset({RESULTS_FILE, EVALUATION_LOG})
"""As in a run, where no output of an agent can take these names."""


@dataclass(frozen=True)
class Trial:
    """What the evaluator made of one submission."""

    attack: Attack
    score: Score | None
    failure: str | None
    """Why there is no score."""
    items: tuple[Item, ...]
    results: bytes
    """What results.json holds."""
    seconds: float
    stopped_by: str | None
    traceback: bool
    """It crashed, where it should have said what is wrong."""
    shadowed: bool
    """It ran code of the submission."""
    reached: str
    """What a program of the submission got to and must not; empty when it got nowhere."""


def try_alone(task: TaskPackage, python: Path, jail: Jail, attack: Attack) -> Trial:
    """One submission in, one trial out; what goes wrong in the evaluator is data."""
    with tempfile.TemporaryDirectory(prefix="sia-check-") as place:
        copy, log = Path(place) / "gen_1", Path(place) / EVALUATION_LOG
        fill(attack, copy)
        program = (str(task.evaluator), "--gen-dir", str(copy))
        outcome = jail.run(evaluation(task, python, program, copy, log))
        return trial_of(task, attack, copy, log, outcome)


def fill(attack: Attack, copy: Path) -> None:
    """Makes the folder `copy` of what the attack leaves, as a run copies what an agent leaves."""
    with tempfile.TemporaryDirectory(prefix="sia-left-", dir=copy.parent) as left:
        copy.mkdir()
        attack.fill(Path(left))
        collect_outputs(Path(left), copy, LEFT_OUT)


def trial_of(task: TaskPackage, attack: Attack, copy: Path, log: Path, outcome: Outcome) -> Trial:
    """What an evaluator that has ended left behind."""
    data = b""
    if outcome.succeeded:
        with suppress(OSError), open_plain(copy / RESULTS_FILE) as file:
            data = file.read(MAX_BYTES + 1)
    text = log.read_bytes()
    measured, items = _score(task, outcome, data)
    return Trial(
        attack=attack,
        score=measured if isinstance(measured, Score) else None,
        failure=measured if isinstance(measured, str) else None,
        items=items,
        results=data,
        seconds=outcome.seconds,
        stopped_by=outcome.stopped_by,
        traceback=not outcome.succeeded and b"Traceback (most recent call last)" in text,
        shadowed=SHADOW_MARK.encode() in text,
        reached=_reached(copy),
    )


def _reached(copy: Path) -> str:
    """What the sign says that a program of the submission left wherever it could."""
    for sign in copy.rglob(REACHED):
        with suppress(OSError), open_plain(sign) as file:
            return file.read(1000).decode(errors="replace")
    return ""


def trial_limits(task: TaskPackage) -> Limits:
    """What the evaluator may use for one submission."""
    table = task.manifest.limits
    return Limits(
        seconds=min(SECONDS, table.evaluation_seconds),
        output_bytes=table.output,
        memory_bytes=table.memory or MEMORY_BYTES,
        processes=table.processes,
        file_bytes=table.file,
        disk_bytes=table.disk,
    )


def evaluation(task: TaskPackage, python: Path, program: tuple[str, ...], place: Path, log: Path) -> Command:
    """`program`, started by `python` as a run starts the evaluator, with `place` to write in."""
    lends = task.manifest.agent.program is not None
    return Command(
        argv=(str(python), *program),
        cwd=place,
        log=log,
        limits=trial_limits(task),
        mounts=(
            Mount(task.root),
            Mount(place, writable=True),
            *python_mounts(python),
            *(inner_mounts() if lends else ()),
        ),
        environment=program_environment(place, python) | (inner_jail(python) if lends else {}),
    )


def _score(task: TaskPackage, outcome: Outcome, data: bytes) -> tuple[Score | str, tuple[Item, ...]]:
    """The score, or in words why there is none; and the items behind it."""
    if outcome.stopped_by:
        return f"stopped by its {outcome.stopped_by}", ()
    if outcome.exit_status != 0:
        return f"exit status {outcome.exit_status}: {outcome.last_line}", ()
    if not data:
        return "it wrote no results.json", ()
    results = parse_results(data)
    if isinstance(results, ScoreFailure):
        return results.reason, ()
    metric = task.manifest.metric
    measured = measure(results, metric.name, metric.direction, SplitRule(0, 0.0))
    return (measured.reason, ()) if isinstance(measured, ScoreFailure) else (measured.all, results.items)
