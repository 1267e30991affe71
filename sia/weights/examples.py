"""Rows of public data become examples: a prompt, and where there are labels the right answer."""

import csv
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sia.weights.plan import Data, PlanError

MAX_BYTES = 256 << 20
MAX_VALIDATION = 200
_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


@dataclass(frozen=True)
class Example:
    """One row to learn from."""

    prompt: str
    answer: str | None
    """The right answer without its prefix; None: not known."""
    row: Mapping[str, str]
    """The whole row, for reward functions."""


class Examples(NamedTuple):
    """The rows of a plan, split by its seed."""

    train: list[Example]
    validation: list[Example]


def read_examples(data: Data, folder: Path, seed: int) -> Examples:
    """The examples that `data` selects from `folder`.

    Raises PlanError when the file is missing, is reached by a link, or does not hold what the plan names.
    """
    rows = read_rows(folder, data)
    generator = random.Random(seed)
    generator.shuffle(rows)
    examples = [_example(row, data) for row in rows[: data.limit]]
    count = min(MAX_VALIDATION, int(len(examples) * data.validation))
    return Examples(train=examples[count:], validation=examples[:count])


def read_rows(folder: Path, data: Data) -> list[dict[str, str]]:
    """The rows that `data` keeps of its file. Raises PlanError as `read_examples` does, and when none is left."""
    rows = [row for row in _read_rows(_inside(folder, data.file)) if _kept(row, data.where)]
    if not rows:
        raise PlanError(f"data: no row of {data.file} is left")
    return rows


def fill(template: str, row: Mapping[str, str]) -> str:
    """The template with `{column}` replaced by the row's value. Raises PlanError for a column that is not there."""

    def value(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] not in row:
            raise PlanError(f"data.prompt names {match[0]}; the columns are {', '.join(list(row)[:40])}")
        return row[match[1]]

    return _FIELD.sub(value, template)


def _example(row: Mapping[str, str], data: Data) -> Example:
    answer = None
    if data.answer is not None:
        if data.answer not in row:
            raise PlanError(f"data.answer: there is no column {data.answer!r}; the columns are {', '.join(row)}")
        answer = row[data.answer]
        if data.choices is not None and answer not in data.choices:
            raise PlanError(f"data.choices lacks {answer[:60]!r}, the answer of a row")
    return Example(fill(data.prompt, row), answer, row)


def _kept(row: Mapping[str, str], where: Mapping[str, Sequence[str]]) -> bool:
    for column, values in where.items():
        if column not in row:
            raise PlanError(f"data.where: there is no column {column!r}")
        if row[column] not in values:
            return False
    return True


def _inside(folder: Path, name: str) -> Path:
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise PlanError(f"data.file {name!r} leads outside its folder")
    if not file.is_file():
        raise PlanError(f"data.file: there is no {name}")
    if file.stat().st_size > MAX_BYTES:
        raise PlanError(f"data.file: {name} is larger than {MAX_BYTES >> 20} MiB")
    return file


def _read_rows(file: Path) -> list[dict[str, str]]:
    try:
        if file.suffix in (".csv", ".tsv"):
            with file.open(newline="", encoding="utf-8-sig") as lines:
                reader = csv.DictReader(lines, delimiter="\t" if file.suffix == ".tsv" else ",", restval="")
                return [{k: v for k, v in row.items() if isinstance(k, str)} for row in reader]
        text = file.read_text(encoding="utf-8")
        found = (
            json.loads(text)
            if file.suffix == ".json"
            else [json.loads(line) for line in text.split("\n") if line.strip()]
        )
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, RecursionError) as error:
        raise PlanError(f"data.file: {file.name} cannot be read: {error}") from None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise PlanError(f"data.file: {file.name} is not a list of objects")
    return [
        {str(k): v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in row.items()}
        for row in found
    ]
