"""A conversation in no dialect, and what a scripted model may answer to it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Call:
    """The model asks for a tool."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Turn:
    """One message: of the user, of the model, or the result of a tool."""

    role: Literal["user", "assistant", "tool"]
    text: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Conversation:
    """What a client sent, whatever its dialect."""

    model: str
    system: str
    turns: tuple[Turn, ...]
    tools: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The same for a request and its repetition."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def steps(self) -> int:
        """How often the model has already answered."""
        return sum(turn.role == "assistant" for turn in self.turns)

    @property
    def calls(self) -> int:
        """How many tools it has called; some clients give more than one result to a call that failed."""
        return sum(len(turn.calls) for turn in self.turns)

    def said(self, text: str) -> bool:
        """Whether a user's message holds `text`."""
        return any(text in turn.text for turn in self.turns if turn.role == "user")


@dataclass(frozen=True)
class Reply:
    """The model's answer: words, and calls of tools."""

    text: str = ""
    calls: tuple[Call, ...] = ()


Kind = Literal["status", "drop", "cut", "stall", "garbage", "empty", "error-event"]


@dataclass(frozen=True)
class Failure:
    """The provider fails for the first `times` requests with this conversation, then answers `then`.

    status: an HTTP error `code` with the dialect's error body; drop: the connection ends without an answer; cut: it
    ends in the middle of the answer; stall: the answer stops in the middle and the connection stays open; garbage:
    status 200 with a body that is no JSON; empty: status 200 without a body; error-event: an error inside the stream.
    """

    kind: Kind
    code: int = 500
    times: int = 1_000_000
    then: Reply = Reply("done")
    retry_after: float | None = None


Policy = Callable[[Conversation], Reply | Failure]
