"""`calls.jsonl`: what calls were begun and how they ended, written as it happens, so that a kill loses no money.

A call's worst case is written before it is sent; a call without an end has cost its worst case. Each line names the
SHA-256 of the line before it, like the ledger's. It survives the death of the process; a power cut may lose the
latest lines, which is why it is synced at the end of every stage.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from sia.gateway.trace import Role, TraceLine
from sia.gateway.usage import Charge, dollars
from sia.store.chain import Chain, read_chain
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
    return read_chain(path, _LINE.validate_json)


def read_calls(path: Path) -> list[TraceLine]:
    """The calls of a run that have ended, in the order of their ends. Raises StoreError when the file is damaged."""
    return [line.call for line in read_journal(path)[0] if isinstance(line, Ended)]


class Journal:
    """The journal of a run that is open for writing. Used by one thread."""

    def __init__(self, path: Path) -> None:
        self._chain: Chain[Begun | Ended] = Chain(path, _LINE.validate_json, synced=False)
        lines = list(self._chain.lines)
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
        return self._chain.head

    def begin(self, call: TraceLine, most: Charge) -> None:
        """Writes down what the call can cost, before it is sent."""
        known = most.nanodollars is not None
        cost = dollars(most.nanodollars) if most.nanodollars is not None else None
        held = call.model_copy(update={"output_tokens": most.tokens, "cost": cost if known else None})
        self._chain.append(Begun(call=held, previous=self.head))

    def end(self, call: TraceLine) -> None:
        """Writes down how a call ended."""
        self._chain.append(Ended(call=call, previous=self.head))
        self.calls.append(call)

    def attempts(self, generation: int, role: Role) -> int:
        """How often the stage has been started, as far as calls tell."""
        return max((c.attempt for c in self.calls if (c.generation, c.role) == (generation, role)), default=0)

    def select(self, keep: Callable[[TraceLine], bool]) -> list[TraceLine]:
        """The ended calls that `keep` says, by id."""
        return sorted(filter(keep, self.calls), key=lambda call: call.id)

    def sync(self) -> None:
        """Forces what was written to the disk."""
        self._chain.sync()


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
