"""The metrics that a prepared task can be measured by, and how a competition's words name them.

What is computed stands in `sia.prepare.evaluate`, which is copied into every prepared task.
"""

import difflib
import re
from dataclasses import dataclass
from typing import Literal

from sia.errors import UsageError
from sia.score.model import Direction

Form = Literal["labels", "numbers", "scores", "lists"]


@dataclass(frozen=True)
class Metric:
    """One metric."""

    name: str
    title: str
    direction: Direction
    form: Form
    """What an answer holds: one label, numbers, scores (of the positive class or of each class), a list of labels."""
    phrases: tuple[str, ...] = ()
    """How competitions call it, in lower case without punctuation."""
    at: int | None = None
    """Length of the list that counts, for `map`."""


METRICS = (
    Metric("accuracy", "accuracy", "max", "labels", ("categorization accuracy", "classification accuracy", "accuracy")),
    Metric("balanced_accuracy", "balanced accuracy", "max", "labels", ("balanced accuracy",)),
    Metric("f1", "F1 of the positive class", "max", "labels", ("f1 score", "f score", "f1")),
    Metric("macro_f1", "macro-averaged F1", "max", "labels", ("macro f1", "macro averaged f1", "macro f score")),
    Metric("micro_f1", "micro-averaged F1", "max", "labels", ("micro f1", "micro averaged f1")),
    Metric("weighted_f1", "weighted F1", "max", "labels", ("weighted f1",)),
    Metric("mcc", "Matthews correlation", "max", "labels", ("matthews correlation", "mcc")),
    Metric(
        "quadratic_kappa", "quadratic weighted kappa", "max", "labels", ("quadratic weighted kappa", "quadratic kappa")
    ),
    Metric(
        "auc",
        "area under the ROC curve",
        "max",
        "scores",
        ("area under the roc", "area under the receiver", "area under receiver", "roc auc", "auc roc", "auc"),
    ),
    Metric("average_precision", "average precision", "max", "scores", ("area under the precision recall", "pr auc")),
    Metric("log_loss", "log loss", "min", "scores", ("logarithmic loss", "log loss", "logloss", "cross entropy")),
    Metric(
        "rmse",
        "root mean squared error",
        "min",
        "numbers",
        ("root mean squared error", "root mean square error", "rmse", "mcrmse"),
    ),
    Metric(
        "rmsle",
        "root mean squared logarithmic error",
        "min",
        "numbers",
        (
            "root mean squared logarithmic error",
            "root mean squared log error",
            "root mean square logarithmic error",
            "rmsle",
            "root mean squared error rmse between the logarithm",
        ),
    ),
    Metric("mse", "mean squared error", "min", "numbers", ("mean squared error", "mean square error", "mse")),
    Metric("mae", "mean absolute error", "min", "numbers", ("mean absolute error", "mae")),
    Metric("medae", "median absolute error", "min", "numbers", ("median absolute error",)),
    Metric("mape", "mean absolute percentage error", "min", "numbers", ("mean absolute percentage error", "mape")),
    Metric(
        "smape",
        "symmetric mean absolute percentage error",
        "min",
        "numbers",
        ("symmetric mean absolute percentage error", "smape"),
    ),
    Metric("r2", "R²", "max", "numbers", ("coefficient of determination", "r2 score", "r squared")),
    Metric("pearson", "Pearson correlation", "max", "numbers", ("pearson",)),
    Metric("spearman", "Spearman correlation", "max", "numbers", ("spearman",)),
    Metric("map", "mean average precision", "max", "lists", ("mean average precision",)),
    Metric(
        "samples_f1", "F1 of the labels of a row, averaged", "max", "lists", ("mean f1", "mean f score", "samples f1")
    ),
)
_BY_NAME = {metric.name: metric for metric in METRICS}
_RANKED = re.compile(r"\b(?:map|mean average precision|mean average precision map)(?: at)? ?@? ?(\d+)\b")

KNOWN = {
    "bike-sharing-demand": "rmsle",
    "detecting-insults-in-social-commentary": "auc",
    "house-prices-advanced-regression-techniques": "rmsle",
    "leaf-classification": "log_loss",
    "new-york-city-taxi-fare-prediction": "rmse",
    "nomad2018-predict-transparent-conductors": "rmsle",
    "spaceship-titanic": "accuracy",
    "spooky-author-identification": "log_loss",
    "tabular-playground-series-dec-2021": "accuracy",
    "tabular-playground-series-may-2022": "auc",
    "titanic": "accuracy",
}
"""Metrics of a few competitions, for data that come without a description."""


def find_metric(name: str) -> Metric:
    """The metric of this name; `map@5` has a number. Raises UsageError that names the nearest one and all."""
    wanted = name.strip().lower().replace("-", "_").replace(" ", "_")
    ranked = re.fullmatch(r"map_?(?:@|at)?_?(\d+)", wanted)
    if ranked and int(ranked[1]) > 0:
        return _at(int(ranked[1]))
    if wanted in _BY_NAME and wanted != "map":
        return _BY_NAME[wanted]
    names = ["map@5" if metric.name == "map" else metric.name for metric in METRICS]
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"there is no metric {name!r}", f"{hint}known: {', '.join(names)}")


def recognise_metric(text: str) -> Metric | None:
    """The metric that a competition's words name: of the phrases that begin first, the longest; None without any."""
    plain = " ".join(re.sub(r"[^a-z0-9@]+", " ", text.lower()).split())
    ranked = _RANKED.search(plain)
    found = [
        (match.start(), -len(phrase), metric)
        for metric in METRICS
        for phrase in metric.phrases
        if (match := re.search(rf"\b{phrase}\b", plain))
    ]
    best = min(found, key=lambda each: each[:2], default=None)
    if ranked and (best is None or ranked.start() <= best[0]):
        return _at(int(ranked[1])) if int(ranked[1]) > 0 else None
    # Without its number the metric is not known.
    return best[2] if best and best[2].name != "map" else None


def _at(number: int) -> Metric:
    return Metric(f"map_at_{number}", f"mean average precision at {number}", "max", "lists", at=number)
