"""Answers that are written together: one forward pass a step for all; answers join and leave between steps."""

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from sia.local.model import LanguageModel
from sia.local.sampling import Answer, OnDelta

MAX_ROWS = 16
MAX_TOKENS = 32_768
"""Tokens that all rows may come to hold."""


class Batch:
    """The rows under way. Shorter rows are padded on the left, so that all end at the same place."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._rows: list[tuple[Answer, OnDelta]] = []
        self._cache: DynamicCache | None = None
        self._mask = torch.zeros((0, 0), dtype=torch.long)

    def __len__(self) -> int:
        return len(self._rows)

    def has_room(self, answers: Sequence[Answer]) -> bool:
        """Whether these answers to one prompt may join; an empty batch takes any."""
        rows = [answer for answer, _ in self._rows] + list(answers)
        tokens = sum(row.prompt_tokens + row.sampling.max_tokens for row in rows)
        return not self._rows or (len(rows) <= MAX_ROWS and tokens <= MAX_TOKENS)

    def join(self, prompt: Sequence[int], answers: Sequence[Answer], on_delta: OnDelta) -> None:
        """Reads the prompt once and draws the first token of each of its answers."""
        cache = DynamicCache()
        logits = self._model.forward(torch.tensor([list(prompt)]), cache)[0, -1]
        going = []
        for answer in answers:
            delta = answer.take(logits)
            on_delta(delta)
            if delta.finish is None:
                going.append((answer, on_delta))
        if going:
            cache.batch_repeat_interleave(len(going))
            self._merge(cache, torch.ones((len(going), len(prompt)), dtype=torch.long))
            self._rows += going

    def step(self) -> None:
        """One more token for every row."""
        assert self._cache is not None
        tokens = torch.tensor([[answer.tokens[-1]] for answer, _ in self._rows])
        positions = torch.tensor([[answer.prompt_tokens + len(answer.tokens) - 1] for answer, _ in self._rows])
        self._mask = torch.cat([self._mask, torch.ones_like(tokens)], dim=1)
        logits = self._model.forward(tokens, self._cache, self._mask, positions)[:, -1]
        going = []
        for row, (answer, on_delta) in enumerate(self._rows):
            delta = answer.take(logits[row])
            on_delta(delta)
            if delta.finish is None:
                going.append(row)
        self._keep(going)

    def drop(self, on_delta: OnDelta) -> None:
        """Ends the answers that nobody waits for any more."""
        self._keep([row for row, (_, receiver) in enumerate(self._rows) if receiver is not on_delta])

    def clear(self) -> list[OnDelta]:
        """Ends all; returns who is waiting."""
        waiting = list(dict.fromkeys(on_delta for _, on_delta in self._rows))
        self._rows, self._cache = [], None
        return waiting

    def _merge(self, cache: DynamicCache, mask: torch.Tensor) -> None:
        if self._cache is None:
            self._cache, self._mask = cache, mask
            return
        length = max(self._mask.shape[1], mask.shape[1])
        self._mask = torch.cat([_pad(self._mask, length, 1), _pad(mask, length, 1)])
        for old, new in zip(self._cache.layers, cache.layers, strict=True):
            old.keys = torch.cat([_pad(old.keys, length, 2), _pad(new.keys, length, 2)])
            old.values = torch.cat([_pad(old.values, length, 2), _pad(new.values, length, 2)])

    def _keep(self, rows: list[int]) -> None:
        if len(rows) == len(self._rows):
            return
        self._rows = [self._rows[row] for row in rows]
        if not rows:
            self._cache = None
            return
        assert self._cache is not None
        self._mask = self._mask[rows]
        # Columns that are padding in every row that is left.
        empty = int((self._mask.sum(dim=0) == 0).sum())
        self._mask = self._mask[:, empty:]
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[rows][:, :, empty:], layer.values[rows][:, :, empty:]


def _pad(tensor: torch.Tensor, length: int, dim: int) -> torch.Tensor:
    """`tensor` with zeros before it along `dim`, up to `length`."""
    missing = length - tensor.shape[dim]
    if not missing:
        return tensor
    shape = list(tensor.shape)
    shape[dim] = missing
    return torch.cat([tensor.new_zeros(shape), tensor], dim=dim)
