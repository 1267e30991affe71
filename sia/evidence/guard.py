"""The leak guard: knows the hashes of private values and finds them in text. It holds no value itself."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

MIN_LENGTH = 8
"""Shorter values (a class label, a small number) occur everywhere by chance and are not guarded."""
MAX_WORDS = 8
MAX_VALUES = 5_000_000
_WORDS = re.compile(r"\S+")


class LeakGuard:
    """Guards the values of `private_dir` that `public_dir` does not hold as well."""

    def __init__(self, private_dir: Path, public_dir: Path) -> None:
        self._hashes: set[int] = set()
        for value in _values(private_dir):
            if len(self._hashes) < MAX_VALUES:
                self._hashes.add(_hash(value))
        for value in _values(public_dir):
            self._hashes.discard(_hash(value))

    def leaks(self, text: str) -> tuple[str, ...]:
        """Where `text` holds guarded values: line numbers, never the values."""
        found = []
        for number, line in enumerate(text.splitlines(), start=1):
            if any(_hash(part) in self._hashes for part in _parts(line)):
                found.append(f"line {number}")
        return tuple(found)


def _normal(text: str) -> str:
    return " ".join(text.casefold().split()).strip("\"'`.,;:()[]{}")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _parts(line: str) -> Iterator[str]:
    """Every run of up to `MAX_WORDS` words, every quoted text and every cell of the line."""
    words = _WORDS.findall(line)
    for start in range(len(words)):
        for length in range(1, MAX_WORDS + 1):
            part = _normal(" ".join(words[start : start + length]))
            if len(part) >= MIN_LENGTH:
                yield part
    for part in (line, *re.split(r"[\"',;\t|]", line)):
        if len(_normal(part)) >= MIN_LENGTH:
            yield _normal(part)


def _values(folder: Path) -> Iterator[str]:
    """The texts of meaningful length in the data files of `folder`; code and binary files are passed over."""
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        raw = _cells(file)
        for value in raw:
            normal = _normal(value)
            if len(normal) >= MIN_LENGTH:
                yield normal


def _cells(file: Path) -> Iterator[str]:
    try:
        if file.suffix in (".csv", ".tsv"):
            with file.open(newline="", encoding="utf-8") as lines:
                for row in csv.reader(lines, delimiter="\t" if file.suffix == ".tsv" else ","):
                    yield from row
        elif file.suffix == ".json":
            yield from _texts(json.loads(file.read_text(encoding="utf-8")))
        elif file.suffix in (".jsonl", ".txt", ".md"):
            with file.open(encoding="utf-8") as lines:
                for line in lines:
                    yield from _texts(json.loads(line)) if file.suffix == ".jsonl" and line.strip() else (line,)
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, RecursionError):
        return


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
