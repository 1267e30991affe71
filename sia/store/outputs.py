"""Takes the files that a generated program left, as hostile: regular files only, bounded, no reserved names."""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from sia.plainfile import on_one_line, open_plain

MAX_FILES = 20_000
MAX_BYTES = 1 << 30
MAX_DEPTH = 32
MAX_PATH = 1024
"""Bytes of a path below the agent's folder."""
MAX_NOTES = 20


def collect_outputs(source: Path, into: Path, reserved: frozenset[str]) -> tuple[str, ...]:
    """Moves regular files from `source` to `into`, keeping folders, until a bound is reached.

    Links, sockets, devices, hidden files, what lies too deep or has no UTF-8 name and, at the top, `reserved` names
    stay behind. Returns what stayed, in words.
    """
    notes: list[str] = []
    count = size = 0
    # The agent may have shut its folders, for the walk too.
    source.chmod(0o700)
    for folder, folders, names in os.walk(source):
        beneath = Path(folder).relative_to(source)
        entered = []
        for name in sorted(folders):
            if name.startswith((".", "__pycache__")):
                continue
            if why := _unusable(beneath / name, reserved) or _not_a_folder(Path(folder, name)):
                notes.append(f"{on_one_line(str(beneath / name)[-200:])} {why}")
                continue
            Path(folder, name).chmod(0o700)
            entered.append(name)
        folders[:] = entered
        for name in sorted(names):
            path, relative = Path(folder, name), beneath / name
            if name.startswith("."):
                continue
            if why := _unusable(relative, reserved):
                notes.append(f"{on_one_line(str(relative)[-200:])} {why}")
                continue
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                notes.append(f"{on_one_line(str(relative))} is not a plain file; dropped")
                continue
            count, size = count + 1, size + status.st_size
            if count > MAX_FILES or size > MAX_BYTES:
                notes.append(f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB of outputs; the rest was dropped")
                return tuple(notes[:MAX_NOTES])
            target = into / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            # Whoever runs this may be root: a program of the agent's with set-user-id would be one of root's.
            path.chmod(status.st_mode & 0o755 | 0o600)
            path.replace(target)
    return tuple(notes[:MAX_NOTES])


def _unusable(relative: Path, reserved: frozenset[str]) -> str | None:
    """Why a file or folder of this name stays behind; None when it may come along."""
    if len(relative.parts) == 1 and relative.name in reserved:
        return "is a reserved name; the agent's was dropped"
    try:
        length = len(str(relative).encode())
    except UnicodeEncodeError:
        return "has a name that is not UTF-8; dropped"
    if length > MAX_PATH or len(relative.parts) > MAX_DEPTH:
        return f"lies deeper than {MAX_DEPTH} folders or {MAX_PATH} bytes of path; dropped"
    return None


def _not_a_folder(path: Path) -> str | None:
    return "is a link; dropped" if path.is_symlink() else None


def copy_outputs(source: Path, into: Path, left_out: frozenset[str]) -> None:
    """A clean copy of a generation's outputs for the evaluator, without the top-level names in `left_out`."""
    for folder, folders, names in os.walk(source):
        at_top = Path(folder) == source
        kept = [name for name in (*folders, *names) if not (at_top and name in left_out)]
        folders[:] = [name for name in folders if name in kept]
        target = into / Path(folder).relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        for name in set(names).intersection(kept):
            path = Path(folder, name)
            with suppress(OSError), open_plain(path, source) as file, (target / name).open("wb") as copy:
                shutil.copyfileobj(file, copy)
