"""One call on its way through the gateway: what is known of it, what it is charged, and its line in the trace."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from sia.gateway.budget import Hold
from sia.gateway.dialects.protocol import Asked, Dialect, Endpoint, Json
from sia.gateway.grant import Grant
from sia.gateway.journal import now
from sia.gateway.prices import MOST_CONTEXT, MOST_OUTPUT
from sia.gateway.trace import Source, TraceLine, digest, parameters_of
from sia.gateway.usage import Charge, Usage, dollars

HIDDEN_PROMPT = 2048
"""Tokens that a provider may add to a prompt, for tools and for the form of messages."""


@dataclass
class Call:
    """What is known of a call; grows while it runs."""

    grant: Grant
    dialect: Dialect
    endpoint: Endpoint | None
    path: str
    target: str
    """Path and query, without any key."""
    body: bytes
    id: int
    request: str
    """SHA-256 of the body."""
    key: str
    said: Json = field(default_factory=dict)
    asked: Asked | None = None
    came: datetime = field(default_factory=now)
    started: float = field(default_factory=time.monotonic)
    hold: Hold | None = None
    may_be_billed: bool = False
    """Whether it was sent and no error came back."""
    lost: list[Charge] = field(default_factory=list)
    """Tries that gave no answer and may have been billed, at their worst."""
    usage: Usage | None = None
    answer: list[bytes] = field(default_factory=list)
    answer_bytes: int = 0
    status: int = 0
    content_type: str = ""
    first_byte: float | None = None
    retries: int = 0
    source: Source = "upstream"
    error: str | None = None
    ended: bool = False
    """Whether a stream has said that it is over."""
    complete: bool = False
    """Whether the whole answer came."""

    @property
    def is_free(self) -> bool:
        """Costs nothing and uses no model."""
        return self.endpoint in ("count", "models")

    @property
    def most(self) -> Charge:
        """The call's worst case: a token a byte of prompt, and all the answer that it allows itself."""
        return Charge(0, 0) if self.is_free else self.grant.price.worst(*self._bounds())

    def _bounds(self) -> tuple[int, int]:
        assert self.asked is not None
        context = self.grant.price.context
        tokens_in = min(context, len(self.body) + HIDDEN_PROMPT) if self.asked.textual else context
        tokens_out = MOST_OUTPUT if self.asked.max_output is None else min(self.asked.max_output, MOST_CONTEXT)
        return tokens_in, tokens_out

    def take(self, piece: bytes) -> None:
        """Keeps a piece of the answer for the recording."""
        if self.first_byte is None:
            self.first_byte = time.monotonic()
        self.answer.append(piece)
        self.answer_bytes += len(piece)

    def read(self, event: Json) -> None:
        """Takes from a piece of the answer what it says of usage."""
        self.usage = self.dialect.usage(self.usage, event)

    def settled(self) -> tuple[Usage, Charge, bool]:
        """Usage and charge of the last try, and whether they are an upper bound.

        An answer with usage is charged by it. An error of the upstream costs nothing. A stream that broke, or told no
        usage, is charged the prompt as told, else at most, and for its output a token a byte that was seen. A call that
        was sent and gave no byte is charged at most.
        """
        if not self.may_be_billed or self.is_free:
            return Usage(), Charge(0, 0), False
        if self.complete and self.usage is not None:
            return self.usage, self.grant.price.charge(self.usage), False
        tokens_in, tokens_out = self._bounds()
        if not self.answer_bytes:
            return Usage(input=tokens_in, output=tokens_out), self.most, True
        seen = min(tokens_out, self.answer_bytes)
        told = self.usage
        if told is None:
            return Usage(input=tokens_in, output=seen), self.grant.price.worst(tokens_in, seen), True
        usage = Usage(told.input, told.cache_read, told.cache_write, told.cache_write_long, max(told.output, seen))
        return usage, self.grant.price.charge(usage), True

    def line(self, settled: tuple[Usage, Charge, bool] | None = None) -> TraceLine:
        """The call as the trace tells it; without `settled`, before it has cost anything."""
        usage, charge, estimated = settled or (Usage(), Charge(0, 0), False)
        total = add(charge, *self.lost)
        end = time.monotonic()
        return TraceLine(
            id=self.id,
            time=self.came,
            generation=self.grant.generation,
            role=self.grant.role,
            attempt=self.grant.attempt,
            provider=self.grant.model.provider.name,
            model=self.asked.model if self.asked else "",
            endpoint=self.path,
            parameters=parameters_of(self.said),
            key=self.key,
            request=self.request,
            answer=digest(b"".join(self.answer)) if self.answer else None,
            status=self.status,
            content_type=self.content_type,
            input_tokens=usage.all_input,
            cached_tokens=usage.cache_read,
            # Lost tries are charged at most, prompt and answer in one.
            output_tokens=usage.output + sum(charge.tokens for charge in self.lost),
            estimated=estimated or bool(self.lost),
            cost=None if total.nanodollars is None else dollars(total.nanodollars),
            seconds=round(end - self.started, 6),
            first_byte_seconds=None if self.first_byte is None else round(self.first_byte - self.started, 6),
            retries=self.retries,
            source=self.source,
            error=self.error,
        )


def add(*charges: Charge) -> Charge:
    """Their sum; its price is unknown as soon as one is."""
    known = list(_known(charges))
    return Charge(sum(charge.tokens for charge in charges), sum(known) if len(known) == len(charges) else None)


def _known(charges: tuple[Charge, ...]) -> Iterator[int]:
    return (charge.nanodollars for charge in charges if charge.nanodollars is not None)
