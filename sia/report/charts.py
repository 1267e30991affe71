"""The data of the charts, the same for the dashboard's canvas and the report's figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sia.report.story import STAGES, RunStory
from sia.report.training import Training

Numbers = tuple[float | None, ...]


@dataclass(frozen=True)
class ScoreChart:
    """Scores by generation, in the metric's own units. All tuples are as long as `generation`."""

    metric: str
    lower_is_better: bool
    generation: tuple[int, ...]
    dev: Numbers
    low: Numbers
    high: Numbers
    sealed: Numbers
    best: Numbers
    """Dev score of the best generation once this one was decided."""
    outcome: tuple[str, ...]
    """Of the verdict."""


@dataclass(frozen=True)
class StageChart:
    """Seconds and US dollars of each stage by generation."""

    generation: tuple[int, ...]
    seconds: dict[str, Numbers]
    dollars: dict[str, Numbers]


@dataclass(frozen=True)
class Curve:
    """One run among those compared: its name, the dev score of the best so far and the interval of each generation."""

    name: str
    chart: ScoreChart


@dataclass(frozen=True)
class TrainingChart:
    """What a training logged, by step."""

    step: tuple[float, ...]
    curves: dict[str, Numbers]


@lru_cache(maxsize=16)
def score_chart(story: RunStory) -> ScoreChart:
    """The score chart of a run."""
    scores = [chapter.record.score for chapter in story.chapters]
    by_number = {c.number: s.value for c, s in zip(story.chapters, scores, strict=True) if s}
    return ScoreChart(
        metric=story.metric,
        lower_is_better=story.lower_is_better,
        generation=tuple(chapter.number for chapter in story.chapters),
        dev=_rounded([s.value if s else None for s in scores]),
        low=_rounded([s.interval.low if s and s.interval else None for s in scores]),
        high=_rounded([s.interval.high if s and s.interval else None for s in scores]),
        sealed=_rounded([c.sealed.value if c.sealed else None for c in story.chapters]),
        best=_rounded([by_number.get(c.best) if c.best is not None else None for c in story.chapters]),
        outcome=tuple(c.record.verdict.outcome for c in story.chapters),
    )


@lru_cache(maxsize=16)
def stage_chart(story: RunStory) -> StageChart:
    """The seconds and costs of a run."""
    return StageChart(
        generation=tuple(chapter.number for chapter in story.chapters),
        seconds={s: _rounded([c.record.seconds.get(s, 0.0) for c in story.chapters]) for s in STAGES},
        dollars={s: _rounded([c.cost.get(s, 0.0) for c in story.chapters]) for s in STAGES},
    )


def training_chart(training: Training) -> TrainingChart:
    """The curves of a training."""
    return TrainingChart(training.steps, {name: _rounded(values) for name, values in training.curves.items()})


def _rounded(values: Sequence[float | None]) -> Numbers:
    """Six significant digits: more than a pixel, and a shorter page."""
    return tuple(None if value is None else float(f"{value:.6g}") for value in values)
