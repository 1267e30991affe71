"""The story of one run, read from its directory without owning it: the one source of what every view tells.

A run whose ledger is damaged is told from its `generation.json` files, with the problem named. Sealed scores are part
of the story only once the run has finished.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import get_args

from sia.errors import StoreError
from sia.report.alive import is_owned
from sia.score.model import Score
from sia.store.catalog import read_generation
from sia.store.ledger import LedgerLine, read_ledger
from sia.store.progress import OpenGeneration, RunProgress
from sia.store.records import Authored, Decided, GenerationRecord, RunRecord, Scored, Stage
from sia.store.run_directory import LEDGER_FILE, RUN_FILE, read_run_record

STAGES: tuple[Stage, ...] = tuple(stage for stage in get_args(Stage) if stage != "decide")
"""The stages that take time; deciding takes none."""


@dataclass(frozen=True)
class Chapter:
    """One decided generation."""

    record: GenerationRecord
    best: int | None
    """The best generation once this one was decided."""
    all: Score | None = None
    """On all items; None before the run has finished, as it would tell of the sealed ones."""
    sealed: Score | None = None
    author: str = ""
    ended: datetime | None = None
    cost: dict[Stage, float] = field(default_factory=dict)
    """US dollars by stage."""

    @property
    def number(self) -> int:
        """The generation's number."""
        return self.record.generation

    @property
    def promoted(self) -> bool:
        """Whether it became the best."""
        return self.best == self.number

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all stages."""
        return sum(self.record.seconds.values())

    @property
    def dollars(self) -> float:
        """US dollars of all stages."""
        return sum(self.cost.values()) or self.record.cost


@dataclass(frozen=True)
class Now:
    """The generation in the making."""

    generation: int
    stage: Stage
    since: datetime | None
    """When the stage before it ended; None for the first."""


@dataclass(frozen=True, eq=False)
class RunStory:
    """One run. Compared and hashed by identity, so that what is made of it can be cached."""

    path: Path
    record: RunRecord
    chapters: tuple[Chapter, ...]
    now: Now | None
    """What a process is working on; None when nobody does."""
    problems: tuple[str, ...]
    """What could not be read, in words."""

    @property
    def run_id(self) -> str:
        """Its id, from the folder's name: a copied run keeps what `run.json` says."""
        return self.path.name.removeprefix("run_")

    @property
    def status(self) -> str:
        """As in `run.json`, but `stopped` for a run that says it is running while no process owns it."""
        return "stopped" if self.record.status == "running" and self.now is None else str(self.record.status)

    @cached_property
    def by_number(self) -> dict[int, Chapter]:
        """The chapters by generation."""
        return {chapter.number: chapter for chapter in self.chapters}

    @property
    def best(self) -> Chapter | None:
        """The best generation."""
        return self.by_number.get(self.record.best) if self.record.best is not None else None

    @cached_property
    def first(self) -> Chapter | None:
        """The first generation that was scored: what the run is measured against."""
        return next((c for c in self.chapters if c.record.score), None)

    @property
    def metric(self) -> str:
        """The name of the metric, as it was measured."""
        return self.first.record.score.metric if self.first and self.first.record.score else "score"

    @property
    def lower_is_better(self) -> bool:
        """The direction of the metric."""
        return bool(self.first and self.first.record.score and self.first.record.score.direction == "min")

    @cached_property
    def seconds(self) -> dict[Stage, float]:
        """Wall-clock seconds by stage."""
        return {stage: sum(c.record.seconds.get(stage, 0.0) for c in self.chapters) for stage in STAGES}

    @cached_property
    def cost(self) -> dict[Stage, float]:
        """US dollars by stage."""
        return {stage: sum(c.cost.get(stage, 0.0) for c in self.chapters) for stage in STAGES}

    @property
    def dollars(self) -> float:
        """US dollars in all."""
        return sum(chapter.dollars for chapter in self.chapters)

    @property
    def tokens(self) -> int:
        """Tokens of all model calls."""
        return sum(chapter.record.tokens for chapter in self.chapters)

    @property
    def failed(self) -> int:
        """How many generations failed."""
        return sum(chapter.record.status == "failed" for chapter in self.chapters)


def read_story(path: Path) -> RunStory:
    """The story of the run directory `path`. Raises StoreError when there is no readable `run.json`."""
    return _read_story(path, stamp(path / RUN_FILE), stamp(path / LEDGER_FILE), is_owned(path))


def stamp(file: Path | str) -> tuple[int, int]:
    """Changes whenever the file does; zeros when it is missing."""
    try:
        status = os.stat(file)  # noqa: PTH116 (a Path costs more than the call)
    except OSError:
        return (0, 0)
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _read_story(path: Path, _run: tuple[int, int], _ledger: tuple[int, int], owned: bool) -> RunStory:
    record = read_run_record(path)
    try:
        lines, _, _ = read_ledger(path / LEDGER_FILE)
    except (StoreError, OSError) as error:
        return RunStory(path, record, _from_files(path, record), None, (str(error),))
    chapters, unfinished = _chapters(lines, opened=record.status == "finished")
    now = None
    if owned and record.status == "running":
        now = Now(unfinished.number, unfinished.next_stage, lines[-1].time if lines else None)
    problems = [] if lines or not record.generations else [f"{path / LEDGER_FILE} is not there"]
    return RunStory(path, record, tuple(chapters) or _from_files(path, record), now, tuple(problems))


def _chapters(lines: Sequence[LedgerLine], opened: bool) -> tuple[list[Chapter], OpenGeneration]:
    progress, chapters = RunProgress(), []
    cost: dict[Stage, float] = {}
    author, scored = "", None
    for line in lines:
        cost[line.record.stage] = cost.get(line.record.stage, 0.0) + line.cost
        if isinstance(line.record, Authored):
            author = line.record.author
        elif isinstance(line.record, Scored):
            scored = line.record
        progress.add(line.record)
        if isinstance(line.record, Decided):
            shown = scored if opened else None
            chapters.append(
                Chapter(
                    record=progress.generations[-1],
                    best=line.record.best,
                    all=shown.all if shown else None,
                    sealed=shown.sealed if shown else None,
                    author=author,
                    ended=line.time,
                    cost=cost,
                )
            )
            cost, author, scored = {}, "", None
    return chapters, progress.open


def _from_files(path: Path, record: RunRecord) -> tuple[Chapter, ...]:
    """What the `generation.json` files tell when the ledger cannot."""
    numbers = sorted(int(p.name[4:]) for p in path.glob("gen_*") if p.name[4:].isdecimal() and len(p.name) < 12)
    chapters = []
    for number in numbers:
        try:
            chapters.append(Chapter(read_generation(path, number), record.best))
        except (StoreError, OSError):
            continue
    return tuple(chapters)
