"""Turns results into scores with sample size and interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sia.score.intervals import bootstrap, wilson
from sia.score.metrics import Metric, find_metric
from sia.score.model import Direction, Item, Score, ScoreFailure
from sia.score.results import Results
from sia.score.split import split_items


@dataclass(frozen=True)
class Measurement:
    """One generation measured: on all items, the dev items and the sealed ones."""

    all: Score
    dev: Score
    sealed: Score | None
    dev_items: tuple[Item, ...] = ()
    sealed_items: tuple[Item, ...] = ()


def measure(
    results: Results | ScoreFailure, name: str | None, direction: Direction | None, seed: int, sealed_fraction: float
) -> Measurement | ScoreFailure:
    """Scores on all, dev and sealed items.

    With items every score is the mean of the items, also where the evaluator states something else: only a mean can
    be taken on a part of them. Without items the stated value stands alone, for all and dev alike.
    """
    if isinstance(results, ScoreFailure):
        return results
    metric = find_metric(results, name, direction)
    if isinstance(metric, ScoreFailure):
        return metric
    if not results.items:
        stated = Score(metric=metric.name, value=metric.value, direction=metric.direction, source="stated")
        return Measurement(stated, stated, None)
    dev, sealed = split_items(results.items, seed, sealed_fraction)
    return Measurement(
        score_items(results.items, metric, seed),
        score_items(dev, metric, seed),
        score_items(sealed, metric, seed) if sealed else None,
        dev,
        sealed,
    )


def score_items(items: Sequence[Item], metric: Metric, seed: int) -> Score:
    """The mean of at least one item: Wilson interval when every item counts 0 or 1, else bootstrap."""
    values = [item.score for item in items]
    binary = all(value in (0.0, 1.0) for value in values)
    return Score(
        metric=metric.name,
        value=math.fsum(values) / len(values),
        direction=metric.direction,
        n=len(values),
        interval=wilson(round(sum(values)), len(values)) if binary else bootstrap(values, seed=seed),
        source="items",
    )
