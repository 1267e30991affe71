"""Files of JSON lines, each naming the SHA-256 of the line before it: nothing in them changes unseen.

A torn last line (power cut, kill in the middle of the write) is no line: it is cut off when the file is opened for
writing.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import ValidationError

from sia.errors import StoreError

START = "0" * 64
"""What the first line names."""


class Chained(Protocol):
    """A line of a chain."""

    @property
    def previous(self) -> str:
        """SHA-256 of the previous line."""

    def model_dump_json(self) -> str:
        """The line as JSON."""


Line = TypeVar("Line", bound=Chained)


def read_chain(path: Path, parse: Callable[[bytes], Line]) -> tuple[list[Line], int, str]:
    """The lines, the length in bytes of the whole ones, and the hash that the next line has to name.

    Raises StoreError when a line is not what the chain says.
    """
    content = path.read_bytes() if path.exists() else b""
    lines: list[Line] = []
    length, previous = 0, START
    for number, raw in enumerate(content.splitlines(keepends=True), start=1):
        if not raw.endswith(b"\n"):
            break
        try:
            line = parse(raw)
        except ValidationError:
            raise StoreError(
                f"{path}: line {number} is damaged", "the run cannot be trusted; start a new one"
            ) from None
        if line.previous != previous:
            raise StoreError(f"{path}: line {number} does not follow line {number - 1}", "the file was changed")
        lines.append(line)
        length += len(raw)
        previous = hashlib.sha256(raw).hexdigest()
    return lines, length, previous


class Chain(Generic[Line]):
    """A chain that is open for writing. With `synced`, a line is on the disk when it is appended."""

    def __init__(self, path: Path, parse: Callable[[bytes], Line], synced: bool) -> None:
        self.path = path
        self.lines, self._length, self.head = read_chain(path, parse)
        """`head` is the SHA-256 of the last line."""
        self._synced = synced
        if path.exists() and path.stat().st_size > self._length:
            os.truncate(path, self._length)

    def append(self, line: Line) -> None:
        """Writes the line, which has to name `head`. On an OSError (disk full) the file is as it was before."""
        raw = line.model_dump_json().encode() + b"\n"
        try:
            with self.path.open("ab") as file:
                file.write(raw)
                file.flush()
                if self._synced:
                    os.fsync(file.fileno())
        except OSError:
            os.truncate(self.path, self._length)
            raise
        self.lines.append(line)
        self._length += len(raw)
        self.head = hashlib.sha256(raw).hexdigest()

    def sync(self) -> None:
        """Forces what was written to the disk."""
        if self.path.exists():
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
