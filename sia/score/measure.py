"""Turns an evaluator's results into scores: of all items, of the dev items, of the sealed items.

How a stated metric and the items relate, with m the mean of the item scores:

stated = m             the metric is the item mean; every score is computed from the items.
stated = 100 m         the same, stated in percent, when all item scores lie in 0..1. Scores are the fraction m.
otherwise              the metric is something else (F1, a weighted accuracy). The whole keeps the stated value; dev and
                       sealed are the `ITEM_MEAN`, the only thing that can be computed on part of the items.

Equality allows for the rounding of the stated value. Item scores run in the direction of the metric, while statuses
always count upwards. No items: the stated value stands alone, without a sample size or an interval, unless the
evaluator counts right answers and all answers beside it and they agree: then it is that proportion, whatever its scale.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sia.score.intervals import mean_interval, wilson_interval
from sia.score.metrics import StatedMetric, is_proportion, lookup_metric, scale_problem
from sia.score.model import Direction, Item, Score, ScoreFailure
from sia.score.results import Results
from sia.score.split import SplitRule, split_items

ITEM_MEAN = "mean item score"
COUNTS = (("correct", "n_correct"), ("total_questions", "n_total", "total"))
"""Names under which evaluators count right answers and all answers."""


@dataclass(frozen=True)
class Measurement:
    """Everything that was measured on one generation."""

    all: Score
    dev: Score
    """On the dev items; the stated value when there are no items."""
    sealed: Score | None
    dev_items: tuple[Item, ...] = ()
    sealed_items: tuple[Item, ...] = ()
    notes: tuple[str, ...] = ()
    """How the value was read, where that is not obvious; one sentence each."""


def score_items(items: Sequence[Item], metric: str, direction: Direction, seed: int) -> Score:
    """The mean of the item scores, with a Wilson interval when each is 0 or 1, else a bootstrap one.

    Raises ValueError when there are no items.
    """
    values = [item.score for item in items]
    if not values:
        raise ValueError("no items to score")
    interval = wilson_interval(int(sum(values)), len(values)) if is_binary(values) else mean_interval(values, seed)
    value = fmean(values)
    return Score(metric=metric, value=value, direction=direction, n=len(values), interval=interval, source="items")


def measure(
    results: Results, metric: str | None, direction: Direction | None, rule: SplitRule
) -> Measurement | ScoreFailure:
    """The scores of one generation; `metric` and `direction` as in the task's manifest."""
    stated = lookup_metric(results, metric, direction)
    if isinstance(stated, ScoreFailure):
        return stated
    if not results.items:
        return _counted(results, stated) or _stated_alone(stated)
    item_direction: Direction = "max" if results.judged == "status" else stated.direction
    values = [item.score for item in results.items]
    mean = fmean(values)
    percent = all(0.0 <= value <= 1.0 for value in values) and _agrees(stated.value, mean, 100)
    matches = item_direction == stated.direction and (_agrees(stated.value, mean, 1) or percent)
    problem = _item_problem(results, stated, mean, matches)
    if problem:
        return ScoreFailure(reason=problem)
    split = split_items(results.items, rule)
    name = stated.name if matches else ITEM_MEAN

    def score(items: Sequence[Item]) -> Score:
        return score_items(items, name, item_direction, rule.seed)

    return Measurement(
        all=score(results.items) if matches else _stated_score(stated, n=len(results.items)),
        dev=score(split.dev),
        sealed=score(split.sealed) if split.sealed else None,
        dev_items=split.dev,
        sealed_items=split.sealed,
        notes=_notes(stated, mean, matches),
    )


def is_binary(values: Sequence[float]) -> bool:
    """Whether every value is 0 or 1."""
    return all(value in (0.0, 1.0) for value in values)


def _counted(results: Results, stated: StatedMetric) -> Measurement | None:
    """The proportion that the evaluator's own counts make of the stated value; None when they do not agree with it."""
    for place in (results.stated, results.summary):
        correct, total = (next((place[name] for name in names if name in place), None) for names in COUNTS)
        if not isinstance(correct, float) or not isinstance(total, float) or not 0 <= correct <= total or total < 1:
            continue
        if not (correct.is_integer() and total.is_integer()) or stated.direction != "max":
            continue
        value = correct / total
        if _agrees(stated.value, value, 1) or (is_proportion(stated.name) and _agrees(stated.value, value, 100)):
            interval = wilson_interval(int(correct), int(total))
            score = Score(
                metric=stated.name, value=value, direction="max", n=int(total), interval=interval, source="stated"
            )
            note = f"the evaluator listed no items; it counted {correct:g} of {total:g}, so nothing is sealed"
            return Measurement(all=score, dev=score, sealed=None, notes=(note,))
    return None


def _stated_alone(stated: StatedMetric) -> Measurement | ScoreFailure:
    problem = scale_problem(stated)
    if problem:
        return ScoreFailure(reason=problem)
    score = _stated_score(stated, n=None)
    note = f"the evaluator listed no items: {stated.name} has no sample size, no interval and no sealed part"
    return Measurement(all=score, dev=score, sealed=None, notes=(note,))


def _stated_score(stated: StatedMetric, n: int | None) -> Score:
    return Score(metric=stated.name, value=stated.value, direction=stated.direction, n=n, source="stated")


def _item_problem(results: Results, stated: StatedMetric, mean: float, matches: bool) -> str | None:
    """Why items and metric cannot belong together, or None."""
    if is_proportion(stated.name):
        outside = next((item for item in results.items if not 0.0 <= item.score <= 1.0), None)
        if outside is not None:
            return f"{stated.name} is a proportion, yet an item scores {outside.score:g}; score items between 0 and 1"
    if matches:
        return None
    if results.judged == "mixed" and stated.direction == "min":
        return (
            f"{stated.name} is better when lower, a status when higher: give every item a score or every item a status"
        )
    if results.judged == "score" and stated.direction == "min" and _agrees(stated.value, 1.0 - mean, 1):
        return f"{stated.name} is 1 minus the mean item score: score items as {stated.name}, or give them a status"
    return scale_problem(stated)


def _notes(stated: StatedMetric, mean: float, matches: bool) -> tuple[str, ...]:
    if not matches:
        return (f"{stated.name} is not the mean of the items; dev and sealed are the {ITEM_MEAN}",)
    if not _agrees(stated.value, mean, 1):
        return (f"{stated.name} {stated.value:g} was stated in percent; the mean of the items, {mean:g}, was taken",)
    return ()


def _agrees(stated: float, mean: float, factor: int) -> bool:
    """Whether `stated` is `mean` times `factor` (1 or 100), rounded to the decimals that it shows.

    At least two decimals of a fraction count, whatever it shows, and at most six.
    """
    text = repr(stated)
    decimals = 6 if "e" in text else min(6, len(text.partition(".")[2]) if not stated.is_integer() else 0)
    places = max(2, decimals) if factor == 1 else decimals + 2
    tolerance = 0.5001 * 10.0**-places + 1e-6 * abs(mean)
    return math.isfinite(stated) and abs(stated / factor - mean) <= tolerance
