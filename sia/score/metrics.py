"""Finds the number that an evaluator states as the score, and says which way is better.

Percentages are never taken for fractions: a metric that is a proportion by its name (`PROPORTIONS`) fails when it is
stated outside 0 to 1, unless items show that it is their mean times 100 (see `sia.score.measure`). The scale of any
other metric is the evaluator's own and is kept as it is.
"""

import re
from typing import NamedTuple

from sia.score.model import Direction, ScoreFailure
from sia.score.results import NotANumber, Results

KNOWN_METRICS: dict[str, Direction] = {
    "accuracy": "max",
    "score": "max",
    "f1": "max",
    "reward": "max",
    "loss": "min",
    "error": "min",
    "mse": "min",
    "rmse": "min",
    "mae": "min",
    "latency": "min",
}
"""Keys that are looked for when the task names no metric, in this order."""

PROPORTIONS = frozenset({"accuracy", "acc", "f1", "precision", "recall", "auc", "auroc", "specificity", "sensitivity"})
"""Metrics that lie between 0 and 1 by definition."""

_MORE_DIRECTIONS: dict[str, Direction] = {
    **KNOWN_METRICS,
    **dict.fromkeys(PROPORTIONS, "max"),
    **dict.fromkeys(("logloss", "rmsle", "mape", "perplexity", "seconds", "regret", "wer", "cer", "brier"), "min"),
    **dict.fromkeys(("r2", "bleu", "rouge", "exactmatch", "return", "speedup", "throughput", "kappa", "mcc"), "max"),
}
_PERCENT_WORDS = frozenset({"percent", "pct", "percentage"})


class StatedMetric(NamedTuple):
    """The metric as the evaluator states it."""

    name: str
    value: float
    direction: Direction


def lookup_metric(results: Results, name: str | None, direction: Direction | None) -> StatedMetric | ScoreFailure:
    """The metric `name`, or with None the first known one; at the top level, else under `summary`.

    A missing `direction` is told from the name. The value is finite and as stated: use `scale_problem` on it.
    """
    names = (name,) if name is not None else tuple(KNOWN_METRICS)
    for place, where in ((results.stated, ""), (results.summary, "summary.")):
        for key in names:
            if key not in place:
                continue
            value = place[key]
            if isinstance(value, NotANumber):
                return ScoreFailure(reason=f"results.json: {where}{key} is {value.found}, not a number")
            known = direction or direction_of(key)
            if known is None:
                return ScoreFailure(
                    reason=f"which way is better for {key!r} is not known; "
                    'write direction = "max" or "min" under [metric] in task.toml'
                )
            return StatedMetric(key, value, known)
    if name is not None:
        return ScoreFailure(reason=f"results.json holds no {name!r}, neither at the top level nor under summary")
    return ScoreFailure(reason=f"results.json holds none of {', '.join(KNOWN_METRICS)}; name the metric in task.toml")


def direction_of(name: str) -> Direction | None:
    """Which way is better for a metric of this name, told from its last known word; None when no word is known."""
    words = _words(name)
    for candidate in ("".join(words), *reversed(words)):
        if candidate in _MORE_DIRECTIONS:
            return _MORE_DIRECTIONS[candidate]
    return None


def is_proportion(name: str) -> bool:
    """Whether a metric of this name lies between 0 and 1: `accuracy`, `macro_f1`; not `accuracy_percent`."""
    words = _words(name)
    return not PROPORTIONS.isdisjoint(words) and _PERCENT_WORDS.isdisjoint(words) and direction_of(name) == "max"


def scale_problem(metric: StatedMetric) -> str | None:
    """Why the stated value cannot be what its name says, or None."""
    if is_proportion(metric.name) and not 0.0 <= metric.value <= 1.0:
        return f"{metric.name} {metric.value:g} is not a fraction; state it between 0 and 1 or list items"
    return None


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+[0-9]*|[0-9]+", name.lower())
