"""Runs side by side: each run's best generation against the first run's, on the items that both were scored on."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from sia.report.items import read_items
from sia.report.story import RunStory
from sia.score.intervals import mean_interval
from sia.score.model import Direction, Interval, Item, Score, Verdict
from sia.score.verdict import compare


@dataclass(frozen=True)
class Pairing:
    """A run's best against the first run's best."""

    part: str
    """`all items`, or `dev items` while one of the runs is unfinished."""
    verdict: Verdict
    interval: Interval | None
    """Of the mean paired difference; positive is better."""
    gained: int
    lost: int


@dataclass(frozen=True)
class Compared:
    """One run of a comparison."""

    story: RunStory
    pairing: Pairing | None
    """None for the first run, and where nothing can be paired."""
    reason: str
    """Why nothing was paired."""

    @property
    def score(self) -> Score | None:
        """Of the best generation on all items, on the dev items while the run is unfinished."""
        final = self.story.record.best_scores
        if final is not None:
            return final.all
        return self.story.best.record.score if self.story.best else None

    @property
    def sealed(self) -> Score | None:
        """Of the best generation on the sealed items."""
        final = self.story.record.best_scores
        return final.sealed if final else None


@dataclass(frozen=True)
class Comparison:
    """All of them."""

    runs: tuple[Compared, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics of the runs, each once."""
        return tuple(dict.fromkeys(run.story.metric for run in self.runs))


def compare_stories(stories: Sequence[RunStory]) -> Comparison:
    """Compares the first of `stories` with each other; the k-th comparison gets the level of the k-th look."""
    first, *others = stories
    return Comparison(
        (Compared(first, None, ""), *(_compare(story, first, look) for look, story in enumerate(others, start=1)))
    )


def _compare(story: RunStory, first: RunStory, look: int) -> Compared:
    reason = _obstacle(story, first)
    if reason:
        return Compared(story, None, reason)
    finished = all(s.record.status == "finished" for s in (story, first))
    candidate, reference = _items(story, finished), _items(first, finished)
    if not candidate or not reference:
        return Compared(story, None, "the evaluator listed no items")
    direction: Direction = "min" if first.lower_is_better else "max"
    verdict = compare(candidate, reference, direction, look, seed=first.record.seed)
    before = {item.id: item.score for item in reference}
    sign = 1.0 if direction == "max" else -1.0
    differences = [sign * (item.score - before[item.id]) for item in candidate if item.id in before]
    if not differences:
        return Compared(story, None, "no item was scored in both")
    if verdict.difference is None:
        verdict = verdict.model_copy(update={"difference": fmean(differences)})
    pairing = Pairing(
        "all items" if finished else "dev items",
        verdict,
        mean_interval(differences, first.record.seed),
        gained=sum(d > 0 for d in differences),
        lost=sum(d < 0 for d in differences),
    )
    return Compared(story, pairing, "")


def _obstacle(story: RunStory, first: RunStory) -> str:
    if story.best is None or first.best is None:
        return "one of the two has no scored generation"
    if (story.record.task, story.record.task_digest) != (first.record.task, first.record.task_digest):
        return "another task, or another version of it"
    if (story.metric, story.lower_is_better) != (first.metric, first.lower_is_better):
        return "another metric"
    return ""


def _items(story: RunStory, sealed_too: bool) -> list[Item]:
    assert story.best is not None
    return [row.item for row in read_items(story, story.best.number).rows if sealed_too or not row.sealed]
