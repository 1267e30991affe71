"""The files of a generation: their names, and short texts."""

import os
from dataclasses import dataclass
from pathlib import Path

from sia.report.text import open_file, plain

MAX_LISTED = 2_000
MAX_SHOWN_BYTES = 1 << 20


@dataclass(frozen=True)
class Listed:
    """A file of a generation."""

    name: str
    """With its folders, beneath the generation's."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Shown:
    """A text file, or why it cannot be shown."""

    text: str = ""
    there: bool = False
    problem: str = ""


def list_files(folder: Path) -> list[Listed]:
    """The regular files beneath `folder`, by name; at most `MAX_LISTED`. Links are not followed."""
    found: list[Listed] = []
    for inner, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(inner, name)
            if not is_plain(path):
                continue
            found.append(Listed(path.relative_to(folder).as_posix(), path.stat().st_size))
            if len(found) == MAX_LISTED:
                return found
    return found


def is_plain(path: Path) -> bool:
    """Whether `path` is a regular file and no link."""
    return path.is_file() and not path.is_symlink()


def read_shown(folder: Path, name: str) -> Shown:
    """The text of the file `name` beneath `folder`, its first MiB when it is longer. Raises nothing."""
    try:
        with open_file(folder, name) as file:
            content = file.read(MAX_SHOWN_BYTES + 1)
    except FileNotFoundError:
        return Shown(problem="there is none")
    except OSError:
        return Shown(there=True, problem="it is not a plain file")
    text = plain(content[:MAX_SHOWN_BYTES].decode("utf-8", "replace"))
    return Shown(text, True, "" if len(content) <= MAX_SHOWN_BYTES else "only the first MiB is shown")
