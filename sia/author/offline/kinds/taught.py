"""How kinds whose answers come from the run's model have it trained."""

from sia.author.brief import Brief
from sia.weights.plan import EXAMPLES_FILE, Data, Lora, Optimiser, PlanLimits, TrainingPlan

STARTING_SECONDS = 30.0
"""For loading, a last validation and saving, beside a plan's own limit."""
MIN_TRAINING_SECONDS = 60.0
VALIDATED = 120
"""Rows that choose the best checkpoint; more take the time of training."""


def classifier_plan(
    brief: Brief,
    adapter: str | None,
    choices: tuple[str, ...],
    rows: int,
    most_seconds: float,
    *,
    steps: int,
    batch: int,
    answer_tokens: int,
    prefix: str = " ",
    top_layers: int | None = None,
) -> TrainingPlan:
    """Cloning by choices over the examples that the author leaves, one pass a prompt: what small models learn fastest.

    `adapter` is one to go on from, at a lower rate; `rows` are there to learn from and to validate on. The others are
    those of the plan.
    """
    return TrainingPlan(
        algorithm="cloning",
        parent_adapter=adapter,
        lora=Lora(rank=16, alpha=32, top_layers=top_layers),
        data=Data(
            origin="author",
            file=EXAMPLES_FILE,
            prompt="{prompt}",
            answer="answer",
            choices=choices,
            prefix=prefix,
            validation=min(0.1, VALIDATED / max(VALIDATED, rows)),
        ),
        optimiser=Optimiser(learning_rate=1e-3 if adapter is None else 3e-4),
        loss="choices",
        steps=steps,
        batch=batch,
        prompt_tokens=256,
        answer_tokens=answer_tokens,
        seed=brief.seed,
        limits=PlanLimits(seconds=time_for_training(brief, most_seconds)),
    )


def time_for_training(brief: Brief, most: float) -> float:
    """Wall-clock seconds for an update of the weights, so that the agent can still run before the run's time is up."""
    if brief.budget.seconds is None:
        return most
    run = max((past.seconds for past in brief.history), default=0.0)
    return min(most, max(MIN_TRAINING_SECONDS, brief.budget.seconds - 1.2 * run - STARTING_SECONDS))
