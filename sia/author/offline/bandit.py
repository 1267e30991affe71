"""Which move is tried next: Thompson sampling over what earlier moves brought."""

import random
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from sia.author.brief import STATE_FILE, Brief, PastGeneration
from sia.author.offline.grammar import AnyKind, AnyMove, Recipe
from sia.score.model import Lever

FAILED = -0.05
"""Reward of a move whose agent was not scored."""
SPREAD = 0.004
"""Standard deviation of the belief in an untried move, in the units of a proportion."""


TRAINING_SECONDS = 120.0
"""Taken for a training's length before there was one."""


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


def may_pull(lever: Lever, kind: AnyKind, brief: Brief) -> bool:
    """Whether this run allows the lever, and its model's weights can be trained."""
    if lever == "harness":
        return brief.focus != "weights"
    if brief.focus == "weights" and lever == "both":
        return False
    return brief.focus != "harness" and brief.trainable and kind.plan is not None


def expense(lever: Lever, brief: Brief) -> float:
    """What a generation that pulls the lever costs: US dollars where all levers have prices, else seconds.

    The mean over earlier generations of the lever; before there are any, that of the others, and for an update of the
    weights what a training usually takes on top.
    """
    costs = dict.fromkeys((past.lever for past in brief.history), 0.0)
    for past in brief.history:
        costs[past.lever] += past.cost
    # A price of one lever alone, such as that of training, says nothing about the other.
    priced = bool(costs) and min(costs.values()) > 0

    def of(past: PastGeneration) -> float:
        return max(past.cost, 1e-4) if priced else max(past.whole_seconds, 1.0)

    own = [of(past) for past in brief.history if past.lever == lever]
    others = [of(past) for past in brief.history]
    if own or not others:
        return sum(own) / len(own) if own else 1.0
    usual = sum(others) / len(others)
    return usual if lever == "harness" or priced else usual + TRAINING_SECONDS


def choose_move(kind: AnyKind, base: Recipe, state: State, schema: object, brief: Brief) -> AnyMove | None:
    """Thompson sampling (W. R. Thompson, 1933, Biometrika 25:285) over the moves that lead to an untried recipe.

    The belief in a move's gain is normal: its prior counts as one observation. What counts is the gain for what its
    lever costs. None when nothing is left to try.
    """
    generator = random.Random(f"{brief.seed}/{brief.generation}")

    def is_open(move: AnyMove) -> bool:
        if not move.fits(schema, base):
            return False
        recipe = move.apply(base)
        allowed = brief.task.answers == "any" or recipe.asks_model()
        return allowed and may_pull(move.lever, kind, brief) and recipe.model_dump(mode="json") not in state.tried

    def draw(move: AnyMove) -> float:
        seen = state.rewards.get(move.name, [])
        n = len(seen) + 1
        gain = generator.gauss((move.prior + sum(seen)) / n, SPREAD / n**0.5)
        spent = expense(move.lever, brief)
        return gain / spent if gain > 0 else gain * spent

    return max((move for move in kind.moves if is_open(move)), key=draw, default=None)
