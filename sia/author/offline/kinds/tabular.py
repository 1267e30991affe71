"""Tabular tasks: features, encoders and models for a table to learn from and a table to predict."""

from collections.abc import Sequence
from typing import Literal

from sia.author.offline.grammar import Kind, Move, Recipe
from sia.author.offline.kinds.table import TableSchema, look_at_table


class TableRecipe(Recipe):
    """Which features, how encoded, for which model."""

    model: Literal["linear", "boosting", "forest"] = "linear"
    split_composites: bool = False
    group_sizes: bool = False
    row_sums: bool = False
    impute: Literal["median", "flagged"] = "median"
    encoder: Literal["onehot", "target"] = "onehot"
    tuned: bool = False
    ensemble: int = 1


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f"`{column}`" for column in columns)


MOVES: tuple[Move[TableSchema], ...] = (
    Move(
        "boosting",
        {"model": "boosting"},
        lambda s: True,
        0.040,
        "Boosted trees find thresholds and interactions that a linear model cannot express.",
        "With few rows they fit noise.",
        lambda s: f"{s.rows} rows with {len(s.numeric)} numeric columns leave room for thresholds.",
    ),
    Move(
        "split-composites",
        {"split_composites": True},
        lambda s: bool(s.composites),
        0.030,
        "Some text columns are several values joined by a delimiter; each part may matter by itself.",
        "A part may be a mere serial number.",
        lambda s: "; ".join(f"every `{column}` has the same number of `{mark}`" for column, mark in s.composites) + ".",
    ),
    Move(
        "row-sums",
        {"row_sums": True},
        lambda s: len(s.amounts) >= 3,
        0.025,
        "Several columns are amounts with many zeros; their sum, and how many are zero, says more than each alone.",
        "The columns may not be of one kind.",
        lambda s: f"Never negative and often zero: {_names(s.amounts)}.",
    ),
    Move(
        "group-sizes",
        {"group_sizes": True, "split_composites": True},
        lambda s: bool(s.composites),
        0.020,
        "Rows that share a part of a composite column belong together; the size of the group may matter.",
        "Groups may be random.",
        lambda s: f"Candidates for groups are the parts of {_names([column for column, _ in s.composites])}.",
    ),
    Move(
        "missing-flags",
        {"impute": "flagged"},
        lambda s: s.missing > 0,
        0.006,
        "That a value is missing may itself say something; a column that says so keeps it apart from the median.",
        "Values that are missing at random only add noise.",
        lambda s: f"{100 * s.missing:.1f} % of the cells are empty.",
    ),
    Move(
        "target-encoding",
        {"encoder": "target"},
        lambda s: bool(s.categorical),
        0.004,
        "A category replaced by the mean target of its rows, taken out of fold, is one column instead of many.",
        "Rare categories get noisy means.",
        lambda s: f"Columns of categories: {_names(s.categorical)}.",
    ),
    Move(
        "ensemble",
        {"ensemble": 5},
        lambda s: True,
        0.010,
        "The average of models with different seeds varies less than one of them.",
        "It costs five times the time, for little.",
    ),
    Move(
        "tuning",
        {"tuned": True},
        lambda s: True,
        0.008,
        "Cross-validation on the training rows may find better settings than the defaults.",
        "The best of several settings looks better than it is.",
    ),
    Move(
        "forest",
        {"model": "forest"},
        lambda s: True,
        0.005,
        "A forest averages deep trees, and is steady where boosting is not.",
        "Usually a little behind boosting.",
    ),
)

TABULAR = Kind(
    name="tabular",
    look=lambda brief: look_at_table(brief.task.public_dir),
    recipe=TableRecipe,
    first=lambda brief: TableRecipe(),
    moves=MOVES,
    template="tabular.py.j2",
    classical=TableRecipe(model="boosting", split_composites=True, group_sizes=True, row_sums=True),
)
