"""Splits items once per run into dev, fed back and selected on, and sealed, opened only at the end of the run.

An item's side depends on its id, the seed and the fraction alone, so it is the same in every generation.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sia.score.model import Item


@dataclass(frozen=True)
class SplitRule:
    """How a run splits its items."""

    seed: int
    fraction: float = 0.3
    """Share of items to seal, 0 to 1."""
    minimum: int = 20
    """With fewer items nothing is sealed: neither part could tell anything."""


@dataclass(frozen=True)
class Split:
    """The two parts, each in the order that the evaluator listed."""

    dev: tuple[Item, ...]
    sealed: tuple[Item, ...]


def is_sealed(item_id: str, seed: int, fraction: float) -> bool:
    """Whether the item is kept back: its SHA-256 with the seed, as a number in [0, 1), lies below `fraction`."""
    digest = hashlib.sha256(f"{seed}:{item_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) < fraction * 2**64


def split_items(items: Sequence[Item], rule: SplitRule) -> Split:
    """The dev and the sealed items. All are dev when there are few, or when nothing else would be left for dev."""
    sealed = tuple(item for item in items if is_sealed(item.id, rule.seed, rule.fraction))
    if len(items) < rule.minimum or len(sealed) == len(items):
        return Split(dev=tuple(items), sealed=())
    kept = {item.id for item in sealed}
    return Split(dev=tuple(item for item in items if item.id not in kept), sealed=sealed)
