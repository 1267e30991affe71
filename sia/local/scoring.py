"""Log-probabilities of given continuations after prompts: a prompt is read once, the continuations in batches."""

from collections.abc import Iterator, Sequence

import torch
from transformers import DynamicCache

from sia.local.model import LanguageModel

MAX_LOGITS = 32_000_000
"""Numbers in one batch's logits: 128 MB in float32."""
MAX_CACHED = 16_384
"""Tokens in one batch's cache, the prompt's repeated for every row."""
PROMPTS_AT_ONCE = 8
"""Read together: more are no faster on a CPU."""


def score_prompts(
    model: LanguageModel, prompts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]]
) -> list[list[float]]:
    """`score_continuations` for several prompts, which are read together when every continuation is one token.

    Twice as fast for short prompts; in bfloat16 the padding may move a value by its last digit.
    """
    if any(len(continuation) > 1 for continuation in continuations):
        return [score_continuations(model, prompt, continuations) for prompt in prompts]
    wanted = torch.tensor([continuation[0] for continuation in continuations])
    found: dict[int, list[float]] = {}
    order = sorted(range(len(prompts)), key=lambda k: len(prompts[k]))
    for start in range(0, len(order), PROMPTS_AT_ONCE):
        rows = order[start : start + PROMPTS_AT_ONCE]
        last = _last_logits(model, [prompts[k] for k in rows]).log_softmax(dim=-1)
        found.update(zip(rows, last[:, wanted].tolist(), strict=True))
    return [found[k] for k in range(len(prompts))]


def _last_logits(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Logits (prompts, vocabulary) after each prompt. Shorter ones are padded on the left."""
    length = max(map(len, prompts))
    tokens = torch.zeros((len(prompts), length), dtype=torch.long)
    mask = torch.zeros_like(tokens)
    for row, prompt in enumerate(prompts):
        tokens[row, length - len(prompt) :] = torch.tensor(list(prompt))
        mask[row, length - len(prompt) :] = 1
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return model.forward(tokens, DynamicCache(), mask, positions)[:, -1]


def score_continuations(
    model: LanguageModel, prompt: Sequence[int], continuations: Sequence[Sequence[int]]
) -> list[float]:
    """Sum over the tokens of each continuation of log p(token | prompt, earlier tokens), natural logarithm.

    `prompt` and every continuation hold at least one token.
    """
    cache = DynamicCache()
    first = model.forward(torch.tensor([list(prompt)]), cache)[0, -1].log_softmax(dim=-1)
    totals = [float(first[continuation[0]]) for continuation in continuations]
    longer = sorted((k for k, c in enumerate(continuations) if len(c) > 1), key=lambda k: len(continuations[k]))
    for rows in _batches([(k, len(continuations[k])) for k in longer], len(prompt), first.numel()):
        scored = _score_batch(model, cache, len(prompt), [continuations[k] for k in rows])
        for k, value in zip(rows, scored, strict=True):
            totals[k] += value
    return totals


def _batches(lengths: Sequence[tuple[int, int]], prefix: int, vocabulary: int) -> Iterator[list[int]]:
    batch: list[int] = []
    for row, length in lengths:
        rows = len(batch) + 1
        if batch and (rows * length * vocabulary > MAX_LOGITS or rows * (prefix + length) > MAX_CACHED):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _score_batch(
    model: LanguageModel, cache: DynamicCache, prefix: int, continuations: Sequence[Sequence[int]]
) -> list[float]:
    """Scores of all tokens but the first. Rows are padded on the right, where attention does not look back from."""
    rows, length = len(continuations), max(map(len, continuations)) - 1
    tokens = torch.zeros((rows, length), dtype=torch.long)
    wanted = torch.zeros_like(tokens)
    real = torch.zeros((rows, length))
    for row, continuation in enumerate(continuations):
        tokens[row, : len(continuation) - 1] = torch.tensor(continuation[:-1])
        wanted[row, : len(continuation) - 1] = torch.tensor(continuation[1:])
        real[row, : len(continuation) - 1] = 1
    shared = DynamicCache(
        [(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)) for keys, values, *_ in cache]
    )
    mask = torch.ones((rows, prefix + length), dtype=torch.long)
    positions = torch.arange(prefix, prefix + length).expand(rows, -1)
    logits = model.forward(tokens, shared, mask, positions, keep=length)
    chosen = logits.gather(-1, wanted.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(dim=-1)
    return [float(x) for x in (chosen * real).sum(dim=-1)]
