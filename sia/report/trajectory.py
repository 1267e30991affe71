"""What a target agent recorded of its own work: `agent_execution.json`, or a file for each question."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sia.report.files import is_plain
from sia.report.text import open_file, plain, shortened

SINGLE_FILE = "agent_execution.json"
FOLDER = "agent_execution"
MAX_PARSED_BYTES = 4 << 20
"""Longer records are shown as paged text."""
MAX_TURNS = 500
_QUESTION = re.compile(r"execution_q(.+)\.json")
_TURN_LISTS = ("messages", "turns", "trajectory", "steps", "conversation")


@dataclass(frozen=True)
class Turn:
    """One message of a conversation."""

    role: str
    text: str


@dataclass(frozen=True)
class Trajectory:
    """One record: the turns of its conversation where it has one, and everything else as text."""

    turns: tuple[Turn, ...] = ()
    rest: str = ""
    problem: str = ""


def trajectory_files(folder: Path) -> list[str]:
    """The names of the records in a generation's folder, questions in their order."""
    single = [SINGLE_FILE] if is_plain(folder / SINGLE_FILE) else []
    inner = folder / FOLDER
    if inner.is_symlink() or not inner.is_dir():
        return single
    names = [p.name for p in inner.iterdir() if p.suffix == ".json" and is_plain(p)]
    return single + [f"{FOLDER}/{name}" for name in sorted(names, key=_order)]


def question_of(name: str) -> str:
    """The question's own name, for a file of one; else the file's name."""
    file = name.rpartition("/")[2]
    match = _QUESTION.fullmatch(file)
    return match[1] if match else file


def read_trajectory(root: Path, name: str) -> Trajectory:
    """The record `name` in the generation's folder `root`. Raises nothing, whatever lies there."""
    try:
        with open_file(root, name) as file:
            data = file.read(MAX_PARSED_BYTES + 1)
    except OSError:
        return Trajectory(problem="there is no such record")
    if len(data) > MAX_PARSED_BYTES:
        return Trajectory(problem=f"longer than {MAX_PARSED_BYTES >> 20} MiB: shown as text, page by page")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        return Trajectory(problem=f"not JSON ({type(error).__name__}): shown as text, page by page")
    return _tell(content)


def _tell(content: Any) -> Trajectory:  # noqa: ANN401 (whatever JSON may hold)
    if isinstance(content, list) and content and all(isinstance(entry, dict) and _is_turn(entry) for entry in content):
        return Trajectory(turns=_turns(content))
    if isinstance(content, dict):
        for key in _TURN_LISTS:
            inner = content.get(key)
            if isinstance(inner, list) and inner and all(isinstance(e, dict) and _is_turn(e) for e in inner):
                rest = {name: value for name, value in content.items() if name != key}
                return Trajectory(turns=_turns(inner), rest=_pretty(rest) if rest else "")
    return Trajectory(rest=_pretty(content))


def _is_turn(entry: dict[str, Any]) -> bool:
    return "role" in entry or "content" in entry


def _turns(entries: list[dict[str, Any]]) -> tuple[Turn, ...]:
    return tuple(
        Turn(plain(str(entry.get("role", "")))[:40], shortened(_content(entry.get("content", entry))))
        for entry in entries[:MAX_TURNS]
    )


def _content(value: Any) -> str:  # noqa: ANN401 (whatever JSON may hold)
    """The text of a message: a string, or a list of blocks such as text, tool_use and tool_result."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return "\n\n".join(_block(block) for block in value)
    return _pretty(value)


def _block(block: Any) -> str:  # noqa: ANN401 (whatever JSON may hold)
    if isinstance(block, dict):
        if isinstance(block.get("text"), str):
            return plain(block["text"])
        if block.get("type") == "tool_use":
            return f"[calls {plain(str(block.get('name')))}]\n{_pretty(block.get('input'))}"
        if block.get("type") == "tool_result":
            return f"[result]\n{_content(block.get('content'))}"
    return plain(block) if isinstance(block, str) else _pretty(block)


def _pretty(value: Any) -> str:  # noqa: ANN401 (whatever JSON may hold)
    try:
        return plain(json.dumps(value, indent=1, ensure_ascii=False))
    except RecursionError:
        return "nested too deeply to be shown"


def _order(name: str) -> tuple[int, int, str]:
    question = question_of(name)
    return (0, int(question), "") if question.isdecimal() and len(question) < 20 else (1, 0, question)
