"""The grammar that all kinds share: a recipe says which target agent to write, a move changes something in it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from sia.author.brief import Brief
from sia.score.model import Lever
from sia.weights.plan import TrainingPlan

Schema = TypeVar("Schema")
"""What a kind reads of the public files: columns, ids, forms of answers."""


class NotOfThisKind(Exception):
    """The public folder does not hold what this kind of task works on; the text says what is missing."""


class Recipe(BaseModel):
    """One point of a kind's grammar; its fields are what moves change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def asks_model(self) -> bool:
        """Whether the answers come from the task's language model, as `[agent] answers = "model"` demands."""
        return False


@dataclass(frozen=True)
class Move(Generic[Schema]):
    """A change of the recipe: when it applies, what is expected of it, and how much at the start."""

    name: str
    change: dict[str, object]
    applies: Callable[[Schema], bool]
    prior: float
    """Expected gain in score, in the units of a proportion: only the order counts."""
    hypothesis: str
    risk: str
    evidence: Callable[[Schema], str] = lambda schema: ""
    """What in the public files speaks for it."""
    needs: dict[str, object] = field(default_factory=dict)
    """Values that fields of the recipe must have before; elsewhere the move means nothing or would be a step back."""
    lever: Lever = "harness"
    """What it changes; a move of the weights needs a kind with a plan."""

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe after the move."""
        return type(recipe).model_validate(recipe.model_dump() | self.change)

    def fits(self, schema: Schema, recipe: Recipe) -> bool:
        """Whether the task and the recipe are such that the move can be made, and changes something."""
        met = all(getattr(recipe, name) == value for name, value in self.needs.items())
        return met and self.applies(schema) and self.apply(recipe) != recipe


@dataclass(frozen=True)
class Kind(Generic[Schema]):
    """A kind of task: the value of `[task] kind`, how to look at its files, and the grammar of its agents."""

    name: str
    look: Callable[[Brief], Schema]
    """Reads the public files. Raises NotOfThisKind."""
    recipe: type[Recipe]
    first: Callable[[Brief], Recipe]
    """The recipe of the first generation. Raises NotOfThisKind when no agent can answer as the task demands."""
    moves: tuple[Move[Schema], ...]
    """In no particular order: the bandit orders them."""
    template: str
    """File in templates/; it is given `recipe`, `schema` and `seed`."""
    classical: Recipe | None = None
    """The recipe without a language model that a model's answers are held against."""
    plan: Callable[[Recipe, Schema, Brief, str | None], TrainingPlan] | None = None
    """The update of the weights for a recipe, from the base or from the adapter with this digest."""
    examples: Callable[[Path, Schema, Path, Path], None] | None = None
    """Writes what the plan trains on: from the agent's file and the public folder into a file."""


AnyKind = Kind[Any]
AnyMove = Move[Any]
