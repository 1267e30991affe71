"""`calls.jsonl`: what calls were begun and how they ended, written as it happens, so that a kill loses no money.

A call's worst case is written before it is sent; a call without an end has cost its worst case. Each line names the
SHA-256 of the line before it, like the ledger's. It survives the death of the process; a power cut may lose the
latest lines, which is why it is synced at the end of every stage.
"""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sia.errors import StoreError
from sia.gateway.trace import Role, TraceLine
from sia.gateway.usage import Charge, dollars
from sia.store.ledger import START
from sia.store.records import Frozen

CALLS_FILE = "calls.jsonl"


class Begun(Frozen):
    """A call is about to be sent; a second line for one call adds to the first."""

    kind: Literal["begun"] = "begun"
    call: TraceLine = Field(description="charged with the most that the call can cost")
    previous: str


class Ended(Frozen):
    """A call has ended."""

    kind: Literal["ended"] = "ended"
    call: TraceLine
    previous: str


_LINE: TypeAdapter[Begun | Ended] = TypeAdapter(Annotated[Begun | Ended, Field(discriminator="kind")])


def read_journal(path: Path) -> tuple[list[Begun | Ended], int, str]:
    """The lines, the length in bytes of the whole ones, and the hash that the next line has to name.

    Raises StoreError when a line is not what the chain says.
    """
    content = path.read_bytes() if path.exists() else b""
    lines: list[Begun | Ended] = []
    length, previous = 0, START
    for number, raw in enumerate(content.splitlines(keepends=True), start=1):
        if not raw.endswith(b"\n"):
            break
        try:
            line = _LINE.validate_json(raw)
        except ValidationError:
            raise StoreError(
                f"{path}: line {number} is damaged", "the run cannot be trusted; start a new one"
            ) from None
        if line.previous != previous:
            raise StoreError(f"{path}: line {number} does not follow line {number - 1}", "the file was changed")
        lines.append(line)
        length += len(raw)
        previous = hashlib.sha256(raw).hexdigest()
    return lines, length, previous


def read_calls(path: Path) -> list[TraceLine]:
    """The calls of a run that have ended, in the order of their ends. Raises StoreError when the file is damaged."""
    return [line.call for line in read_journal(path)[0] if isinstance(line, Ended)]


class Journal:
    """The journal of a run that is open for writing. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines, length, self._previous = read_journal(path)
        if path.exists() and path.stat().st_size > length:
            os.truncate(path, length)
        self.calls = [line.call for line in lines if isinstance(line, Ended)]
        """Calls that have ended."""
        self.last_id = max((line.call.id for line in lines), default=0)
        ended = {call.id for call in self.calls}
        lost: dict[int, list[TraceLine]] = {}
        for line in lines:
            if isinstance(line, Begun) and line.call.id not in ended:
                lost.setdefault(line.call.id, []).append(line.call)
        for tries in lost.values():
            self.end(_lost(tries))

    @property
    def head(self) -> str:
        """SHA-256 of the last line."""
        return self._previous

    def begin(self, call: TraceLine, most: Charge) -> None:
        """Writes down what the call can cost, before it is sent."""
        known = most.nanodollars is not None
        cost = dollars(most.nanodollars) if most.nanodollars is not None else None
        held = call.model_copy(update={"output_tokens": most.tokens, "cost": cost if known else None})
        self._append(Begun(call=held, previous=self._previous))

    def end(self, call: TraceLine) -> None:
        """Writes down how a call ended."""
        self._append(Ended(call=call, previous=self._previous))
        self.calls.append(call)

    def attempts(self, generation: int, role: Role) -> int:
        """How often the stage has been started, as far as calls tell."""
        return max((c.attempt for c in self.calls if (c.generation, c.role) == (generation, role)), default=0)

    def select(self, keep: Callable[[TraceLine], bool]) -> list[TraceLine]:
        """The ended calls that `keep` says, by id."""
        return sorted(filter(keep, self.calls), key=lambda call: call.id)

    def sync(self) -> None:
        """Forces what was written to the disk."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())

    def _append(self, line: Begun | Ended) -> None:
        raw = line.model_dump_json().encode() + b"\n"
        length = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(raw)
        except OSError:
            os.truncate(self.path, length)
            raise
        self._previous = hashlib.sha256(raw).hexdigest()


def _lost(tries: list[TraceLine]) -> TraceLine:
    costs = [call.cost for call in tries]
    return tries[0].model_copy(
        update={
            "input_tokens": 0,
            "output_tokens": sum(call.output_tokens for call in tries),
            "cost": None if None in costs else sum(cost or 0.0 for cost in costs),
            "estimated": True,
            "error": "sia ended during the call; charged at most",
        }
    )


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)
