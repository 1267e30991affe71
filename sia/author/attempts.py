"""Finds in a transcript what an author tried and must not: the jail made it fail, people want to know of it."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sia.author.transcript import Entry, headline

MAX_EVENTS = 20
_FILE_ARGUMENTS = ("file_path", "path")
_SYSTEM = (
    "/usr",
    "/bin",
    "/lib",
    "/lib64",
    "/opt",
    "/tmp",
    "/dev/null",
    "/proc/cpuinfo",
    "/proc/meminfo",
)
_WRITING_TOOLS = ("Write", "Edit", "file_editor")
_ENVIRONMENT = re.compile(r"\b(?:printenv|environ)\b|(?:^|[;&|]\s*)env\b(?!\s+\S+=)")
_BACKGROUND = re.compile(r"\b(?:nohup|setsid|disown)\b|(?<![&<>])&(?=\s|$|\))")


def forbidden_attempts(
    entries: Sequence[Entry], workspace: Path, readable: Sequence[Path], private_dir: Path
) -> tuple[str, ...]:
    """One line an attempt, without repetitions, at most `MAX_EVENTS`.

    Calls of tools are read, so what a program did that the author wrote is not seen here.
    """
    found: dict[str, None] = {}
    for entry in entries:
        if entry.kind == "call":
            for what in _attempts_of(entry, workspace, readable, private_dir):
                found[f"the author {what}: {headline(entry, workspace)}"] = None
    return tuple(found)[:MAX_EVENTS]


def _attempts_of(entry: Entry, workspace: Path, readable: Sequence[Path], private_dir: Path) -> Iterator[str]:
    texts = [str(value) for value in entry.arguments.values()]
    command = str(entry.arguments.get("command", ""))
    paths = [Path(str(entry.arguments[name])) for name in _FILE_ARGUMENTS if name in entry.arguments]
    if any(str(private_dir) in text or "data/private" in text for text in texts):
        yield "asked for the private data"
    elif any(path.is_absolute() and not _may_touch(path, entry, workspace, readable) for path in paths):
        yield "went for a file outside its reach"
    if _ENVIRONMENT.search(command):
        yield "looked at the environment"
    if _BACKGROUND.search(command):
        yield "started a process in the background"


def _may_touch(path: Path, entry: Entry, workspace: Path, readable: Sequence[Path]) -> bool:
    if path.is_relative_to(workspace):
        return True
    writes = entry.tool in _WRITING_TOOLS and entry.arguments.get("command") != "view"
    return not writes and any(path.is_relative_to(folder) for folder in (*readable, *map(Path, _SYSTEM)))
