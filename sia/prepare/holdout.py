"""Chooses the rows of the training table that are held out, where the competition's own test labels are secret.

The rule is taken from the columns, in this order:

grouped      some column's values recur, and the competition's own test table shares none of them with the training
             table: whoever made the competition split by it, and so does this. Dates are cut in their order.
stratified   the label is a class, and a plain draw would leave too few rows of the rarest one.
plain        otherwise. With the default seed and share it draws the rows that MLE-bench draws where its own split is
             `train_test_split(train, test_size=0.1, random_state=0)`, as it is for most of its tables.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, train_test_split

from sia.errors import UsageError
from sia.prepare.evaluate import normal
from sia.prepare.tables import MIN_ROWS, Tables, labelled

FEW = 50
"""Expected held-out rows of the rarest class below which the draw is stratified."""
MAX_CLASSES = 200
_MIN_GROUPS = 20

Rule = Literal["plain", "stratified", "grouped", "in order"]


@dataclass(frozen=True)
class Holdout:
    """Which rows are held out, and by which rule."""

    rows: tuple[int, ...]
    """Positions in the training table, in the order in which they are written."""
    rest: tuple[int, ...]
    rule: Rule
    column: str = ""
    """What the rule goes by."""


def choose_holdout(tables: Tables, share: float, seed: int, by_class: bool) -> Holdout:
    """Rows to hold out, about `share` of those that have every label; the others stay. Same seed, same rows.

    `by_class` says that the label is a class. Raises UsageError when too few rows have labels.
    """
    has = labelled(tables).to_numpy()
    with_label, without = np.flatnonzero(has), np.flatnonzero(~has)
    count = math.ceil(share * len(with_label))
    if len(with_label) < MIN_ROWS or count < 2 or len(with_label) - count < 2:
        raise UsageError(
            f"{len(with_label)} rows have labels; with a share of {share:g} held out too few are on one side",
            f"at least {MIN_ROWS} rows are needed; `--holdout` sets the share",
        )
    group = _group_column(tables)
    if group is not None:
        values = tables.train[group].iloc[with_label]
        dates = _dates(values)
        if dates is not None:
            held = with_label[dates.to_numpy() >= np.sort(dates.to_numpy())[-count]]
            rule: Rule = "in order"
        else:
            splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=seed)
            held = with_label[next(splitter.split(values, groups=values))[1]]
            rule = "grouped"
        rest = np.setdiff1d(with_label, held)
        return Holdout(tuple(held.tolist()), tuple(np.concatenate([rest, without]).tolist()), rule, group)
    label = tables.train[tables.targets[0]].iloc[with_label].map(normal)
    sizes = label.value_counts()
    if by_class and len(tables.targets) == 1 and len(sizes) <= MAX_CLASSES and sizes.min() * share < FEW:
        # A class of one row cannot be on both sides: it stays in the training table.
        single = label.map(sizes).to_numpy() < 2
        pool = with_label[~single]
        count = min(max(count, int((sizes >= 2).sum())), len(pool) - int((sizes >= 2).sum()))
        if count >= 2:
            kept, held = train_test_split(pool, test_size=count, random_state=seed, stratify=label[~single])
            kept = np.concatenate([kept, with_label[single], without])
            return Holdout(tuple(held.tolist()), tuple(kept.tolist()), "stratified", tables.targets[0])
    kept, held = train_test_split(with_label, test_size=share, random_state=seed)
    return Holdout(tuple(held.tolist()), tuple(np.concatenate([kept, without]).tolist()), "plain")


def _group_column(tables: Tables) -> str | None:
    """A column by which the competition's own split keeps rows together; None when nothing shows one."""
    if tables.test is None:
        return None
    for column in tables.features:
        if column == tables.id:
            continue
        train, test = set(tables.train[column]) - {""}, set(tables.test[column]) - {""}
        recurs = len(tables.train) >= 1.5 * len(train)
        if recurs and len(train) >= _MIN_GROUPS and len(test) >= _MIN_GROUPS and train.isdisjoint(test):
            return column
    return None


def _dates(values: "pd.Series[str]") -> "pd.Series[pd.Timestamp] | None":
    """The values as points in time; None when they are numbers or anything else."""
    if pd.to_numeric(values, errors="coerce").notna().all():
        return None
    with warnings.catch_warnings():
        # pandas warns that it cannot tell one format for all.
        warnings.simplefilter("ignore")
        dates = pd.to_datetime(values, errors="coerce")
    return dates if dates.notna().all() else None
