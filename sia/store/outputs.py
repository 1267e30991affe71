"""Takes the files that a generated program left, as hostile: regular files only, bounded, no reserved names."""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from sia.plainfile import on_one_line, open_plain

MAX_FILES = 20_000
MAX_BYTES = 1 << 30


def collect_outputs(source: Path, into: Path, reserved: frozenset[str]) -> tuple[str, ...]:
    """Moves regular files from `source` to `into`, keeping folders, until a bound is reached.

    Links, sockets, devices, hidden files and, at the top, `reserved` names stay behind. Returns what stayed, in words.
    """
    notes: list[str] = []
    count = size = 0
    for folder, folders, names in os.walk(source):
        folders[:] = sorted(d for d in folders if not d.startswith((".", "__pycache__")))
        at_top = Path(folder) == source
        if at_top and (taken := sorted(reserved.intersection(folders))):
            notes += [f"{name} is a reserved name; the agent's folder was dropped" for name in taken]
            folders[:] = [name for name in folders if name not in reserved]
        for name in sorted(names):
            path = Path(folder, name)
            relative = path.relative_to(source)
            if name.startswith("."):
                continue
            if at_top and name in reserved:
                notes.append(f"{name} is a reserved name; the agent's file was dropped")
                continue
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
                notes.append(f"{on_one_line(str(relative))} is not a plain file; dropped")
                continue
            count, size = count + 1, size + status.st_size
            if count > MAX_FILES or size > MAX_BYTES:
                notes.append(f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB of outputs; the rest was dropped")
                return tuple(notes[:20])
            target = into / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            # Whoever runs this may be root: a program of the agent's with set-user-id would be one of root's.
            path.chmod(status.st_mode & 0o755 | 0o600)
            path.replace(target)
    return tuple(notes[:20])


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
