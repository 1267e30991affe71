"""The model calls of a generation, from its `trace.jsonl`; lines that cannot be read are counted, not shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from sia.gateway.trace import TRACE_FILE, TraceLine
from sia.report.text import open_file

MAX_LINE_BYTES = 1 << 20
MAX_CALLS = 200_000


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
