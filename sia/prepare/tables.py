"""Reads a competition's tables as Kaggle hands them over, and says which column is what.

Cells stay the texts that they are in the file, so that nothing changes on its way into the task.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sia.errors import TaskError
from sia.prepare.evaluate import normal

TABLES = (".csv", ".tsv")
MEDIA = frozenset(
    (
        *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".dcm", ".npy", ".npz", ".mat", ".h5", ".tfrec"),
        *(".wav", ".mp3", ".flac", ".ogg", ".aif", ".aiff", ".mp4", ".avi", ".parquet"),
    )
)
WORDS = (".md", ".txt", ".pdf", ".html")
MIN_ROWS = 20
BENCH = "MLE-bench may have a split for it: install it (docs/walkthrough.md) and run the same command again"
_NAMES = {
    "train": {"train", "training", "traindata", "trainingdata", "labeledtraindata"},
    "test": {"test", "testing", "testdata", "testset"},
    "sample": {
        "samplesubmission",
        "samplesubmissions",
        "submissionsample",
        "sampleentry",
        "submissionformat",
        "gendersubmission",
    },
}


@dataclass(frozen=True)
class Tables:
    """The labelled table, the unlabelled one and the form of an answer. Every cell is a text."""

    train: pd.DataFrame
    test: pd.DataFrame | None
    sample: pd.DataFrame
    id: str
    targets: tuple[str, ...]
    """Label columns of the training table."""
    classes: tuple[str, ...] = ()
    """Columns of the answer where it holds one probability a class; empty where it holds the targets."""
    aside: tuple[str, ...] = ()
    """Files that the task does without, by name."""

    @property
    def answers(self) -> tuple[str, ...]:
        """Columns of an answer besides the id."""
        return self.classes or self.targets

    @property
    def features(self) -> tuple[str, ...]:
        """Columns that may be seen for a row to predict: those of the competition's own test table."""
        seen = self.train.columns if self.test is None else self.test.columns
        copies = {c for c in self.train.columns if any(self.train[c].equals(self.train[t]) for t in self.targets)}
        return tuple(c for c in self.train.columns if c in seen and c not in copies and c not in self.targets)


def read_tables(files: Sequence[Path], folder: Path) -> Tables:
    """The tables among `files`. Raises TaskError for what cannot be split generically, with the reason."""
    media = next((f for f in files if f.suffix.lower() in MEDIA), None)
    if media:
        raise TaskError(
            folder, f"has data that are no tables ({media.name}); the generic split knows tables only", BENCH
        )
    train_file, sample_file = _need(files, folder, "train"), _need(files, folder, "sample")
    test_file = find_table(files, "test")
    train, sample = _read(train_file), _read(sample_file)
    test = _read(test_file) if test_file else None
    identity = _identity(train_file, train, sample_file, sample)
    targets, classes = _targets(train_file, train, test, sample, identity)
    others = (f for f in files if f not in (train_file, test_file, sample_file))
    aside = tuple(f.name for f in others if f.suffix.lower() not in WORDS)
    tables = Tables(train, test, sample, identity, targets, classes, aside)
    if not set(tables.features) - {identity}:
        raise TaskError(train_file, "has no columns to learn from", BENCH)
    return tables


def labelled(tables: Tables) -> "pd.Series[bool]":
    """Which rows of the training table have every label."""
    return (tables.train[list(tables.targets)] != "").all(axis=1)


def find_table(files: Sequence[Path], role: str) -> Path | None:
    """The file that plays a role: `train`, `test` or `sample`, told by its name."""
    stems = ((f, re.sub("[^a-z]", "", f.stem.lower())) for f in files if f.suffix.lower() in TABLES)
    return next((f for f, stem in stems if stem in _NAMES[role]), None)


def _need(files: Sequence[Path], folder: Path, role: str) -> Path:
    file = find_table(files, role)
    if file is None:
        name = {"train": "labelled table train.csv", "sample": "sample_submission.csv"}[role]
        raise TaskError(folder, f"there is no {name}", f"put the competition's own files there; {BENCH}")
    return file


def _read(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            file, sep="\t" if file.suffix.lower() == ".tsv" else ",", dtype=str, na_filter=False, encoding="utf-8-sig"
        )
    except pd.errors.EmptyDataError:
        raise TaskError(file, "is empty", "fetch it again") from None
    except UnicodeDecodeError as error:
        raise TaskError(file, f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    except pd.errors.ParserError as error:
        raise TaskError(
            file, f"is not a table: {' '.join(str(error).split())}", "correct the line, or fetch it again"
        ) from None
    except OSError as error:
        raise TaskError(file, f"cannot be read: {error.strerror}", "correct its permissions") from None
    if table.empty:
        raise TaskError(file, "has no rows", "fetch it again")
    return table


def _identity(train_file: Path, train: pd.DataFrame, sample_file: Path, sample: pd.DataFrame) -> str:
    """The column that names a row. Raises TaskError when there is none, or when it names two rows."""
    if len(sample.columns) < 2:
        raise TaskError(sample_file, "has one column; an id and at least one answer are needed", BENCH)
    identity = str(sample.columns[0])
    if identity not in train.columns:
        raise TaskError(train_file, f"has no id column {identity!r}, which {sample_file.name} names its rows by", BENCH)
    keys = train[identity].map(normal)
    if (keys == "").any():
        raise TaskError(train_file, f"row {int((keys == '').argmax()) + 1} has no {identity}", "correct the row")
    if keys.duplicated().any():
        row, times = int(keys.duplicated().argmax()) + 1, int(keys.duplicated().sum())
        raise TaskError(
            train_file,
            f"{identity} does not name a row: row {row} has one that was there before, as have {times - 1} more",
            BENCH,
        )
    return identity


def _targets(
    file: Path, train: pd.DataFrame, test: pd.DataFrame | None, sample: pd.DataFrame, identity: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Label columns, and the classes where the sample submission has a column for each."""
    answers = tuple(str(c) for c in sample.columns if c != identity)
    if all(a in train.columns for a in answers):
        if test is not None and any(a in test.columns for a in answers):
            raise TaskError(file, "its label columns are in the test table as well", "give the competition's own files")
        return answers, ()
    hidden = [c for c in train.columns if c != identity and (test is None or c not in test.columns)]
    if len(answers) > 1:
        for column in hidden:
            if {normal(v) for v in train[column]} == {normal(a) for a in answers}:
                return (str(column),), answers
    missing = next(a for a in answers if a not in train.columns)
    raise TaskError(file, f"has no label column {missing!r}, which the sample submission asks for", BENCH)
