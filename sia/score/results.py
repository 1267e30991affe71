"""Reads an evaluator's results.json as hostile input: bounded, checked, never trusted to be what it says.

Item scores are read as they are; how they relate to the metric is the business of `sia.score.measure`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sia.plainfile import open_plain
from sia.score.model import Item, ScoreFailure

MAX_BYTES = 64 * 1024 * 1024
MAX_ITEMS = 500_000
MAX_ID_LENGTH = 1_000
MAX_MAGNITUDE = 1e100
"""Above it no score is usable: sums and squares would overflow."""
RIGHT_STATUSES = frozenset({"CORRECT", "PASS"})
_MAX_INT_DIGITS = 300

Judged = Literal["score", "status", "mixed"]


@dataclass(frozen=True)
class NotANumber:
    """What was found where a number was looked for, in words."""

    found: str


Stated = float | NotANumber


@dataclass(frozen=True)
class Results:
    """What an evaluator wrote."""

    stated: Mapping[str, Stated] = field(default_factory=dict)
    """Every key of the top level but `items` and `summary`."""
    summary: Mapping[str, Stated] = field(default_factory=dict)
    """Every key of the object under `summary`."""
    items: tuple[Item, ...] = ()
    judged: Judged = "score"
    """Whether the items came with scores, with statuses or some of each."""


class _Malformed(Exception):
    """Ends the reading; its text is the reason of the failure."""


def read_results(path: Path) -> Results | ScoreFailure:
    """What `path` holds, or why it cannot be a score. Raises nothing, whatever lies there."""
    try:
        with open_plain(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError:
        return ScoreFailure(reason="the evaluator wrote no results.json")
    return parse_results(data)


def parse_results(data: bytes) -> Results | ScoreFailure:
    """The same for the bytes of a results.json."""
    if len(data) > MAX_BYTES:
        return ScoreFailure(reason=f"results.json is larger than {MAX_BYTES >> 20} MiB")
    try:
        content = json.loads(data.decode("utf-8-sig"), parse_int=_bounded_int)
    except UnicodeDecodeError as error:
        return ScoreFailure(reason=f"results.json is not UTF-8 (byte {error.start})")
    except json.JSONDecodeError as error:
        return ScoreFailure(reason=f"results.json is not JSON: {error.msg} (line {error.lineno}, column {error.colno})")
    except RecursionError:
        return ScoreFailure(reason="results.json is nested too deeply")
    if not isinstance(content, dict):
        return ScoreFailure(reason=f"results.json holds {_describe(content)}, not an object")
    summary = content.get("summary")
    try:
        items, judged = _read_items(content.get("items"))
    except _Malformed as error:
        return ScoreFailure(reason=f"results.json: {error}")
    return Results(
        stated={key: _read_number(value) for key, value in content.items() if key not in ("items", "summary")},
        summary={key: _read_number(value) for key, value in summary.items()} if isinstance(summary, dict) else {},
        items=items,
        judged=judged,
    )


def _bounded_int(digits: str) -> int | float:
    # Python refuses to parse an int of more than 4,300 digits, and a float holds no more than 308.
    return int(digits) if len(digits) <= _MAX_INT_DIGITS else float(digits)


def _read_number(value: Any) -> Stated:  # noqa: ANN401 (whatever JSON may hold)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return NotANumber(_describe(value))
    number = float(value)
    return number if abs(number) <= MAX_MAGNITUDE else NotANumber(_describe(number))


def _describe(value: Any) -> str:  # noqa: ANN401 (whatever JSON may hold)
    """`value` in words that are short and printable."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "an infinite number"
        case int() | float():
            return f"{float(value):.6g}"
        case str():
            return f"the text {value[:40]!a}{'...' if len(value) > 40 else ''}"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"


def _read_items(value: Any) -> tuple[tuple[Item, ...], Judged]:  # noqa: ANN401 (whatever JSON may hold)
    if value is None:
        return (), "score"
    if not isinstance(value, list):
        raise _Malformed(f"items is {_describe(value)}, not a list")
    if len(value) > MAX_ITEMS:
        raise _Malformed(f"items has {len(value)} entries; at most {MAX_ITEMS} are read")
    items: list[Item] = []
    seen: set[str] = set()
    with_score = 0
    for index, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise _Malformed(f"items[{index}] is {_describe(entry)}, not an object")
        item_id = _read_id(entry.get("id"), index)
        if item_id in seen:
            raise _Malformed(f"items[{index}].id {item_id[:80]!a} occurs twice")
        seen.add(item_id)
        score = _read_score(entry, index)
        with_score += entry.get("score") is not None
        items.append(Item(id=item_id, score=score, group=_read_group(entry, index)))
    judged: Judged = "score" if with_score == len(items) else "mixed" if with_score else "status"
    return tuple(items), judged


def _read_id(value: Any, index: int) -> str:  # noqa: ANN401 (whatever JSON may hold)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _Malformed(f"items[{index}].id is {_describe(value)}, not a text or an integer")
    return _plain_text(str(value), f"items[{index}].id")


def _read_group(entry: dict[str, Any], index: int) -> str | None:
    for name in ("group", "category"):
        value = entry.get(name)
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return _plain_text(str(value), f"items[{index}].{name}")
        if value is not None:
            raise _Malformed(f"items[{index}].{name} is {_describe(value)}, not a text or an integer")
    return None


def _plain_text(text: str, where: str) -> str:
    if not text or len(text) > MAX_ID_LENGTH:
        raise _Malformed(f"{where} has {len(text)} characters; 1 to {MAX_ID_LENGTH} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Malformed(f"{where} holds half a surrogate pair") from None
    return text


def _read_score(entry: dict[str, Any], index: int) -> float:
    """The score of an item; a score counts before a status."""
    if entry.get("score") is not None:
        number = _read_number(entry["score"])
        if isinstance(number, NotANumber):
            raise _Malformed(f"items[{index}].score is {number.found}, not a number")
        return number
    status = entry.get("status")
    if status is None:
        raise _Malformed(f"items[{index}] has neither score nor status")
    if not isinstance(status, str):
        raise _Malformed(f"items[{index}].status is {_describe(status)}, not a text")
    return 1.0 if status.strip().upper() in RIGHT_STATUSES else 0.0
