"""`training.json`: what an author may ask of the trainer. Every field is bounded, and an impossible plan is refused.

What can be told from the plan alone is refused here, with the reason: before any file is read or model loaded. What
needs the data, the base model or its tokenizer is refused by the trainer, still before the first step.
"""

from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

PLAN_FILE = "training.json"
EXAMPLES_FILE = "training_examples.jsonl"
REWARD_FILE = "training_reward.py"
"""What an author may leave beside its plan: rows of its own making, and a function that rewards."""

Algorithm = Literal["cloning", "best-of-n", "reinforce", "grpo", "ppo", "entropic", "dpo"]
ON_POLICY: frozenset[Algorithm] = frozenset({"best-of-n", "reinforce", "grpo", "ppo", "entropic"})
"""These sample answers from the model being trained and reward them; the others learn from given answers."""

MAX_ROLLOUTS = 1024
MAX_POSITIONS = 1 << 20


class PlanError(ValueError):
    """A plan that cannot be carried out: which field, and why."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Lora(_Table):
    """The adapter: low-rank updates of linear layers (Hu et al., 2021, arXiv:2106.09685)."""

    rank: int = Field(default=16, ge=1, le=64, description="columns of each factor")
    alpha: int = Field(default=32, ge=1, le=1024, description="the update is scaled by alpha / rank")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="share of the inputs dropped in training")
    targets: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]{1,64}$")], ...] = Field(
        default=(), max_length=32, description="names of linear layers, e.g. q_proj; empty: all but the output head"
    )
    top_layers: int | None = Field(
        default=None, ge=1, le=512, description="adapt the last so many blocks only, which is faster; None: all"
    )


class Traces(_Table):
    """Recorded model calls that become examples: of each question the best answer, by a reward from public data."""

    generations: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=1, max_length=64, description="whose target agents' calls"
    )
    at_least: float = Field(default=1.0, description="the reward that the best answer to a question must have")


class Data(_Table):
    """Which rows are trained on, and how a row becomes a prompt. The agent has to ask with the same words."""

    origin: Literal["public", "author", "traces"] = Field(
        default="public",
        description="where rows come from: `file` in the task's public data, or beside the plan; or recorded calls, "
        "for which `file` holds the labels and is public",
    )
    traces: Traces | None = Field(default=None, description="origin traces: which recorded calls")
    file: str = Field(
        default="",
        max_length=200,
        description="a .csv, .tsv, .jsonl or .json file of rows, relative; traces with a majority reward need none",
    )
    prompt: str = Field(
        default="", max_length=20_000, description="text with {column} for the row's value; {{ and }} are braces"
    )
    answer: str | None = Field(
        default=None, max_length=200, description="column of the right answer; None: the rows have no labels"
    )
    prefix: str = Field(default=" ", max_length=20, description="stands before every answer, mostly one blank")
    choices: tuple[str, ...] | None = Field(
        default=None, min_length=2, max_length=512, description="the answers that are allowed; None: any text"
    )
    where: dict[str, tuple[str, ...]] = Field(
        default={}, max_length=8, description="keep rows whose column has one of these values"
    )
    limit: int = Field(default=20_000, ge=1, le=1_000_000, description="rows at most, drawn by the seed")
    validation: float = Field(
        default=0.1, ge=0, le=0.5, description="share of the rows kept apart to choose the best checkpoint; at most 200"
    )
    chat: bool = Field(default=False, description="wrap the prompt as a user's message in the model's chat template")


class Reward(_Table):
    """What a sampled answer is worth. Cloning and DPO on labels need none."""

    kind: Literal["labels", "check", "majority"] = Field(
        default="labels",
        description="labels: 1 for the right answer; check: a function; majority: 1 for the group's commonest answer",
    )
    function: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_./-]{1,200}\.py:[A-Za-z_][A-Za-z0-9_]{0,63}$",
        description="check: FILE:FUNCTION in the public data, such as evaluate.py:grade, or beside the plan; "
        "called as function(answer, row), gives a number",
    )
    format: str | None = Field(
        default=None, max_length=200, description="regular expression that the answer must match"
    )
    format_weight: float = Field(default=0.1, ge=0, le=1, description="added to the reward when it does")


class Optimiser(_Table):
    """AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) with a warm-up and a linear or constant schedule."""

    learning_rate: float = Field(default=5e-4, gt=0, le=0.1, description="at its highest")
    warmup: float = Field(default=0.05, ge=0, le=0.5, description="share of the steps")
    schedule: Literal["linear", "constant"] = Field(default="linear", description="linear falls to 0 at the end")
    weight_decay: float = Field(default=0.0, ge=0, le=1, description="share a step, times the learning rate")
    max_gradient_norm: float = Field(default=1.0, gt=0, le=100, description="longer gradients are cut")


class PlanLimits(_Table):
    """What one update may use. The run's limits of memory and disk, and its caps in dollars, bind as well."""

    seconds: float = Field(default=600.0, ge=1, le=86_400, description="wall clock; training ends in order before it")
    memory_bytes: int = Field(default=8 << 30, ge=256 << 20, le=1 << 40, description="resident, of the trainer")
    cost: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="US dollars; training ends in order before it. Where an hour of the machine, or a token at Tinker, "
        "has a price. None: the run's caps alone bind",
    )


class TrainingPlan(_Table):
    """One update of the target model's weights."""

    algorithm: Algorithm = Field(description="how the model learns; docs/weights.md says when each fits")
    base_model: str = Field(
        default="",
        max_length=200,
        description="as in --task-model; empty: the run's. A plan for another model is refused",
    )
    parent_adapter: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="digest of the adapter to go on from; None: from the base"
    )
    lora: Lora = Lora()
    data: Data
    reward: Reward = Reward()
    optimiser: Optimiser = Optimiser()
    loss: Literal["tokens", "choices"] = Field(
        default="choices",
        description="cloning: likelihood of the answer's tokens, or of the answer among the choices (classification)",
    )
    actions: Literal["choices", "text"] = Field(
        default="choices", description="on-policy: draw one of the choices by its likelihood, or generate text"
    )
    steps: int = Field(ge=1, le=100_000, description="optimiser steps")
    batch: int = Field(default=16, ge=1, le=1024, description="prompts a step")
    micro_batch: int = Field(default=16, ge=1, le=1024, description="sequences in memory at one time")
    group_size: int = Field(default=8, ge=1, le=64, description="sampled answers a prompt")
    epochs: int = Field(default=1, ge=1, le=8, description="ppo, grpo: passes over each batch of rollouts")
    prompt_tokens: int = Field(default=512, ge=8, le=131_072, description="longer prompts lose their beginning")
    answer_tokens: int = Field(default=16, ge=1, le=8192, description="an answer is generated, or cut, up to here")
    temperature: float = Field(default=1.0, gt=0, le=4, description="of sampling")
    kl_weight: float = Field(default=0.0, ge=0, le=10, description="pull towards the model as it was at the start")
    clip: float = Field(default=0.2, gt=0, lt=1, description="ppo, grpo: the ratio stays within 1 ± clip")
    dpo_beta: float = Field(default=0.1, gt=0, le=10, description="dpo: how strongly a preference binds")
    entropy_budget: float = Field(
        default=0.7, gt=0, le=4, description="entropic: nats between the weights of a group and equal weights"
    )
    gae_lambda: float = Field(default=0.95, ge=0, le=1, description="ppo: how far an advantage looks ahead")
    gradient_checkpointing: bool = Field(
        default=False, description="recompute activations: less memory, a third slower"
    )
    checkpoint_seconds: float = Field(default=30.0, ge=0.1, le=3600, description="between checkpoints")
    seed: int = Field(default=0, ge=0, le=2**31 - 1, description="of rows, batches, adapter and sampling")
    limits: PlanLimits = PlanLimits()

    @property
    def on_policy(self) -> bool:
        """Whether answers are sampled."""
        return self.algorithm in ON_POLICY

    @property
    def by_choice(self) -> bool:
        """Whether the model answers with the likeliest of the choices, and does not generate a text."""
        return self.data.choices is not None and not (self.on_policy and self.actions == "text")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        problem = _impossible(self)
        if problem:
            raise ValueError(problem)
        return self


def _impossible(plan: TrainingPlan) -> str | None:
    data, reward = plan.data, plan.reward
    if (data.origin == "traces") != (data.traces is not None):
        return "data.traces belongs to data.origin traces, and that needs it"
    if data.origin == "traces" and plan.algorithm != "cloning":
        return "data.origin traces: answers that were given are cloned; take the algorithm cloning"
    unlabelled = data.origin == "traces" and reward.kind == "majority"
    if not unlabelled and not (data.file and data.prompt):
        return "data.file and data.prompt are needed"
    return (_impossible_file(data) if not unlabelled else None) or _impossible_learning(plan, unlabelled)


def _impossible_file(data: Data) -> str | None:
    path = PurePosixPath(data.file)
    if path.is_absolute() or ".." in path.parts:
        return f"data.file {data.file!r} leads outside its folder"
    if path.suffix not in (".csv", ".tsv", ".jsonl", ".json"):
        return f"data.file {data.file!r} is not a .csv, .tsv, .jsonl or .json file"
    if data.origin == "author" and data.file != EXAMPLES_FILE:
        return f"the author's rows lie in {EXAMPLES_FILE}, not in {data.file!r}"
    return None


def _impossible_learning(plan: TrainingPlan, unlabelled: bool) -> str | None:
    data, reward = plan.data, plan.reward
    if data.answer is None and not plan.on_policy and not (unlabelled or (data.traces and reward.kind == "check")):
        return f"{plan.algorithm} learns from given answers: name the column in data.answer"
    if data.answer is None and plan.on_policy and reward.kind == "labels":
        return "reward.kind labels needs data.answer; without labels take check or majority"
    wanted = "actions" if plan.on_policy else "loss" if plan.algorithm == "cloning" else None
    if data.choices is None and wanted and getattr(plan, wanted) == "choices":
        return f"{wanted} = choices needs data.choices"
    if data.choices and len(set(data.choices)) < len(data.choices):
        return "data.choices holds an answer twice"
    if (reward.kind == "check") != (reward.function is not None):
        return "reward.function belongs to reward.kind check, and check needs it"
    if reward.function and (reward.function.startswith("/") or ".." in reward.function):
        return f"reward.function {reward.function!r} leads outside its folder"
    if plan.on_policy and plan.algorithm != "ppo" and plan.group_size < 2:
        return f"{plan.algorithm} compares the answers of a group: group_size must be at least 2"
    if reward.kind == "majority" and plan.group_size < 3:
        return "a majority needs a group_size of at least 3"
    if plan.on_policy and plan.batch * plan.group_size > MAX_ROLLOUTS:
        return f"batch x group_size is {plan.batch * plan.group_size}, above {MAX_ROLLOUTS} rollouts a step"
    if plan.micro_batch * (plan.prompt_tokens + plan.answer_tokens) > MAX_POSITIONS:
        return f"micro_batch x (prompt_tokens + answer_tokens) is above {MAX_POSITIONS} positions"
    return None


def parse_plan(text: str | bytes) -> TrainingPlan:
    """The plan in a `training.json`. Raises PlanError with the first field that is wrong, and why."""
    try:
        return TrainingPlan.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise PlanError(f"{field}: {message}" if field else message) from None
