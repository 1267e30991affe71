"""Takes the files that a generated program left, as hostile: regular files only, bounded, no reserved names."""

import os
import shutil
from pathlib import Path

MAX_FILES = 20_000
MAX_BYTES = 1 << 30
MAX_TEXT_BYTES = 1 << 20


def collect_outputs(source: Path, into: Path, reserved: frozenset[str]) -> tuple[str, ...]:
    """Moves regular files from `source` to `into`, keeping folders, until a bound is reached.

    Links, sockets, devices, hidden files and, at the top, `reserved` names stay behind. Returns what stayed, in words.
    """
    notes: list[str] = []
    count = size = 0
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(d for d in folders if not d.startswith((".", "__pycache__")))
        at_top = Path(folder) == source
        for name in sorted(names):
            path = Path(folder, name)
            relative = path.relative_to(source)
            if name.startswith("."):
                continue
            if at_top and name in reserved:
                notes.append(f"{name} is a reserved name; the agent's file was dropped")
                continue
            if path.is_symlink() or not path.is_file():
                notes.append(f"{printable(str(relative))} is not a plain file; dropped")
                continue
            count, size = count + 1, size + path.stat().st_size
            if count > MAX_FILES or size > MAX_BYTES:
                notes.append(f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB of outputs; the rest was dropped")
                return tuple(notes[:20])
            target = into / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    return tuple(notes[:20])


def copy_outputs(source: Path, into: Path, left_out: frozenset[str]) -> None:
    """A clean copy of a generation's outputs for the evaluator, without the top-level names in `left_out`."""
    for entry in sorted(source.iterdir()):
        if entry.name in left_out or entry.is_symlink():
            continue
        if entry.is_dir():
            shutil.copytree(entry, into / entry.name)
        else:
            shutil.copyfile(entry, into / entry.name)


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """The text of a file that a program left.

    Raises ValueError, saying in words what is wrong, when it is missing, no plain file, too long or not UTF-8.
    """
    if path.is_symlink() or not path.is_file():
        raise ValueError("is missing" if not path.is_symlink() and not path.exists() else "is not a plain file")
    if path.stat().st_size > limit:
        raise ValueError(f"is longer than {limit} bytes")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from None


def printable(text: str) -> str:
    """`text` without anything that could move a cursor or break a line."""
    return "".join(c if c.isprintable() else "?" for c in text)
