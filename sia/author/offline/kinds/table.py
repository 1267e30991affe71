"""What the public files say about a table: its target, its id, and the kinds of its columns."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from sia.author.offline.grammar import NotOfThisKind

DELIMITERS = "/_-|:"


@dataclass(frozen=True)
class TableSchema:
    """The tables of a task."""

    train: str
    test: str
    sample: str
    id: str
    target: str
    problem: Literal["classification", "regression"]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    composites: tuple[tuple[str, str], ...]
    """Text columns of joined values, each with its delimiter."""
    amounts: tuple[str, ...]
    """Columns of non-negative numbers of which many are zero."""
    rows: int
    missing: float
    """Share of the cells of the features that are empty, in the training table."""


def look_at_table(public: Path) -> TableSchema:
    """Reads the CSV files of `public`. Raises NotOfThisKind, saying what is missing."""
    # sample_submission.csv and sampleSubmission.csv are both common.
    found = {re.sub("[^a-z]", "", file.stem.lower()): file for file in sorted(public.glob("*.csv"))}
    files = {}
    for name in ("train", "test", "sample_submission"):
        file = found.get(name.replace("_", ""))
        if file is None:
            raise NotOfThisKind(f"no {name}.csv in {public}")
        files[name] = file
    train, test = pd.read_csv(files["train"]), pd.read_csv(files["test"])
    sample = pd.read_csv(files["sample_submission"])
    target = next((c for c in sample.columns if c in train.columns and c not in test.columns), None)
    identity = next((c for c in sample.columns if c in test.columns), None)
    if target is None or identity is None:
        raise NotOfThisKind(f"{files['sample_submission'].name} does not name an id and a target column")
    y = train[target]
    continuous = pd.api.types.is_float_dtype(y) or (pd.api.types.is_integer_dtype(y) and y.nunique() > 20)
    features = [c for c in test.columns if c != identity and c in train.columns]
    numeric = [c for c in features if _is_number(train[c])]
    texts = [c for c in (identity, *features) if not _is_number(train[c])]
    composites = tuple((c, d) for c in texts if (d := _delimiter(train[c])))
    joined = {c for c, _ in composites}
    categorical = [c for c in texts if c != identity and c not in joined and train[c].nunique() <= 50]
    return TableSchema(
        train=files["train"].name,
        test=files["test"].name,
        sample=files["sample_submission"].name,
        id=identity,
        target=target,
        problem="regression" if continuous else "classification",
        numeric=tuple(numeric),
        categorical=tuple(categorical),
        composites=composites,
        amounts=tuple(c for c in numeric if _is_amount(train[c])),
        rows=len(train),
        missing=float(train[features].isna().to_numpy().mean()) if features else 0.0,
    )


def _is_number(column: "pd.Series[Any]") -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column))


def _is_amount(column: "pd.Series[Any]") -> bool:
    known = column.dropna()
    return bool(len(known) and (known >= 0).all() and (known == 0).mean() > 0.3 and known.nunique() > 10)


def _delimiter(column: "pd.Series[Any]") -> str | None:
    """The delimiter that cuts every value into one and the same number of parts, with parts that recur."""
    known = column.dropna().astype(str)
    for delimiter in DELIMITERS:
        counts = known.str.count("\\" + delimiter)
        if len(known) and counts.min() == counts.max() >= 1 and known.nunique() > 50:
            return delimiter
    return None
