"""One answer in the making: which token comes next, when it ends, and which of its text may already be told."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Sampling:
    """How to draw the tokens of an answer, and when to end it."""

    max_tokens: int
    temperature: float = 1.0
    """0: always the most probable token."""
    top_p: float = 1.0
    """Draws from the most probable tokens that together have this probability."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    """None: log-probabilities are not told; else so many alternatives with each token's own."""


@dataclass(frozen=True)
class TokenLogprob:
    """A token that was drawn, and the most probable ones in its place. Of the model as it is, at temperature 1."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Delta:
    """What one step adds to an answer."""

    choice: int
    """Index among the answers to one request."""
    text: str
    logprob: TokenLogprob | None = None
    finish: Finish | None = None


class Answer:
    """One row of a batch."""

    def __init__(
        self, choice: int, prompt_tokens: int, sampling: Sampling, ends: set[int], tokenizer: Tokenizer
    ) -> None:
        self.choice = choice
        self.prompt_tokens = prompt_tokens
        self.sampling = sampling
        self.tokens: list[int] = []
        self._ends = ends
        self._tokenizer = tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self._held = ""
        self._generator = torch.Generator()
        self._generator.manual_seed(secrets.randbits(63) if sampling.seed is None else sampling.seed + choice)

    def take(self, logits: torch.Tensor) -> Delta:
        """Draws the next token from `logits` (vocabulary,) in float32."""
        token = self._draw(logits)
        logprob = self._logprob(logits, token) if self.sampling.top_logprobs is not None else None
        self.tokens.append(token)
        if token in self._ends:
            return Delta(self.choice, self._held, logprob, "stop")
        self._held += self._decoder.step(self._tokenizer, token) or ""
        places = [place for stop in self.sampling.stop if (place := self._held.find(stop)) >= 0]
        if places:
            return Delta(self.choice, self._held[: min(places)], logprob, "stop")
        if len(self.tokens) >= self.sampling.max_tokens:
            return Delta(self.choice, self._held, logprob, "length")
        keep = _possible_stop(self._held, self.sampling.stop)
        told, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return Delta(self.choice, told, logprob)

    def _draw(self, logits: torch.Tensor) -> int:
        if self.sampling.temperature == 0:
            return int(logits.argmax())
        probabilities = (logits / self.sampling.temperature).softmax(dim=-1)
        if self.sampling.top_p < 1:
            ordered, places = probabilities.sort(descending=True)
            beyond = ordered.cumsum(dim=-1) - ordered >= self.sampling.top_p
            probabilities[places[beyond]] = 0
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def _logprob(self, logits: torch.Tensor, token: int) -> TokenLogprob:
        logprobs = logits.log_softmax(dim=-1)
        values, places = logprobs.topk(self.sampling.top_logprobs or 0)
        top = tuple((int(place), float(value)) for place, value in zip(places, values, strict=True))
        return TokenLogprob(token, float(logprobs[token]), top)


def _possible_stop(text: str, stops: tuple[str, ...]) -> int:
    """Length of the longest end of `text` that begins a stop text."""
    longest = min(len(text), max((len(stop) - 1 for stop in stops), default=0))
    return next((n for n in range(longest, 0, -1) if any(stop.startswith(text[-n:]) for stop in stops)), 0)


OnDelta = Callable[[Delta], None]
