"""All runs of a folder in a line each; a run is read again only when its files have changed."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from sia.errors import StoreError
from sia.report.alive import is_owned
from sia.report.story import stamp
from sia.score.model import Score
from sia.store.catalog import read_generation
from sia.store.records import RunRecord
from sia.store.run_directory import LEDGER_FILE, RUN_FILE, read_run_record

Order = Literal["run", "task", "backend", "status", "generations", "score", "gain", "cost", "time", "updated"]


@dataclass(frozen=True)
class Summary:
    """One run at a glance."""

    run_id: str
    record: RunRecord
    status: str
    score: Score | None
    """Of the best generation: on all items once the run has finished, else on the dev items."""
    dollars: float
    seconds: float
    updated: datetime

    @property
    def gain(self) -> float | None:
        """How much better the best is than the first scored one, on sealed items where there are some."""
        verdict = self.record.sealed_verdict
        if verdict is not None and verdict.difference is not None:
            return verdict.difference
        first, best = self.record.first_scored, self.record.best_scores
        if not first or not best:
            return None
        sign = 1.0 if best.all.direction == "max" else -1.0
        return sign * (best.all.value - first.all.value)


@dataclass(frozen=True)
class Shelf:
    """The runs of a folder, and what is wrong with those that cannot be read."""

    runs: list[Summary] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunFilter:
    """Which runs to show; empty texts and None leave all."""

    task: str = ""
    status: str = ""
    text: str = ""
    min_score: float | None = None
    max_cost: float | None = None

    def keeps(self, run: Summary) -> bool:
        """Whether `run` passes. `min_score` asks for at least, or where lower is better at most, that score."""
        return (
            (not self.task or run.record.task == self.task)
            and (not self.status or run.status == self.status)
            and (not self.text or self.text.lower() in f"{run.run_id} {run.record.task}".lower())
            and (self.min_score is None or _reaches(run.score, self.min_score))
            and (self.max_cost is None or run.dollars <= self.max_cost)
        )


def _run_folders(runs_dir: Path) -> list[str]:
    """The run directories as texts: with thousands of them, making a Path of each would cost more than to look."""
    try:
        with os.scandir(runs_dir) as entries:
            return [entry.path for entry in entries if entry.name.startswith("run_")]
    except OSError:
        return []


def shelf_state(runs_dir: Path) -> list[tuple[str, tuple[int, int]]]:
    """Changes whenever a run appears, goes or moves on."""
    return [(path, stamp(f"{path}/{RUN_FILE}")) for path in sorted(_run_folders(runs_dir))]


def read_shelf(runs_dir: Path) -> Shelf:
    """All runs in `runs_dir`."""
    shelf = Shelf()
    for path in sorted(_run_folders(runs_dir)):
        try:
            shelf.runs.append(summarise(path))
        except StoreError as error:
            shelf.problems.append(str(error))
        except OSError as error:
            shelf.problems.append(f"{path}: {error.strerror}")
    return shelf


def summarise(path: str) -> Summary:
    """The run directory `path` at a glance. Raises StoreError when there is no readable `run.json`."""
    summary = _summarise(path, stamp(f"{path}/{RUN_FILE}"), stamp(f"{path}/{LEDGER_FILE}"))
    if summary.record.status == "running" and not is_owned(Path(path)):
        return replace(summary, status="stopped")
    return summary


@lru_cache(maxsize=8192)
def _summarise(folder: str, run: tuple[int, int], ledger: tuple[int, int]) -> Summary:
    path = Path(folder)
    record = read_run_record(path)
    dollars, seconds = _spent(path / LEDGER_FILE)
    updated = datetime.fromtimestamp(max(run[0], ledger[0]) / 1e9, tz=UTC)
    return Summary(
        path.name.removeprefix("run_"), record, record.status, _score(path, record), dollars, seconds, updated
    )


def _score(path: Path, record: RunRecord) -> Score | None:
    if record.best_scores is not None:
        return record.best_scores.all
    if record.best is None:
        return None
    try:
        return read_generation(path, record.best).score
    except (StoreError, OSError):
        return None


def _spent(ledger: Path) -> tuple[float, float]:
    """US dollars and seconds of all stages. The chain is checked where a run is told in full, not here."""
    dollars = seconds = 0.0
    try:
        content = ledger.read_bytes()
    except OSError:
        return 0.0, 0.0
    for line in content.splitlines():
        try:
            entry: dict[str, Any] = json.loads(line)
            dollars += float(entry["cost"])
            seconds += float(entry["record"].get("seconds", 0.0))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return dollars, seconds


def ordered(runs: list[Summary], by: Order, descending: bool) -> list[Summary]:
    """`runs` sorted; those without a value come last in either direction. Scores: better ones are higher."""
    value = _VALUES[by]
    known = [run for run in runs if value(run) is not None]
    return sorted(known, key=value, reverse=descending) + [run for run in runs if value(run) is None]


def _number_or_name(run: Summary) -> tuple[int, int, str]:
    name = run.run_id
    return (0, int(name), "") if name.isdecimal() and len(name) < 20 else (1, 0, name)


def _goodness(run: Summary) -> float | None:
    if run.score is None:
        return None
    return run.score.value if run.score.direction == "max" else -run.score.value


def _reaches(score: Score | None, bound: float) -> bool:
    if score is None:
        return False
    return score.value >= bound if score.direction == "max" else score.value <= bound


_VALUES: dict[Order, Callable[[Summary], Any]] = {
    "run": _number_or_name,
    "task": lambda run: run.record.task,
    "backend": lambda run: run.record.backend,
    "status": lambda run: run.status,
    "generations": lambda run: run.record.generations,
    "score": _goodness,
    "gain": lambda run: run.gain,
    "cost": lambda run: run.dollars,
    "time": lambda run: run.seconds,
    "updated": lambda run: run.updated,
}
