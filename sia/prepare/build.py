"""From a competition's name to a task package: whole in the tasks folder, or not there at all."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sia.environment import cache_dir
from sia.errors import HostError, TaskError, UsageError
from sia.prepare import package
from sia.prepare.archive import unpack
from sia.prepare.bench import BenchCompetition, bench_competition, prepare_with_bench
from sia.prepare.competition import Competition, plain_text
from sia.prepare.download import download_competition
from sia.prepare.holdout import choose_holdout
from sia.prepare.rules import choose_rules, grading
from sia.prepare.tables import TABLES, find_table, read_tables
from sia.store.durable import digest_file, files_under, sync_folder
from sia.task.check import check_task
from sia.task.package import load_task

DESCRIPTIONS = ("description.md", "description.txt", "data_description.txt")

Tell = Callable[[str], None]
WriteSamples = Callable[[str, Tell], str]
"""Writes descriptions of tasks that are similar to the one described."""


@dataclass(frozen=True)
class Wish:
    """What one task is to be made of."""

    slug: str
    tasks_dir: Path
    data_dir: Path | None = None
    """A folder or a zip with the competition's files; None: they are downloaded."""
    holdout: float = 0.1
    """Share of the labelled rows that is held out, where MLE-bench's own split is not used."""
    seed: int = 0
    metric: str | None = None
    force: bool = False


def prepare_competition(wish: Wish, tell: Tell, write_samples: WriteSamples | None = None) -> Path:
    """Makes the task package of a competition; returns its folder.

    Raises UsageError, TaskError or HostError, each with the remedy; then the tasks folder is as it was.
    """
    place = wish.tasks_dir / wish.slug
    if place.exists() and not wish.force:
        raise UsageError(f"{place} is there already", "`--force` makes it anew; `--tasks-dir` names another folder")
    try:
        wish.tasks_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=wish.tasks_dir, prefix=".new-") as beside:
            root = Path(beside) / wish.slug
            for folder in ("public", "private"):
                (root / "data" / folder).mkdir(parents=True)
            bench = bench_competition(wish.slug)
            if bench:
                _with_bench(wish, bench, root, tell)
            else:
                _generic(wish, root, Path(beside) / "unpacked", tell)
            package.write_samples(write_samples(load_task(root).description, tell) if write_samples else None, root)
            _refuse_unfit(root)
            _put(root, place)
    except OSError as error:
        raise HostError(
            f"{error.filename or wish.tasks_dir}: {error.strerror or error}",
            "free some space, or correct the permissions",
        ) from None
    return place


def _generic(wish: Wish, root: Path, scratch: Path, tell: Tell) -> None:
    """The split that is described in `sia.prepare.holdout`."""
    source, competition = _source(wish, tell)
    scratch.mkdir()
    files = gather(source, scratch)
    if not competition.description:
        competition = _described(competition, files)
    tables = read_tables(files, source)
    rules = choose_rules(tables, competition, wish.metric)
    holdout = choose_holdout(tables, wish.holdout, wish.seed, by_class=rules.form != "numbers")
    by = f" by {holdout.column}" if holdout.column else ""
    tell(f"{wish.slug}: metric {rules.metric.name} ({rules.origin}), {rules.metric.direction} is better")
    tell(f"{wish.slug}: {len(holdout.rows)} of {len(tables.train)} rows held out, {holdout.rule}{by}, seed {wish.seed}")
    if tables.aside:
        tell(f"{wish.slug}: left out, for they may hold answers: {', '.join(tables.aside[:10])}")
    package.write_tables(tables, holdout, root)
    package.write_grading(grading(rules, tables, package.ANSWERS), root)
    origin = package.Origin(
        competition,
        f"{competition.address}; generic split, not MLE-bench's: {holdout.rule}{by}, holdout {wish.holdout:g}, "
        f"seed {wish.seed}; {_checksum(source, files)}",
    )
    package.write_description(tables, rules, holdout, origin, root)
    package.write_manifest(origin, rules.metric.name, rules.metric.direction, root)
    package.write_reference(tables, rules, root)


def _with_bench(wish: Wish, bench: BenchCompetition, root: Path, tell: Tell) -> None:
    """MLE-bench's own split, grader and leaderboard."""
    if wish.metric:
        raise UsageError(f"{wish.slug} is graded by MLE-bench", "leave `--metric` out")
    prepared = prepare_with_bench(bench, lambda: _source(wish, tell)[0], root, tell)
    package.write_grading(prepared.grading, root)
    package.write_manifest(prepared.origin, prepared.metric, prepared.direction, root)
    if prepared.tables and prepared.rules:
        package.write_reference(prepared.tables, prepared.rules, root)
    else:
        package.write_plain_reference(root)


def _source(wish: Wish, tell: Tell) -> tuple[Path, Competition]:
    """Where the competition's files are: the user's folder or zip, else the download."""
    if wish.data_dir is None:
        return download_competition(wish.slug, cache_dir() / "kaggle" / wish.slug, tell)
    if not wish.data_dir.exists():
        raise UsageError(f"{wish.data_dir} is not there", "give the folder or the zip with `--data-dir`")
    if wish.data_dir.is_file() and wish.data_dir.suffix.lower() != ".zip":
        raise UsageError(
            f"{wish.data_dir} is neither a folder nor a zip", "give the folder or the zip with `--data-dir`"
        )
    return wish.data_dir, Competition(wish.slug)


def gather(source: Path, scratch: Path) -> list[Path]:
    """Every file of the source; tables and descriptions in zips, also one zip in another, are unpacked into `scratch`.

    A file in a zip that is neither stands in the list by its name alone.
    """
    if source.is_file():
        names = unpack(source, scratch, _wanted)
        files = [scratch / name for name in names]
    else:
        files = files_under(source)
    found: list[Path] = []
    for number, file in enumerate(files):
        if file.suffix.lower() == ".zip" and file.is_file():
            inner = scratch / f".inner-{number}"
            inner.mkdir()
            found += [inner / name for name in unpack(file, inner, lambda n: _wanted(n) and not n.endswith(".zip"))]
        else:
            found.append(file)
    # Tables that lie higher come first: they are the competition's, not a copy of something.
    return sorted(found, key=lambda f: (len(f.parts), f.name))


def _wanted(name: str) -> bool:
    return name.lower().endswith((*TABLES, ".zip")) or Path(name).name in DESCRIPTIONS


def _described(competition: Competition, files: list[Path]) -> Competition:
    """With the description that lies beside the data, if one does."""
    file = next((f for f in files if f.name in DESCRIPTIONS and f.is_file()), None)
    if file is None:
        return competition
    return Competition(competition.slug, description=plain_text(file.read_text(encoding="utf-8", errors="replace")))


def _checksum(source: Path, files: list[Path]) -> str:
    file = source if source.is_file() else find_table(files, "train")
    assert file is not None
    return f"SHA-256 of {file.name} {digest_file(file)}"


def _refuse_unfit(root: Path) -> None:
    """What `sia tasks check` would say of the new task must hold no error."""
    for finding in check_task(load_task(root)):
        if finding.level == "error":
            raise TaskError(Path(finding.subject), finding.told, finding.remedy)


def _put(root: Path, place: Path) -> None:
    """Moves the new task to its place, and the old one away, in two renames."""
    if place.exists():
        old = root.with_name(".old")
        place.rename(old)
        try:
            root.rename(place)
        except OSError:
            old.rename(place)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        root.rename(place)
    sync_folder(place.parent)
    os.sync()
