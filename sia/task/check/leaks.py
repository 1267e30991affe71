"""Private values in public files: found by joining tables over their ids, cell by cell, hash by hash."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sia.evidence.guard import passed_over
from sia.task.check.cells import NONE, Column, Table, tables_of
from sia.task.check.finding import Finding
from sia.task.package import TaskPackage

ANSWER_WORDS = re.compile(
    r"(?i)(^|[._ ])(value|answers?|labels?|targets?|correct|solutions?|gold|truth|expected|y)([._ ]|$)"
)
SAMPLE = re.compile("(?i)sample_?submission")
AGREES = 0.9
"""Share of joined rows above which two columns say the same."""
CHANCE = 1e-6
"""Probability below which agreement is no chance."""


@dataclass(frozen=True)
class Twin:
    """A column of another table that says what a private column says."""

    private: str
    table: str
    column: str
    rows: int
    """Rows on which the two agree."""


def find_leaks(task: TaskPackage) -> Iterator[Finding]:
    """One finding for every private answer that a public file gives away, or one that there is none."""
    public, private = tables_of(task.public_dir), tables_of(task.private_dir)
    answers = [(table, columns) for table in private if (columns := answer_columns(table, public))]
    clean = True
    for table, columns in answers:
        for column in columns:
            for twin in twins_of(table, column, public, asked_rows(table, column, public)):
                clean = False
                told = f"{twin.column!r} gives away {column.name!r} of data/private/{table.file} ({twin.rows} rows)"
                yield Finding("error", f"data/public/{twin.table}", told, "take the answers out of the public files")
    if binary := passed_over(task.private_dir):
        told = f"no text ({len(binary)} such files in data/private): nothing keeps its values out of what authors read"
        remedy = "keep answers in CSV, JSON or text"
        yield Finding("warning", str(binary[0].relative_to(task.root)), told, remedy)
    if clean:
        cells = sum(len(column.cells) for table in (*public, *private) for column in table.columns)
        told = f"{cells} cells compared; no private answer in a public file"
        if private and not answers:
            told = f"{cells} cells compared; no answers were recognised among the private tables"
        yield Finding("ok", "data", told)


def answer_columns(table: Table, public: list[Table]) -> list[Column]:
    """The columns of a private table that hold what is asked for, as far as can be told from names.

    They are those that the sample submission has as well (without the ids), and those that are called like answers.
    Where there is none, every column that no public table repeats under the same name is one.
    """
    sample = {c.name for t in public if SAMPLE.search(t.file) for c in t.columns}
    identities = {c.name for c in table.columns if _is_identity(c)}
    asked = [c for c in table.columns if (c.name in sample and c.name not in identities) or ANSWER_WORDS.search(c.name)]
    if not asked:
        repeated = {c.name for t in public for c in t.columns}
        asked = [c for c in table.columns if c.name not in repeated and c.name not in identities]
    return [c for c in asked if c.commonest() < 1.0]


def asked_rows(table: Table, answer: Column, public: list[Table]) -> frozenset[int]:
    """The private rows that the sample submission asks for; all where there is none. Others may be training rows."""
    for sample in (t for t in public if SAMPLE.search(t.file)):
        if rows := frozenset(row for row, _ in _joined(table, answer, sample)):
            return rows
    return frozenset(range(table.rows))


def twins_of(table: Table, column: Column, others: list[Table], asked: frozenset[int]) -> Iterator[Twin]:
    """Columns of other tables that say the same in the rows `asked`: joined over ids, else in the order of the rows."""
    for other in others:
        pairs = [(a, b) for a, b in _joined(table, column, other) or _in_order(table, other) if a in asked]
        for candidate in other.columns:
            both = [
                (column.cells[a], candidate.cells[b])
                for a, b in pairs
                if column.cells[a] != NONE and candidate.cells[b] != NONE
            ]
            equal = sum(a == b for a, b in both)
            varied = len({candidate.cells[b] for _, b in pairs}) > 1
            if varied and equal >= AGREES * len(both) and column.commonest() ** equal < CHANCE:
                yield Twin(column.name, other.file, candidate.name, equal)
            elif not pairs and len(column.long) >= max(8, 0.5 * len(column.cells)):
                # Long texts that hardly recur; labels recur, and a list of them gives nothing away.
                found = len(column.long & candidate.long)
                if found >= AGREES * len(column.long):
                    yield Twin(column.name, other.file, candidate.name, found)


def _is_identity(column: Column) -> bool:
    return len(set(column.cells)) == len(column.cells) and NONE not in column.cells


def _joined(table: Table, answer: Column, other: Table) -> list[tuple[int, int]]:
    """Row numbers that belong together, by the two columns of ids that share the most values."""
    best: list[tuple[int, int]] = []
    for mine in (c for c in table.columns if c is not answer and _is_identity(c)):
        places = {cell: row for row, cell in enumerate(mine.cells)}
        for theirs in other.columns:
            pairs = [(places[cell], row) for row, cell in enumerate(theirs.cells) if cell in places]
            if len(pairs) > len(best):
                best = pairs
    return best


def _in_order(table: Table, other: Table) -> list[tuple[int, int]]:
    return [(row, row) for row in range(table.rows)] if table.rows == other.rows else []
