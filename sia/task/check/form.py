"""The form of a submission as the public files show it: the sample submission, and the answers that they name."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sia.task.package import TaskPackage

MAX_ANSWERS = 300
Entry = tuple[str, Any]
"""An id and an answer."""


@dataclass(frozen=True)
class Form:
    """How answers are handed in."""

    file: str
    """Name of the submission: that of the sample without `sample_`."""
    entries: tuple[Entry, ...]
    """The sample submission."""
    answers: tuple[Any, ...]
    """Answers that the public files name, the commonest first."""
    header: tuple[str, ...] = ()
    """Columns of a CSV file: id, answer; empty for a JSON object."""
    more: dict[str, str] = field(default_factory=dict)
    """Further columns of the sample with the value in its first row."""
    guessed: bool = False
    """There is no sample: the form is what the questions suggest."""

    def write(self, entries: Sequence[Entry]) -> bytes:
        """The file that hands in `entries`, an id as often as it occurs."""
        if not self.header:
            body = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in entries)
            return f"{{{body}}}\n".encode()
        return self.table([*self.header, *self.more], [(key, value, *self.more.values()) for key, value in entries])

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
        """A CSV file."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        return text.getvalue().encode()


def find_form(public: Path) -> Form | None:
    """The form that a sample submission in the public folder shows, else the one that questions with options suggest.

    None when there is nothing that can be read.
    """
    for file in sorted(p for p in public.rglob("*") if p.suffix in (".csv", ".json")):
        if not re.search(r"(?i)sample_?submission", file.stem):
            continue
        read: Callable[[Path, Path], Form | None] = _from_table if file.suffix == ".csv" else _from_object
        try:
            form = read(file, public)
        except (OSError, ValueError, csv.Error, RecursionError):
            form = None
        if form and form.entries:
            return form
    return _from_questions(public)


def sample_program(task: TaskPackage) -> Path | None:
    """The public program that shows the form; None where the task asks for no program, or shows none."""
    name = task.manifest.agent.program
    file = task.public_dir / f"sample_{name}"
    return file if name and file.is_file() else None


def _submission_name(file: Path) -> str:
    return re.sub(r"(?i)sample_?(submission)", lambda match: match[1].lower(), file.name)


def _from_table(file: Path, public: Path) -> Form | None:
    header, rows = _read_table(file)
    if len(header) < 2 or not rows:
        return None
    identity, answer, *more = header
    seen: Counter[str] = Counter(row[answer] for row in rows)
    for other in sorted(public.glob("*.csv")):
        names, known = _read_table(other)
        if other != file and answer in names:
            seen.update(row[answer] for row in known)
    return Form(
        file=_submission_name(file),
        entries=tuple((row[identity], row[answer]) for row in rows),
        answers=tuple(value for value, _ in seen.most_common(MAX_ANSWERS) if value),
        header=(identity, answer),
        more={name: rows[0][name] for name in more},
    )


def _read_table(file: Path) -> tuple[list[str], list[dict[str, str]]]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines, restval="")
        return list(reader.fieldnames or ()), list(reader)


def _from_object(file: Path, public: Path) -> Form | None:
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    if not isinstance(content, dict) or any(isinstance(value, dict) for value in content.values()):
        return None
    answers = list({json.dumps(value): value for value in content.values()}.values())
    for value in _options(public, answers):
        if value not in answers:
            answers.append(value)
    return Form(_submission_name(file), tuple(content.items()), tuple(answers[:MAX_ANSWERS]))


def _from_questions(public: Path) -> Form | None:
    """The first option for every question, by id, in submission.json."""
    for file in sorted(public.glob("*.json")):
        try:
            records = json.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            continue
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            continue
        ids = [str(record.get("id", record.get("question_id"))) for record in records]
        options = next((list(v) for r in records for v in r.values() if isinstance(v, dict) and len(v) > 1), [])
        if options and len(set(ids)) == len(ids) > 1:
            return Form("submission.json", tuple((key, options[0]) for key in ids), tuple(options), guessed=True)
    return None


def _options(public: Path, answers: Sequence[object]) -> list[str]:
    """The names of a question's options, where an answer of the sample is one of them."""
    for file in sorted(public.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8-sig"))
        first = content[0] if isinstance(content, list) and content else None
        for value in first.values() if isinstance(first, dict) else ():
            if isinstance(value, dict) and any(answer in value for answer in answers if isinstance(answer, str)):
                return [str(key) for key in value]
    return []
