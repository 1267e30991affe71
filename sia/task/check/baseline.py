"""The baseline, and how far above it luck alone may lead."""

import math
from collections.abc import Sequence

from sia.score.model import Score
from sia.task.check.trial import Trial
from sia.task.package import TaskPackage


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The one with the best score; None where none has one."""
    scored = [
        (trial.score.value if trial.score.direction == "max" else -trial.score.value, -number)
        for number, trial in enumerate(trials)
        if trial.score
    ]
    return trials[-max(scored)[1]] if scored else None


def best_trivial(trials: Sequence[Trial]) -> Trial | None:
    """The best of the submissions that play by the rules and know nothing."""
    return best_of([trial for trial in trials if trial.attack.trivial])


def stated_baseline(task: TaskPackage, like: Score) -> Score | None:
    """What the task itself says a submission that does nothing scores, for tasks with none to measure."""
    value = task.manifest.metric.baseline
    return None if value is None else like.model_copy(update={"value": value, "n": None, "interval": None})


def gain(score: Score, over: Score) -> float:
    """By how much a score is better than another; negative where it is worse."""
    return score.value - over.value if over.direction == "max" else over.value - score.value


def allowance(score: Score) -> float:
    """How far above a trivial score luck alone may lead: three standard deviations of a proportion, or a twentieth."""
    if score.n and 0.0 <= score.value <= 1.0:
        return max(0.02, 3 * math.sqrt(max(score.value * (1 - score.value), 1 / score.n) / score.n))
    return 0.05 * abs(score.value)
