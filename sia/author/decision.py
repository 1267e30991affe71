"""`decision.json`: which lever an author pulls, why, and with what training plan."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sia.score.model import Lever
from sia.weights.plan import TrainingPlan


class Decision(BaseModel):
    """The choice of one generation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lever: Lever
    reason: str = Field(min_length=1, max_length=4000)
    training: TrainingPlan | None = Field(default=None, description="weights and both need one, harness has none")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.lever == "harness") != (self.training is None):
            raise ValueError(
                f"lever {self.lever} {'has no' if self.lever == 'harness' else 'needs a'} training plan in `training`"
            )
        return self


def parse_decision(text: str | bytes) -> Decision:
    """The decision in a `decision.json`. Raises ValueError with the first field that is wrong, and why."""
    try:
        return Decision.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{field}: {message}" if field else message) from None
