"""The append-only ledger: one line for each finished stage, chained by SHA-256.

A stage has happened if and only if its line is here. A torn last line (power cut, kill in the middle of the write)
is no line: it is cut off when the ledger is opened for writing.
"""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from sia.errors import StoreError
from sia.store.records import Frozen, StageRecord

START = "0" * 64


def wall_clock() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


class LedgerLine(Frozen):
    """One finished stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: datetime = Field(description="never before the previous line's, even when the clock was set back")
    generation: int
    read: dict[str, str] = Field(default_factory=dict, description="path to SHA-256 of what the stage read")
    wrote: dict[str, str] = Field(description="path in the run directory to SHA-256 of what the stage left")
    cost: float = Field(default=0.0, description="US dollars")
    record: StageRecord
    previous: str = Field(description="SHA-256 of the previous line")


def read_ledger(path: Path) -> tuple[list[LedgerLine], int, str]:
    """The lines, the length in bytes of the whole ones, and the hash that the next line has to name.

    Raises StoreError when a line is not what the chain says.
    """
    content = path.read_bytes() if path.exists() else b""
    lines: list[LedgerLine] = []
    length, previous = 0, START
    for number, raw in enumerate(content.splitlines(keepends=True), start=1):
        if not raw.endswith(b"\n"):
            break
        try:
            line = LedgerLine.model_validate_json(raw)
        except ValidationError:
            raise StoreError(
                f"{path}: line {number} is damaged", "the run cannot be trusted; start a new one"
            ) from None
        if line.previous != previous:
            raise StoreError(f"{path}: line {number} does not follow line {number - 1}", "the ledger was changed")
        lines.append(line)
        length += len(raw)
        previous = hashlib.sha256(raw).hexdigest()
    return lines, length, previous


class Ledger:
    """The ledger of a run that is open for writing."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = wall_clock) -> None:
        self.path = path
        self.lines, self._length, self._previous = read_ledger(path)
        self._clock = clock
        if path.exists() and path.stat().st_size > self._length:
            os.truncate(path, self._length)

    @property
    def head(self) -> str:
        """SHA-256 of the last line."""
        return self._previous

    def append(
        self,
        generation: int,
        record: StageRecord,
        wrote: dict[str, str],
        read: dict[str, str] | None = None,
        cost: float = 0.0,
    ) -> LedgerLine:
        """Records a stage durably. On an OSError (disk full) the ledger is as it was before."""
        time = self._clock()
        if self.lines:
            time = max(time, self.lines[-1].time)
        line = LedgerLine(
            time=time,
            generation=generation,
            read=read or {},
            wrote=wrote,
            cost=cost,
            record=record,
            previous=self._previous,
        )
        raw = line.model_dump_json().encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            os.truncate(self.path, self._length)
            raise
        self.lines.append(line)
        self._length += len(raw)
        self._previous = hashlib.sha256(raw).hexdigest()
        return line
