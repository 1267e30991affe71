"""How a training went, as the trainer tells it: `outcome.json`, and a line of `metrics.jsonl` for each step."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

OUTCOME_FILE = "outcome.json"
METRICS_FILE = "metrics.jsonl"
BEST_DIR = "best"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"

Ending = Literal[
    "finished",
    "solved",
    "time limit",
    "cost limit",
    "not finite",
    "diverged",
    "collapsed",
    "out of memory",
    "disk full",
    "refused",
    "service failed",
]


class StepMetrics(BaseModel):
    """One optimiser step."""

    model_config = ConfigDict(frozen=True)

    step: int
    loss: float
    reward: float | None = Field(default=None, description="mean of the sampled answers; cloning: share that is right")
    kl: float | None = Field(default=None, description="nats a token from the model at the start")
    entropy: float | None = Field(default=None, description="nats a token, or an action where it is a choice")
    spread: float | None = Field(default=None, description="share of the groups whose rewards differ")
    gradient_norm: float | None = Field(description="before clipping; None: the trainer does not tell")
    tokens: int = Field(description="read and written so far")
    tokens_per_second: float
    seconds: float = Field(description="since the training began, earlier sittings included")
    cost: float | None = Field(default=None, description="US dollars so far; None: the price is not known")


class TrainingOutcome(BaseModel):
    """The whole update."""

    model_config = ConfigDict(frozen=True)

    ended: Ending
    reason: str = Field(default="", description="in words, for the log and the feedback agent")
    adapter: bool = Field(description="whether an adapter was left: the best one that was seen, even after a fault")
    steps: int = 0
    adapter_step: int = Field(default=0, description="the step that the adapter was taken at")
    tokens: int = 0
    seconds: float = 0.0
    cost: float = Field(default=0.0, description="US dollars, where the prices are known")
    before: float | None = Field(default=None, description="validation reward of the model at the start")
    after: float | None = Field(default=None, description="validation reward of the adapter that was left")
    device: str = ""
