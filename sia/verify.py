"""Checks that nothing in a run directory was changed since it was written: one changed byte is found and named."""

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sia.errors import StoreError
from sia.evidence.context import render_context
from sia.gateway.bodies import BODIES, Bodies
from sia.gateway.journal import CALLS_FILE, Begun, Ended, read_journal
from sia.gateway.trace import digest
from sia.store.chain import START
from sia.store.durable import digest_file, files_under
from sia.store.ledger import LedgerLine, read_ledger
from sia.store.progress import fold
from sia.store.records import RunRecord
from sia.store.run_directory import (
    BEST_LINK,
    CONTEXT_FILE,
    LEDGER_FILE,
    LOCK_FILE,
    RUN_FILE,
    STAGING,
    read_run_record,
)

DIGEST_FIELD = re.compile(rb'"digest": "[0-9a-f]{64}"')


@dataclass(frozen=True)
class Verification:
    """What was checked, and what is wrong."""

    stages: int
    files: int
    calls: int
    bodies: int
    problems: tuple[str, ...]
    """Changed or missing, by name; empty: all is as it was written."""
    extra: tuple[str, ...]
    """Files that no stage wrote."""


def verify_run(path: Path) -> Verification:
    """Checks ledger, artifacts, calls and bodies of the run directory `path`. Raises StoreError: there is no run."""
    if not path.is_dir():
        raise StoreError(f"{path} is not there", "`sia runs` lists the runs of this folder")
    problems: list[str] = []
    record = _record(path, problems)
    lines = _ledger(path, record, problems)
    wrote = {name: sha for line in lines for name, sha in line.wrote.items()}
    problems += _artifacts(path, wrote)
    problems += _views(path, lines, record)
    calls = _calls(path, record, problems)
    bodies = list(_bodies(path))
    mine = zlib.ZLIB_RUNTIME_VERSION
    same_zlib = record is not None and record.versions.get("zlib", mine) == mine
    problems += _damaged(path, bodies, same_zlib)
    if bodies:
        problems += _missing(path, calls)
    return Verification(
        stages=len(lines),
        files=len(wrote),
        calls=sum(isinstance(line, Ended) for line in calls),
        bodies=len(bodies),
        problems=tuple(problems),
        extra=tuple(_extra(path, wrote)),
    )


def _record(path: Path, problems: list[str]) -> RunRecord | None:
    try:
        record = read_run_record(path)
    except StoreError as error:
        problems.append(error.problem)
        return None
    content = (path / RUN_FILE).read_bytes()
    plain = DIGEST_FIELD.sub(b'"digest": ""', content, count=1)
    if record.digest and hashlib.sha256(plain).hexdigest() != record.digest:
        problems.append(f"{path / RUN_FILE} was changed")
    return record


def _ledger(path: Path, record: RunRecord | None, problems: list[str]) -> list[LedgerLine]:
    file = path / LEDGER_FILE
    try:
        lines, length, head = read_ledger(file)
    except StoreError as error:
        problems.append(error.problem)
        return []
    if file.exists() and file.stat().st_size > length:
        problems.append(f"{file}: the last line has no end")
    if record and record.ledger:
        problems += _anchored(file, record.ledger, head, [line.previous for line in lines], record)
    return lines


def _anchored(file: Path, recorded: str, head: str, before: list[str], record: RunRecord) -> Iterator[str]:
    """`run.json` names the last line; while a run goes on, an earlier one."""
    if recorded == head or (record.status == "running" and recorded in (*before, START)):
        return
    yield f"{file}: the last line is not the one that {RUN_FILE} names"


def _artifacts(path: Path, wrote: dict[str, str]) -> Iterator[str]:
    for name, sha in wrote.items():
        file = path / name
        if file.is_symlink() or not file.is_file():
            yield f"{file} is missing"
        elif digest_file(file) != sha:
            yield f"{file} was changed"


def _views(path: Path, lines: list[LedgerLine], record: RunRecord | None) -> Iterator[str]:
    """What is derived from the ledger, written again and compared."""
    progress = fold(lines)
    if record is None or not progress.generations or progress.open.authored is not None:
        return
    context = path / CONTEXT_FILE
    expected = render_context(record.task, progress.generations, progress.best)
    if not context.is_file() or context.read_bytes() != expected.encode():
        yield f"{context} was changed"
    link = path / BEST_LINK
    if progress.best is not None and (not link.is_symlink() or str(link.readlink()) != f"gen_{progress.best}"):
        yield f"{link} was changed"


def _calls(path: Path, record: RunRecord | None, problems: list[str]) -> list[Begun | Ended]:
    file = path / CALLS_FILE
    try:
        calls, length, head = read_journal(file)
    except StoreError as error:
        problems.append(error.problem)
        return []
    if file.exists() and file.stat().st_size > length:
        problems.append(f"{file}: the last line has no end")
    if record and record.calls:
        problems += _anchored(file, record.calls, head, [line.previous for line in calls], record)
    return calls


def _bodies(path: Path) -> Iterator[Path]:
    return (file for file in files_under(path / BODIES) if not file.name.startswith("."))


def _damaged(path: Path, files: list[Path], same_zlib: bool) -> Iterator[str]:
    bodies = Bodies(path / BODIES)
    for file in files:
        content = bodies.get(file.name.removesuffix(".gz"))
        # The same library compresses to the same bytes: that also shows a change beside the content.
        if content is None or (same_zlib and bodies.compressed(content) != file.read_bytes()):
            yield f"{file} was changed"


def _missing(path: Path, calls: list[Begun | Ended]) -> Iterator[str]:
    bodies = Bodies(path / BODIES)
    # A call that a kill cut short may never have written its bodies.
    ended = [line.call for line in calls if isinstance(line, Ended) and line.call.status]
    empty = digest(b"")
    for name in sorted({sha for call in ended for sha in (call.request, call.answer) if sha and sha != empty}):
        if not bodies.path(name).exists():
            yield f"{bodies.path(name)} is missing"


def _extra(path: Path, wrote: dict[str, str]) -> Iterator[str]:
    known = {RUN_FILE, LEDGER_FILE, CONTEXT_FILE, LOCK_FILE, CALLS_FILE}
    for file in files_under(path):
        name = file.relative_to(path)
        if str(name) not in known and name.as_posix() not in wrote and name.parts[0] not in (BODIES, STAGING):
            yield str(file)
