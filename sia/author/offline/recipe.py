"""The grammar: a recipe says which target agent to write. A move changes one thing in it, for a stated reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sia.author.offline.schema import Schema


class Recipe(BaseModel):
    """One point of the grammar."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Literal["linear", "boosting", "forest"] = "linear"
    split_composites: bool = False
    group_sizes: bool = False
    row_sums: bool = False
    tuned: bool = False
    ensemble: int = 1


@dataclass(frozen=True)
class Move:
    """A change of the recipe: when it applies, what is expected of it, and how much at the start."""

    name: str
    change: dict[str, object]
    applies: Callable[[Schema], bool]
    prior: float
    """Expected gain in score, in the units of a proportion: only the order counts."""
    hypothesis: str
    risk: str

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe after the move."""
        return Recipe.model_validate(recipe.model_dump() | self.change)


MOVES = (
    Move(
        "boosting",
        {"model": "boosting"},
        lambda s: True,
        0.040,
        "Boosted trees find thresholds and interactions that a linear model cannot express.",
        "With few rows they fit noise.",
    ),
    Move(
        "split-composites",
        {"split_composites": True},
        lambda s: bool(s.composites),
        0.030,
        "Some text columns are several values joined by a delimiter; each part may matter by itself.",
        "A part may be a mere serial number.",
    ),
    Move(
        "row-sums",
        {"row_sums": True},
        lambda s: len(s.amounts) >= 3,
        0.025,
        "Several columns are amounts with many zeros; their sum, and how many are zero, says more than each alone.",
        "The columns may not be of one kind.",
    ),
    Move(
        "group-sizes",
        {"group_sizes": True, "split_composites": True},
        lambda s: bool(s.composites),
        0.020,
        "Rows that share a part of a composite column belong together; the size of the group may matter.",
        "Groups may be random.",
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
"""In no particular order: the bandit orders them."""
