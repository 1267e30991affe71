"""Digests of untrusted logs, execution records and item scores, each of bounded length."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from sia.plainfile import open_plain, read_text, without_escapes
from sia.score.model import Item

MAX_GROUPS = 20


def digest_log(path: Path, limit: int) -> str:
    """Head and tail of a log in at most about `limit` characters, without escapes; repeated lines are folded."""
    try:
        with open_plain(path) as file:
            head = file.read(limit * 2)
            file.seek(max(len(head), file.seek(0, os.SEEK_END) - limit * 2))
            tail = file.read()
    except OSError:
        return ""
    text = "\n".join(_folded(_clean(head + tail)))
    if len(text) <= limit:
        return text
    third = limit // 3
    return f"{text[:third]}\n[...]\n{text[-2 * third :]}"


def digest_execution(folder: Path, limit: int) -> str:
    """`agent_execution.json`, or the first files of `agent_execution/`, in at most about `limit` characters."""
    single = folder / "agent_execution.json"
    files = [single] if single.exists() else sorted((folder / "agent_execution").glob("*.json"))[:5]
    parts = []
    for file in files:
        try:
            content = json.dumps(json.loads(read_text(file, beneath=folder)), indent=1)
        except (ValueError, RecursionError) as error:
            content = f"unusable: {error}"
        share = limit // len(files)
        parts.append(content if len(content) <= share else content[:share] + " [...]")
    return "\n".join(parts)


def digest_scores(items: Sequence[Item], best: Sequence[Item]) -> str:
    """Mean scores by group, and how many items were gained and lost against the best. No inputs, no answers."""
    groups: dict[str, list[float]] = {}
    for item in items:
        groups.setdefault(item.group or "all", []).append(item.score)
    largest = sorted(groups.items(), key=lambda group: -len(group[1]))[:MAX_GROUPS]
    lines = [f"- {name[:60]}: {sum(scores) / len(scores):.4g} (n={len(scores)})" for name, scores in largest]
    earlier = {item.id: item.score for item in best}
    pairs = [(item.score, earlier[item.id]) for item in items if item.id in earlier]
    if pairs:
        gained, lost = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        lines.append(f"- against the best before: {gained} items scored higher, {lost} lower, of {len(pairs)}")
    return "\n".join(lines)


def _clean(raw: bytes) -> list[str]:
    return without_escapes(raw.decode("utf-8", "replace")).splitlines()


def _folded(lines: Sequence[str]) -> list[str]:
    folded: list[str] = []
    count = 0
    for index, line in enumerate(lines):
        count += 1
        if index + 1 == len(lines) or lines[index + 1] != line:
            folded.append(line if count == 1 else f"{line}  [{count} times]")
            count = 0
    return folded
