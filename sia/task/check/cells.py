"""The data of a folder as columns of hashed cells: enough to tell equal values, and no value is held."""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia.store.durable import files_under

MAX_ROWS = 200_000
MAX_BYTES = 256 << 20
TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".txt", ".md")
LONG = 20
"""Characters of a text that does not occur twice by chance."""
NONE = 0
"""The hash of an empty cell."""


@dataclass(frozen=True)
class Column:
    """The cells of one column, one a row."""

    name: str
    cells: tuple[int, ...]
    long: frozenset[int]
    """Those of them that are long texts."""

    def commonest(self) -> float:
        """Share of the commonest value."""
        known = [cell for cell in self.cells if cell != NONE]
        counts: dict[int, int] = {}
        for cell in known:
            counts[cell] = counts.get(cell, 0) + 1
        return max(counts.values(), default=0) / max(len(known), 1)


@dataclass(frozen=True)
class Table:
    """One list of records in a file."""

    file: str
    columns: tuple[Column, ...]
    rows: int


def hashed(value: object) -> int:
    """The hash of a cell: 8 bytes of BLAKE2b over its text without outer white space."""
    text = "" if value is None else value.strip() if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if not text:
        return NONE
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def tables_of(folder: Path) -> list[Table]:
    """Every table in the CSV, TSV, JSON and JSON-lines files under `folder`; other files are passed over."""
    found = []
    for file in files_under(folder):
        if file.suffix not in TEXTS or file.stat().st_size > MAX_BYTES:
            continue
        name = file.relative_to(folder).as_posix()
        for records in _records(file):
            found.append(table_of(name, records))
    return found


def table_of(name: str, records: Iterable[dict[str, Any]]) -> Table:
    """The columns of a list of records; nested fields become columns such as `options.A`."""
    rows = [dict(_flat("", record)) for _, record in zip(range(MAX_ROWS), records, strict=False)]
    names = list(dict.fromkeys(key for row in rows for key in row))
    columns = []
    for key in names:
        values = [row.get(key) for row in rows]
        cells = tuple(hashed(value) for value in values)
        long = frozenset(h for h, v in zip(cells, values, strict=True) if isinstance(v, str) and len(v) >= LONG)
        columns.append(Column(key, cells, long))
    return Table(name, tuple(columns), len(rows))


def records_in(value: object) -> Iterator[list[dict[str, Any]]]:
    """Every list of records in a JSON value; an object of plain values is one, of `key` and `value`."""
    if isinstance(value, list):
        if value and all(isinstance(entry, dict) for entry in value):
            yield value
        elif value and not any(isinstance(entry, dict | list) for entry in value):
            yield [{"value": entry} for entry in value]
    elif isinstance(value, dict):
        plain = {k: v for k, v in value.items() if not _holds_records(v)}
        if plain:
            yield [{"key": key, "value": inner} for key, inner in plain.items()]
        for inner in value.values():
            if _holds_records(inner):
                yield from records_in(inner)


def _holds_records(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(entry, dict) for entry in value))


def _flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)
    else:
        yield prefix, value


def _records(file: Path) -> Iterator[list[dict[str, Any]]]:
    try:
        if file.suffix in (".csv", ".tsv"):
            with file.open(newline="", encoding="utf-8-sig") as lines:
                reader = csv.DictReader(lines, delimiter="\t" if file.suffix == ".tsv" else ",", restkey="+")
                yield [row for _, row in zip(range(MAX_ROWS), reader, strict=False)]
        elif file.suffix == ".json":
            yield from records_in(json.loads(file.read_text(encoding="utf-8-sig")))
        elif file.suffix == ".jsonl":
            with file.open(encoding="utf-8-sig") as lines:
                yield from records_in([json.loads(line) for line in lines if line.strip()])
        else:
            yield [{"line": line} for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, ValueError, csv.Error, RecursionError):
        return
