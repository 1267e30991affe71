"""The append-only ledger: one line for each finished stage. A stage has happened if and only if its line is here."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ConfigDict, Field

from sia.store.chain import Chain, read_chain
from sia.store.records import Frozen, StageRecord


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
    return read_chain(path, LedgerLine.model_validate_json)


class Ledger:
    """The ledger of a run that is open for writing."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = wall_clock) -> None:
        self.path = path
        self._chain = Chain(path, LedgerLine.model_validate_json, synced=True)
        self._clock = clock

    @property
    def lines(self) -> list[LedgerLine]:
        """The finished stages, oldest first."""
        return self._chain.lines

    @property
    def head(self) -> str:
        """SHA-256 of the last line."""
        return self._chain.head

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
            previous=self.head,
        )
        self._chain.append(line)
        return line
