"""Which examples a step sees, at what learning rate, and how a step is told. It needs no model, near or far."""

import random
from collections.abc import Sequence

from sia.weights.examples import Example
from sia.weights.outcome import StepMetrics
from sia.weights.plan import TrainingPlan

WINDOW = 8
"""Batches are cut from windows of so many batches sorted by length: little padding, still a random order."""


def by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Indices in parts of at most `size` with little padding: neighbours in length stand together."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    return [order[i : i + size] for i in range(0, len(order), size)]


def batch_of(examples: list[Example], plan: TrainingPlan, step: int) -> list[Example]:
    """The examples of one step: every epoch its own order, each window of it sorted by length."""
    size = min(plan.batch, len(examples))
    per_epoch = len(examples) // size
    epoch, place = divmod(step, per_epoch)
    generator = random.Random(f"{plan.seed}/{epoch}")
    order = generator.sample(range(len(examples)), len(examples))
    window, inside = divmod(place, WINDOW)
    part = order[window * WINDOW * size : min((window + 1) * WINDOW, per_epoch) * size]
    batches = by_length([len(examples[i].prompt) for i in part], size)
    generator.shuffle(batches)
    return [examples[part[i]] for i in batches[inside]]


def learning_rate_factor(plan: TrainingPlan, step: int, steps: int) -> float:
    """Between 0 and 1: a linear rise over the warm-up, then constant or a linear fall to 0 after the last step."""
    warmup = int(plan.optimiser.warmup * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if plan.optimiser.schedule == "constant":
        return 1.0
    return max(0.0, (steps - step) / max(1, steps - warmup))


def progress_line(metrics: StepMetrics, steps: int, left: float) -> str:
    """One step for people."""
    parts = [f"step {metrics.step}/{steps}", f"loss {metrics.loss:.4g}"]
    if metrics.reward is not None:
        parts.append(f"reward {metrics.reward:.3f}")
    if metrics.kl is not None:
        parts.append(f"KL {metrics.kl:.3g}")
    if metrics.entropy is not None:
        parts.append(f"entropy {metrics.entropy:.3g}")
    minutes, seconds = divmod(int(left), 60)
    parts += [f"{metrics.tokens_per_second:.0f} tok/s", f"{minutes}:{seconds:02} left"]
    return "  ".join(parts)
