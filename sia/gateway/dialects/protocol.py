"""What the gateway has to read of a dialect: what is asked for, what was used, and how an error looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from sia.gateway.usage import Usage

Endpoint = Literal["generate", "embed", "count", "score", "models"]
"""`count` is free at every provider; `models` the gateway answers itself."""
Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What a request asks for."""

    model: str
    stream: bool = False
    max_output: int | None = None
    """Tokens, of all answers together; None: the request sets no limit."""
    textual: bool = True
    """Nothing but text, so that it has at most a token a byte; images and files can have more."""
    refused: str | None = None
    """A feature of the request that would leave the gateway's reach, in words."""


class Dialect(Protocol):
    """How the clients of one provider speak. Bodies are untrusted: any JSON object may come."""

    @property
    def name(self) -> str:
        """As providers name it."""
        ...

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        """What a request is for; None: nothing of this dialect."""
        ...

    def upstream_path(self, path: str) -> str:
        """The path below a provider's base URL."""
        ...

    def token(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        """The key that the client sent; empty when there is none."""
        ...

    def authorize(self, key: str) -> dict[str, str]:
        """The headers that carry a provider's key."""
        ...

    def read(self, path: str, body: Json) -> Asked:
        """What the request asks for."""
        ...

    def usage(self, before: Usage | None, event: Json) -> Usage | None:
        """The usage as known after one more piece of an answer: an event of a stream, or the whole body."""
        ...

    def is_last(self, event: Json) -> bool:
        """Whether an event of a stream says that the answer is whole."""
        ...

    def error(self, status: int, message: str) -> Json:
        """The body of an error."""
        ...

    def stream_error(self, message: str) -> bytes:
        """The event that ends a stream that cannot go on."""
        ...

    def models(self, model: str) -> Json:
        """The list of models that has this one only."""
        ...


def integer(value: object) -> int:
    """A token count of an untrusted body; 0 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def table(value: object) -> Json:
    """A JSON object of an untrusted body; empty for anything else."""
    return value if isinstance(value, dict) else {}


def tables(value: object) -> list[Json]:
    """The objects of a JSON array of an untrusted body."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def limit(value: object) -> int | None:
    """A request's limit in tokens; None when it sets none."""
    return integer(value) or None
