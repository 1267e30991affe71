"""How a prepared task is measured: the metric, what an answer looks like, which labels there are."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from sia.errors import UsageError
from sia.prepare.competition import Competition
from sia.prepare.evaluate import normal
from sia.prepare.metrics import KNOWN, METRICS, Metric, find_metric, recognise_metric
from sia.prepare.tables import Tables, labelled

AnswerForm = Literal["labels", "numbers", "scores", "classes", "lists"]
FEW_VALUES = 20
"""A label of numbers with no more different values than this is taken for a class when nothing says what it is."""


@dataclass(frozen=True)
class Rules:
    """What `evaluate.py` is told of the tables."""

    metric: Metric
    form: AnswerForm
    labels: tuple[str, ...] = ()
    """Every label, in the order of the classes' columns if there are any, else sorted."""
    positive: str = ""
    """The label that a score speaks for."""
    origin: str = ""
    """Who named the metric, in words."""


def choose_rules(tables: Tables, competition: Competition, wanted: str | None) -> Rules:
    """The rules of a task. Raises UsageError when the metric and the sample submission do not fit each other."""
    metric, origin = _metric(tables, competition, wanted)
    labels, form = _labels(tables), metric.form
    if form in ("labels", "lists") and (len(tables.targets) > 1 or tables.classes):
        raise _unfit(metric, "the sample submission has several answer columns")
    if form == "numbers":
        if tables.classes or not all(_numeric(tables, column) for column in tables.targets):
            raise _unfit(metric, "the labels are not numbers")
        return Rules(metric, "numbers", origin=origin)
    if form == "scores" and tables.classes:
        by_column = tuple(normal(c) for c in tables.classes)
        return Rules(metric, "classes", labels=by_column, origin=origin)
    if form == "scores":
        return Rules(metric, "scores", labels=labels, positive=_positive(tables, metric), origin=origin)
    if metric.name == "quadratic_kappa" and not _numeric(tables, tables.targets[0]):
        raise _unfit(metric, "the labels are not numbers")
    if metric.name == "f1" and len(labels) != 2:
        raise _unfit(metric, f"there are {len(labels)} labels, not two; macro_f1 may be meant")
    return Rules(metric, "lists" if form == "lists" else "labels", labels=labels, origin=origin)


def grading(rules: Rules, tables: Tables, answers: str) -> dict[str, object]:
    """`grading.json`; `answers` is the name of the file of answers beside it."""
    return {
        "metric": rules.metric.name,
        "at": rules.metric.at,
        "form": rules.form,
        "id": tables.id,
        "targets": list(tables.targets),
        "classes": list(tables.classes),
        "labels": list(rules.labels),
        "positive": rules.positive,
        "answers": answers,
    }


def _metric(tables: Tables, competition: Competition, wanted: str | None) -> tuple[Metric, str]:
    if wanted:
        return find_metric(wanted), "as asked for"
    for text, origin in (
        (competition.metric, f"by Kaggle, {competition.metric!r}"),
        (competition.evaluation, "by the competition's evaluation page"),
        (competition.description, "by the competition's description"),
    ):
        if found := recognise_metric(text):
            return found, f"named {origin}"
    if competition.slug in KNOWN:
        return find_metric(KNOWN[competition.slug]), "known for this competition"
    if competition.metric or competition.evaluation:
        told = competition.metric or " ".join(competition.evaluation.split())[:80]
        raise UsageError(
            f"{competition.slug} is measured by {told!r}, which is not known here",
            f"give the nearest with `--metric`: {', '.join('map@5' if m.name == 'map' else m.name for m in METRICS)}",
        )
    name = "log_loss" if tables.classes else "accuracy" if _is_class(tables) else "rmse"
    return find_metric(name), "guessed from the labels, since nothing names it; `--metric` sets another"


def _is_class(tables: Tables) -> bool:
    values = tables.train[tables.targets[0]]
    return len(tables.targets) == 1 and (not _numeric(tables, tables.targets[0]) or values.nunique() <= FEW_VALUES)


def _labels(tables: Tables) -> tuple[str, ...]:
    """The different labels of the first label column, sorted; numbers by their size."""
    values = {normal(v) for v in tables.train.loc[labelled(tables), tables.targets[0]]}
    try:
        return tuple(sorted(values, key=float))
    except ValueError:
        return tuple(sorted(values))


def _numeric(tables: Tables, column: str) -> bool:
    known = tables.train.loc[labelled(tables), column].map(normal).replace({"true": "1", "false": "0"})
    return bool(pd.to_numeric(known, errors="coerce").notna().all())


def _positive(tables: Tables, metric: Metric) -> str:
    has = labelled(tables)
    kinds = [{normal(v) for v in tables.train.loc[has, column]} for column in tables.targets]
    if any(kind != kinds[0] for kind in kinds) or len(kinds[0]) != 2:
        raise _unfit(metric, "a score needs two labels, or a column for each class in the sample submission")
    return _labels(tables)[-1]


def _unfit(metric: Metric, reason: str) -> UsageError:
    return UsageError(f"{metric.name} does not fit these tables: {reason}", "name another with `--metric`")
