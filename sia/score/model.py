"""The score of a generation as a measurement: value, direction, sample size, interval, source."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Direction = Literal["max", "min"]
Lever = Literal["harness", "weights", "both"]
"""What a generation changed: the agent's code, the weights of its model."""


class Interval(BaseModel):
    """A two-sided confidence interval in the units of the metric."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    confidence: float = 0.95
    method: Literal["wilson", "bootstrap", "normal"]


class Item(BaseModel):
    """One item of the evaluator's `items`: its id and what it counted for, 0 to 1 for a status."""

    model_config = ConfigDict(frozen=True)

    id: str
    score: float
    group: str | None = None


class Score(BaseModel):
    """What the evaluator measured on one set of items, or stated for the whole when it listed none."""

    model_config = ConfigDict(frozen=True)

    metric: str
    value: float
    direction: Direction
    n: int | None = Field(default=None, description="number of items behind the value; None: the evaluator listed none")
    interval: Interval | None = None
    source: Literal["items", "stated"] = Field(description="computed from items, or stated by the evaluator alone")


class ScoreFailure(BaseModel):
    """Why there is no score. Never guessed from the agent's own words."""

    model_config = ConfigDict(frozen=True)

    reason: str


class Verdict(BaseModel):
    """A generation against the best one before it, on the same dev items."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["first", "improved", "indistinguishable", "regressed", "untested", "failed"]
    against: int | None = Field(default=None, description="generation that it was compared with")
    difference: float | None = Field(default=None, description="mean paired difference; positive is better")
    p_value: float | None = None
    looks: int = Field(default=0, description="comparisons made so far in this run, this one included")
    alpha: float | None = Field(default=None, description="level granted to this look")
    test: Literal["mcnemar", "sign-flip", "none"] = "none"
    pairs: int = Field(default=0, description="items that both generations were scored on")
    unpaired: int = Field(default=0, description="items that only one of the two was scored on; left out of the test")


def describe_score(score: Score | None) -> str:
    """`0.801 [0.776, 0.824] n=609` for people."""
    if score is None:
        return "-"
    text = f"{score.value:.4g}"
    if score.interval:
        text += f" [{score.interval.low:.4g}, {score.interval.high:.4g}]"
    return text + (f" n={score.n}" if score.n is not None else " (stated, no items)")
