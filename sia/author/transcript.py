"""What an author that is a language model said and did: one line of JSON an event, one format for every backend."""

import time
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, JsonValue

HEADLINE_LENGTH = 120
_SUBJECTS = ("file_path", "pattern", "path", "command")
"""Arguments of tools that name what the tool is used on, the most telling first."""


class Entry(BaseModel):
    """One event."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["prompt", "text", "thinking", "call", "result", "end"]
    seconds: float = 0.0
    """Since the author was started."""
    text: str = ""
    """What was said; of a result, what the tool gave back; of the end, why it ended."""
    tool: str | None = None
    arguments: dict[str, JsonValue] = {}
    """Of a call, as the model gave them."""
    failed: bool = False


class Transcript:
    """Appends events to a file and tells people of each call in a line on stdout."""

    def __init__(self, file: Path, workspace: Path) -> None:
        self._file = file.open("a", encoding="utf-8")
        self._workspace = workspace
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, entry: Entry) -> None:
        """Writes the event at once, so that a kill loses nothing."""
        entry = entry.model_copy(update={"seconds": round(time.monotonic() - self._start, 3)})
        self._file.write(entry.model_dump_json(exclude_defaults=True) + "\n")
        self._file.flush()
        if entry.kind == "call":
            print(headline(entry, self._workspace), flush=True)


def headline(entry: Entry, workspace: Path) -> str:
    """A call in one line: `Write target_agent.py`, `Bash python target_agent.py`."""
    words = [entry.tool or "?"]
    # Editors that are one tool say in `command` what they do.
    if "path" in entry.arguments and "command" in entry.arguments:
        words.append(str(entry.arguments["command"]))
    subject = next((str(entry.arguments[name]) for name in _SUBJECTS if name in entry.arguments), "")
    words.append(subject.replace(f"{workspace}/", ""))
    return " ".join(" ".join(words).split())[:HEADLINE_LENGTH]


def read_transcript(text: str) -> list[Entry]:
    """The events of a transcript, as far as they can be read: the author could have written anything."""
    found = []
    for line in text.splitlines():
        try:
            found.append(Entry.model_validate_json(line))
        except ValueError:
            continue
    return found
