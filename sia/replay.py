"""Runs a recorded run again, without any model, and compares all that it leaves with what the first time left.

Each stage works where it worked then, and gets the times that were measured then, so that prompts are the same to the
byte and the recording has every answer. What programs themselves say of times and of the run's folder is compared
without them.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sia.author.program import choose_author
from sia.environment import agent_environment
from sia.errors import StoreError
from sia.evidence.guard import LeakGuard
from sia.gateway.bodies import BODIES, Bodies
from sia.gateway.journal import CALLS_FILE, read_calls
from sia.gateway.providers import Model, load_providers, resolve_model
from sia.gateway.recording import Recording
from sia.gateway.trace import Role, TraceLine
from sia.jail.choose import choose_jail
from sia.launch import as_asked, check_unchanged, restored, task_folder
from sia.loop import STAGES
from sia.settings import RunSettings
from sia.stages.session import Session
from sia.store.ledger import Ledger, LedgerLine
from sia.store.progress import RunProgress
from sia.store.records import RunRecord, StageRecord, Trained
from sia.store.run_directory import LEDGER_FILE, STAGING, RunDirectory, own_run, read_run_record, run_path
from sia.task.fetch import prepare_task
from sia.weights.adapter import ADAPTER_DIR
from sia.weights.base import base_folder

TIMES = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
    rb"|\d+(?:\.\d+)?(?:e-?\d+)? ?(?:s|ms|us|seconds|milliseconds|minutes)\b"
    rb"|\d+(?:\.\d+)? tok/s|\d+:\d\d left"
    rb'|(?<="tokens_per_second":)\d[\d.e+-]*|(?<="cost":)\d[\d.e+-]*|(?<="cost": )\d[\d.e+-]*'
    rb'|(?<="seconds": )\d[\d.e-]*|(?<="seconds":)\d[\d.e-]*|(?<="elapsed": )\d[\d.e-]*|(?<="duration": )\d[\d.e-]*'
)
MEASURED = ("seconds", "peak_memory_bytes", "events")
"""Fields of a stage's record that are as the machine was: what the jail saw and how long it took."""


@dataclass(frozen=True)
class Replay:
    """How a replay went."""

    stages: int
    files: int
    """Compared by their digests."""
    calls: int
    """Answered from the recording."""
    timed: tuple[str, ...]
    """Files that are equal but for times that their program wrote into them, or for the run's folder."""
    strayed: tuple[str, ...]
    """Requests that were not the same as then, in words."""
    taken_over: tuple[str, ...]
    """Folders of adapters that were trained at Tinker, which no replay can do again without a key."""
    difference: str | None
    """The first difference, in words; None: equal."""


def open_replay(settings: RunSettings, run_id: str, on_progress: Callable[[str], None]) -> tuple[Session, RunRecord]:
    """A session as the run had it, which owns the run's directory. Needs no key. Raises SiaError with the remedy."""
    path = run_path(settings.runs_dir, run_id)
    record = read_run_record(path)
    settings = restored(settings, record)
    author = choose_author(settings.backend, on_progress)
    task = as_asked(prepare_task(task_folder(settings), on_progress), settings)
    check_unchanged(task, record)
    python = agent_environment(task.manifest.agent.packages, on_progress)
    jail = choose_jail(settings.sandbox)
    session = Session(
        task=task,
        run=own_run(path),
        settings=settings,
        author=author,
        jail=jail,
        guard=LeakGuard(task.private_dir, task.public_dir),
        python=python,
        progress=RunProgress(),
        base=base_folder(settings),
    )
    return session, record


def replay_run(session: Session, record: RunRecord, on_stage: Callable[[LedgerLine], None]) -> Replay:
    """Runs every recorded stage of the session's run again, until one differs. Raises StoreError: it cannot be done."""
    original = session.run
    calls = read_calls(original.path / CALLS_FILE)
    lines = original.ledger.lines
    if not lines:
        raise StoreError(f"{original.path} holds no finished stage", "let the run get on first")
    bodies = Bodies(original.path / BODIES)
    if any(call.answer and not bodies.path(call.answer).exists() for call in calls):
        raise StoreError(f"{original.path} does not hold what the models answered", "it ran with --no-bodies")
    with _beside(original, lines) as again:
        # Plans may learn from what models answered then.
        (again.path / BODIES).symlink_to(original.path / BODIES)
        models = _models(session, calls)
        gateway = None
        if models:
            from sia.gateway.gateway import Gateway

            gateway = Gateway(again.path, models, {}, replay=Recording(calls, bodies, last_only=True))
        second = replace(session, run=again, progress=RunProgress(), gateway=gateway)
        try:
            return _compared(second, original, lines, lambda: tuple(gateway.strayed) if gateway else (), on_stage)
        finally:
            if gateway is not None:
                gateway.close()


def _compared(
    session: Session,
    original: RunDirectory,
    lines: list[LedgerLine],
    strayed: Callable[[], tuple[str, ...]],
    on_stage: Callable[[LedgerLine], None],
) -> Replay:
    files, timed, taken_over, difference = 0, list[str](), list[str](), None
    for number, line in enumerate(lines):
        opened = session.progress.open
        if (opened.number, opened.next_stage) != (line.generation, line.record.stage):
            difference = f"the replay comes to {opened.next_stage} of generation {opened.number} instead"
            break
        if opened.next_stage == "train" and session.settings.trainer == "tinker":
            taken_over.append(_take_over(session, line, original))
        else:
            STAGES[opened.next_stage](session, lambda _: None)
        now = session.run.ledger.lines[number]
        files += len(line.wrote)
        difference = _difference(line, now, original.path, session.run.path, timed)
        on_stage(line)
        if difference:
            break
    if difference:
        difference = f"generation {line.generation}, {line.record.stage}: {difference}"
    calls = sum(len(session.gateway.calls_of(n)) for n in {x.generation for x in lines}) if session.gateway else 0
    return Replay(len(session.run.ledger.lines), files, calls, tuple(timed), strayed(), tuple(taken_over), difference)


def _take_over(session: Session, line: LedgerLine, original: RunDirectory) -> str:
    """Puts what a training at Tinker left in the place of doing it again; its folder, relative to the run."""
    recorded = original.generation_dir(line.generation) / ADAPTER_DIR
    with session.run.staging(line.generation, "train") as staging:
        shutil.copytree(recorded, staging / ADAPTER_DIR)
        session.progress.add(session.run.commit(line.generation, line.record, [staging / ADAPTER_DIR]))
    return recorded.relative_to(original.path).as_posix()


def _difference(then: LedgerLine, now: LedgerLine, before: Path, after: Path, timed: list[str]) -> str | None:
    """What differs between a stage and its replay, in words; adds to `timed` what is equal but for times."""
    paths = str(before).encode(), str(after).encode()
    for name in sorted(then.wrote.keys() | now.wrote.keys()):
        if name not in now.wrote:
            return f"{name} was not written"
        if name not in then.wrote:
            return f"{name} was written, and was not then"
        if then.wrote[name] == now.wrote[name]:
            continue
        old, new = (_plain((folder / name).read_bytes(), paths) for folder in (before, after))
        if old != new:
            return f"{name} differs in line {_first_line(old, new)}"
        timed.append(name)
        # Later stages read it: let them read what they read then.
        shutil.copyfile(before / name, after / name)
    if _plain(then.record.model_dump_json().encode(), paths) != _plain(now.record.model_dump_json().encode(), paths):
        fields = type(then.record).model_fields
        changed = [f for f in fields if getattr(then.record, f) != getattr(now.record, f, None)]
        return f"its record differs in {', '.join(changed)}"
    return None


def _plain(content: bytes, paths: tuple[bytes, bytes]) -> bytes:
    """A file without times and without the folder of its run."""
    for path in paths:
        content = content.replace(path, b"RUN")
    return TIMES.sub(b"TIME", content)


def _first_line(a: bytes, b: bytes) -> int:
    pairs = zip(a.splitlines(), b.splitlines(), strict=False)
    return next((n for n, (x, y) in enumerate(pairs, start=1) if x != y), min(a.count(b"\n"), b.count(b"\n")) + 1)


@contextmanager
def _beside(original: RunDirectory, lines: list[LedgerLine]) -> Iterator[RunDirectory]:
    """A run directory for the replay, on the same file system; its stages work where the original's did."""
    parent = original.path.parent
    with tempfile.TemporaryDirectory(prefix=f".{original.path.name}.replay.", dir=parent) as folder:
        path = Path(folder) / original.path.name
        path.mkdir()
        ledger = Ledger(path / LEDGER_FILE, _times(lines))

        def restore(record: StageRecord) -> StageRecord:
            then = lines[len(ledger.lines)].record
            measured = (*MEASURED, "spending") if isinstance(then, Trained) else MEASURED
            known = {f: getattr(then, f) for f in measured if f in type(record).model_fields and hasattr(then, f)}
            return record.model_copy(update=known)

        run = own_run(path)
        try:
            yield RunDirectory(path, run.lock, ledger, original.path / STAGING, restore)
        finally:
            run.close()


def _times(lines: list[LedgerLine]) -> Callable[[], datetime]:
    times = iter([line.time for line in lines])
    return lambda: next(times, lines[-1].time)


def _models(session: Session, calls: list[TraceLine]) -> dict[Role, Model]:
    """The models that the run had; empty when it had no gateway."""
    settings, providers = session.settings, load_providers()
    uses_target = session.task.manifest.agent.answers == "model" or "task_model" in settings.model_fields_set
    roles = {call.role for call in calls}
    if not (session.author.uses_model or uses_target or roles):
        return {}
    models: dict[Role, Model] = {"target": resolve_model(settings.task_model, providers)}
    if session.author.uses_model or "author" in roles:
        models["author"] = resolve_model(settings.meta_model, providers)
    return models
