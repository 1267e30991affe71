"""Which move is tried next: Thompson sampling over what earlier moves brought."""

import random
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from sia.author.brief import STATE_FILE, Brief
from sia.author.offline.grammar import AnyKind, AnyMove, Recipe

FAILED = -0.05
"""Reward of a move whose agent was not scored."""
SPREAD = 0.004
"""Standard deviation of the belief in an untried move, in the units of a proportion."""


class State(BaseModel):
    """The author's memory, handed from generation to generation. Recipes are kept as their kind dumps them."""

    model_config = ConfigDict(extra="forbid")

    kind: str
    recipe: dict[str, JsonValue]
    move: str | None = None
    rewards: dict[str, list[float]] = {}
    tried: list[dict[str, JsonValue]] = []


def read_state(folder: Path, kind: AnyKind) -> State | None:
    """The state that lies in a generation's folder; None when there is none of this kind that can be used."""
    try:
        state = State.model_validate_json((folder / STATE_FILE).read_bytes())
        kind.recipe.model_validate(state.recipe)
    except (OSError, ValidationError):
        return None
    return state if state.kind == kind.name else None


def learn(state: State, brief: Brief) -> None:
    """Rewards the latest move with the change of the dev score; a failure is a loss."""
    if not (state.move and brief.history):
        return
    latest = brief.history[-1]
    reward = FAILED if latest.score is None else (latest.verdict.difference or 0.0)
    state.rewards.setdefault(state.move, []).append(reward)


def choose_move(kind: AnyKind, base: Recipe, state: State, schema: object, brief: Brief) -> AnyMove | None:
    """Thompson sampling (W. R. Thompson, 1933, Biometrika 25:285) over the moves that lead to an untried recipe.

    The belief in a move's gain is normal: its prior counts as one observation. None when nothing is left to try.
    """
    generator = random.Random(f"{brief.seed}/{brief.generation}")

    def is_open(move: AnyMove) -> bool:
        if not move.fits(schema, base):
            return False
        recipe = move.apply(base)
        allowed = brief.task.answers == "any" or recipe.asks_model()
        return allowed and recipe.model_dump(mode="json") not in state.tried

    def draw(move: AnyMove) -> float:
        seen = state.rewards.get(move.name, [])
        n = len(seen) + 1
        return generator.gauss((move.prior + sum(seen)) / n, SPREAD / n**0.5)

    return max((move for move in kind.moves if is_open(move)), key=draw, default=None)
