"""What the public files say about a set of questions that are answered in one JSON object of id and answer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia.author.offline.grammar import NotOfThisKind

SAMPLE = "sample_submission.json"


@dataclass(frozen=True)
class QuestionFile:
    """A JSON list of records, one a question, and the form of the answers."""

    file: str
    records: tuple[dict[str, Any], ...]
    id: str
    """Field of the records that the keys of the submission are found in."""
    text: str
    """Field with the longest texts: the question."""
    sample: dict[str, Any]
    """The sample submission: id to an answer of the right form."""


def look_at_questions(public: Path) -> QuestionFile:
    """Finds the file whose records the sample submission answers. Raises NotOfThisKind, saying what is missing."""
    sample = _read_json(public / SAMPLE)
    if not isinstance(sample, dict) or not sample:
        raise NotOfThisKind(f"no {SAMPLE} with one answer for each question")
    for file in sorted(public.glob("*.json")):
        records = _read_json(file)
        if not isinstance(records, list) or not records or not all(isinstance(r, dict) for r in records):
            continue
        for field in records[0]:
            if {str(r.get(field)) for r in records} == set(sample):
                texts = [k for k, v in records[0].items() if isinstance(v, str) and k != field]
                if not texts:
                    raise NotOfThisKind(f"the records of {file.name} hold no text")
                longest = max(texts, key=lambda k: sum(len(str(r.get(k, ""))) for r in records))
                return QuestionFile(file.name, tuple(records), field, longest, sample)
    raise NotOfThisKind(f"no file of records whose ids are those of {SAMPLE}")


def _read_json(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
