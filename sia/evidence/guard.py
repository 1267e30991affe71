"""The leak guard: knows the hashes of private values and finds them in text. It holds no value itself."""

import codecs
import csv
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

MIN_LENGTH = 8
"""Shorter values (a class label, a small number) occur everywhere by chance and are not guarded."""
MAX_WORDS = 8
MAX_VALUES = 5_000_000
_WORDS = re.compile(r"\S+")
_VALUE = re.compile(r"[:=>]\s*([^:=<>]+)")
"""What follows a key or a tag, in YAML, in settings and in XML."""
_HEAD_BYTES = 8192
LATIN_1 = "sia-latin-1"
"""Error handler: bytes that are no UTF-8 are taken for Latin-1, which knows every byte."""


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(LATIN_1, _as_latin_1)


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


def passed_over(folder: Path) -> list[Path]:
    """The data files of `folder` that are no text: their values are not guarded."""
    return [file for file in _data_files(folder) if _encoding(file) is None]


def _data_files(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc") and "__pycache__" not in p.parts
    )


def _values(folder: Path) -> Iterator[str]:
    """The texts of meaningful length in the data files of `folder`; code and binary files are passed over."""
    for file in _data_files(folder):
        encoding = _encoding(file)
        if encoding is None:
            continue
        for value in _cells(file, encoding):
            normal = _normal(value)
            if len(normal) >= MIN_LENGTH:
                yield normal


def _encoding(file: Path) -> str | None:
    """How the file is to be decoded; None when it is no text."""
    with file.open("rb") as content:
        head = content.read(_HEAD_BYTES)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return None if b"\0" in head else "utf-8-sig"


def _cells(file: Path, encoding: str) -> Iterator[str]:
    """The values in a file. What does not parse is taken line by line: a bad line hides none of the others."""
    with file.open(newline="", encoding=encoding, errors=LATIN_1) as lines:
        if file.suffix in (".csv", ".tsv"):
            yield from _rows(csv.reader(lines, delimiter="\t" if file.suffix == ".tsv" else ","))
        elif file.suffix == ".json":
            yield from _json(lines.read())
        elif file.suffix == ".jsonl":
            for line in lines:
                yield from _json(line)
        else:
            yield from _lines(lines)


def _rows(reader: Iterator[list[str]]) -> Iterator[str]:
    while True:
        try:
            yield from next(reader)
        except StopIteration:
            return
        except csv.Error:
            continue


def _json(text: str) -> Iterator[str]:
    try:
        yield from _texts(json.loads(text))
    except (ValueError, RecursionError):
        yield from _lines(text.splitlines())


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line.strip().lstrip("-*# ")
        yield from _VALUE.findall(line)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)
