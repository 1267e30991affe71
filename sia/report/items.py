"""The items of a generation: what each counted for, against the generation that it was compared with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sia.report.story import RunStory
from sia.report.text import open_file, plain
from sia.score.measure import score_items
from sia.score.model import Direction, Item, Score, ScoreFailure
from sia.score.results import MAX_BYTES, parse_results
from sia.score.split import SplitRule, split_items
from sia.store.run_directory import RESULTS_FILE

MAX_GROUPS = 60
CACHED_BYTES = 8 << 20
"""Larger results are read again each time: their parsed form would fill the memory."""


@dataclass(frozen=True)
class ItemRow:
    """One item of a generation."""

    item: Item
    sealed: bool
    before: float | None
    """Its score in the generation that this one was compared with."""
    told: tuple[tuple[str, str], ...]
    """What else the evaluator said of it: name and text."""

    @property
    def change(self) -> str:
        """`gained`, `lost`, `same`, or nothing to compare with."""
        if self.before is None:
            return ""
        return "same" if self.before == self.item.score else "gained" if self.item.score > self.before else "lost"


@dataclass(frozen=True)
class Group:
    """The items of one group."""

    name: str
    score: Score
    before: Score | None


@dataclass(frozen=True)
class Items:
    """All items of a generation that may be shown."""

    rows: tuple[ItemRow, ...]
    against: int | None
    groups: tuple[Group, ...]
    problem: str = ""
    """Why there are none."""


@dataclass(frozen=True)
class ItemFilter:
    """Which items to show; empty texts leave all."""

    group: str = ""
    change: str = ""
    part: str = ""
    outcome: str = ""
    """`right`: the full score of 1; `wrong`: anything less."""
    text: str = ""

    def keeps(self, row: ItemRow) -> bool:
        """Whether `row` passes."""
        return (
            (not self.group or (row.item.group or "all") == self.group)
            and (not self.change or row.change == self.change)
            and (not self.part or row.sealed == (self.part == "sealed"))
            and (not self.outcome or (row.item.score >= 1.0) == (self.outcome == "right"))
            and (not self.text or self.text.lower() in row.item.id.lower() or self._in_told(row))
        )

    def _in_told(self, row: ItemRow) -> bool:
        return any(self.text.lower() in text.lower() for _, text in row.told)


def read_items(story: RunStory, number: int) -> Items:
    """The items of generation `number`; sealed ones only once the run has finished."""
    chapter = story.by_number.get(number)
    against = chapter.record.verdict.against or chapter.record.parent if chapter else None
    rule = SplitRule(story.record.seed, story.record.sealed_fraction)
    opened = story.record.status == "finished"
    direction: Direction = "min" if story.lower_is_better else "max"
    stamps = tuple(_stamp(story.path, n) for n in (number, against))
    build = _build if sum(size for _, size in stamps) <= CACHED_BYTES else _build.__wrapped__
    return build(story.path, number, against, rule, opened, direction, stamps)


def _stamp(path: Path, number: int | None) -> tuple[int, int]:
    try:
        status = (path / f"gen_{number}" / RESULTS_FILE).lstat()
    except OSError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=8)
def _build(
    path: Path,
    number: int,
    against: int | None,
    rule: SplitRule,
    opened: bool,
    direction: Direction,
    _stamps: tuple[tuple[int, int], ...],
) -> Items:
    data = _read(path, number)
    results = parse_results(data) if data else ScoreFailure(reason="the evaluator left no results.json")
    if isinstance(results, ScoreFailure):
        return Items((), None, (), results.reason)
    if not results.items:
        return Items((), None, (), "the evaluator listed no items, only a total")
    split = split_items(results.items, rule)
    sealed = {item.id for item in split.sealed}
    earlier = parse_results(_read(path, against)) if against is not None else None
    before = {} if earlier is None or isinstance(earlier, ScoreFailure) else {i.id: i for i in earlier.items}
    told = {str(entry["id"]): _told(entry) for entry in json.loads(data.decode("utf-8-sig"))["items"]}
    rows = tuple(
        ItemRow(item, item.id in sealed, before[item.id].score if item.id in before else None, told[item.id])
        for item in results.items
        if opened or item.id not in sealed
    )
    return Items(rows, against if before else None, _groups(rows, before, direction, rule.seed))


def _read(path: Path, number: int | None) -> bytes:
    try:
        with open_file(path, f"gen_{number}/{RESULTS_FILE}") as file:
            return file.read(MAX_BYTES + 1)
    except OSError:
        return b""


def _told(entry: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    known = ("id", "score", "group", "category")
    return tuple(
        (plain(str(key))[:80], _as_text(value)[:4000])
        for key, value in entry.items()
        if key not in known and value not in (None, "")
    )


def _as_text(value: Any) -> str:  # noqa: ANN401 (whatever JSON may hold)
    return plain(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _groups(rows: Sequence[ItemRow], before: dict[str, Item], direction: Direction, seed: int) -> tuple[Group, ...]:
    members: dict[str, list[Item]] = {}
    for row in rows:
        members.setdefault(row.item.group or "all", []).append(row.item)
    largest = sorted(members.items(), key=lambda entry: (-len(entry[1]), entry[0]))[:MAX_GROUPS]
    groups = []
    for name, items in largest:
        earlier = [before[item.id] for item in items if item.id in before]
        groups.append(
            Group(
                name,
                score_items(items, "mean", direction, seed),
                score_items(earlier, "mean", direction, seed) if earlier else None,
            )
        )
    return tuple(groups)
