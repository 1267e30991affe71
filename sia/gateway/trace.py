"""One line a model call: in the run's `calls.jsonl` at once, in a generation's `trace.jsonl` when it is decided."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from sia.gateway.dialects.protocol import Json
from sia.store.records import Frozen, Spending

TRACE_FILE = "trace.jsonl"
Role = Literal["author", "trial", "target"]
"""Who asks: the author, the agent that it wrote when it is tried on a tiny budget, the agent when it counts."""
Source = Literal["upstream", "recording", "cache", "gateway"]
NOT_PARAMETERS = frozenset({"model", "system", "input", "instructions", "prompt", "user"})
LONGEST_PARAMETER = 40


class TraceLine(Frozen):
    """One call of a jailed program, however it ended. Bodies are named by their SHA-256, see `sia.gateway.bodies`."""

    id: int = Field(description="counts the calls of a run")
    time: datetime = Field(description="when the request had come")
    generation: int
    role: Role
    attempt: int = Field(description="counts the starts of the stage; above 1 after a kill or a cap")
    provider: str
    model: str
    endpoint: str = Field(description="path of the request")
    parameters: dict[str, int | float | bool | str] = Field(default_factory=dict)
    key: str = Field(description="SHA-256 of model, path and body: the same for identical requests")
    request: str = Field(description="SHA-256 of the request's body")
    answer: str | None = Field(default=None, description="SHA-256 of the answer's body; None: nothing came")
    status: int = Field(description="HTTP status that the program got")
    content_type: str = ""
    input_tokens: int = Field(default=0, description="of the whole prompt, those from the provider's cache included")
    cached_tokens: int = Field(default=0, description="of the prompt, read from the provider's cache")
    output_tokens: int = 0
    estimated: bool = Field(default=False, description="tokens are an upper bound: the provider told none")
    cost: float | None = Field(default=0.0, description="US dollars; None: the price is unknown")
    seconds: float = Field(default=0.0, description="from the request to the last byte of the answer")
    first_byte_seconds: float | None = Field(default=None, description="from the request to the answer's first byte")
    retries: int = 0
    source: Source = Field(description="who answered; only the upstream costs")
    error: str | None = None


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def request_key(model: str, target: str, body: bytes) -> str:
    """What identical requests share; `target` is the path with its query."""
    return digest(b"\0".join((model.encode(), target.encode(), body)))


def parameters_of(body: Json) -> dict[str, int | float | bool | str]:
    """The settings of a request, without its content."""
    settings = {**body, **(g if isinstance(g := body.get("generationConfig"), dict) else {})}
    told: dict[str, int | float | bool | str] = {
        name: value
        for name, value in settings.items()
        if name not in NOT_PARAMETERS
        and (isinstance(value, int | float) or (isinstance(value, str) and len(value) <= LONGEST_PARAMETER))
    }
    if isinstance(tools := body.get("tools"), list):
        told["tools"] = len(tools)
    return told


def spending_of(lines: Iterable[TraceLine]) -> Spending:
    """What the calls cost together."""
    lines = list(lines)
    return Spending(
        calls=len(lines),
        tokens=sum(line.input_tokens + line.output_tokens for line in lines if is_charged(line)),
        cost=round(sum(line.cost or 0.0 for line in lines), 9),
        unpriced=sum(line.cost is None and is_charged(line) for line in lines),
    )


def modelled_as(role: Role) -> Role:
    """Whose model a role asks: a trial is a start of the target agent."""
    return "target" if role == "trial" else role


def is_charged(line: TraceLine) -> bool:
    """Whether a call counts against caps."""
    return line.source == "upstream"


def events_of(lines: Sequence[TraceLine]) -> tuple[str, ...]:
    """What the gateway refused, in words, each kind once."""
    counts: dict[str, int] = {}
    for line in lines:
        if line.source == "gateway" and line.error:
            counts[line.error] = counts.get(line.error, 0) + 1
    shown = [f"gateway: {what}" + (f" ({times} times)" if times > 1 else "") for what, times in counts.items()]
    return tuple(shown[:20])
