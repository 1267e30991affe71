"""The model calls of a generation, from its `trace.jsonl`; lines that cannot be read are counted, not shown."""

import gzip
import json
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from sia.gateway.bodies import BODIES
from sia.gateway.trace import TRACE_FILE, TraceLine
from sia.report.text import open_file, plain, shortened

MAX_LINE_BYTES = 1 << 20
MAX_CALLS = 200_000
MAX_BODY_BYTES = 512 * 1024
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class CallSum:
    """The calls of one role to one model."""

    role: str
    model: str
    calls: int
    errors: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float
    unpriced: int
    """Calls whose price is not known."""
    median_seconds: float


@dataclass(frozen=True)
class Calls:
    """All calls of a generation."""

    rows: tuple[TraceLine, ...] = ()
    unreadable: int = 0
    """Lines that were damaged or too long."""

    @property
    def sums(self) -> tuple[CallSum, ...]:
        """By role and model."""
        members: dict[tuple[str, str], list[TraceLine]] = {}
        for row in self.rows:
            members.setdefault((row.role, row.model), []).append(row)
        return tuple(_sum(role, model, rows) for (role, model), rows in sorted(members.items()))


def read_calls(run: Path, number: int) -> Calls:
    """The calls of generation `number`. Raises nothing, whatever lies there."""
    try:
        status = (run / f"gen_{number}" / TRACE_FILE).lstat()
    except OSError:
        return Calls()
    return _read(run, number, (status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=4)
def _read(run: Path, number: int, _stamp: tuple[int, int]) -> Calls:
    rows: list[TraceLine] = []
    unreadable, whole = 0, True
    try:
        with open_file(run, f"gen_{number}/{TRACE_FILE}") as file:
            while (line := file.readline(MAX_LINE_BYTES)) and len(rows) < MAX_CALLS:
                starts, whole = whole, line.endswith(b"\n")
                if not starts:
                    continue
                try:
                    rows.append(TraceLine.model_validate_json(line))
                except ValidationError:
                    unreadable += 1
    except OSError:
        pass
    return Calls(tuple(rows), unreadable)


def read_body(run: Path, name: str | None) -> str:
    """What a model was asked or answered, as text: the body with the digest `name`, JSON with line breaks.

    Says so when it was not kept. Raises nothing.
    """
    if name is None:
        return "nothing came"
    if not _DIGEST.fullmatch(name):
        return "not kept"
    try:
        with open_file(run, f"{BODIES}/{name[:2]}/{name}.gz") as file, gzip.open(file) as unpacked:
            content = unpacked.read(MAX_BODY_BYTES + 1)
    except (OSError, EOFError, zlib.error):
        return "not kept (`--no-bodies`), or damaged"
    text = content[:MAX_BODY_BYTES].decode("utf-8", "replace")
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    return shortened(plain(text), MAX_BODY_BYTES)


def _sum(role: str, model: str, rows: Sequence[TraceLine]) -> CallSum:
    return CallSum(
        role=role,
        model=model,
        calls=len(rows),
        errors=sum(row.error is not None for row in rows),
        input_tokens=sum(row.input_tokens for row in rows),
        cached_tokens=sum(row.cached_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        cost=sum(row.cost or 0.0 for row in rows),
        unpriced=sum(row.cost is None for row in rows),
        median_seconds=sorted(row.seconds for row in rows)[len(rows) // 2],
    )
