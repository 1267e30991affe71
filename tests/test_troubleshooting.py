"""docs/troubleshooting.md knows every message, with cause and remedy, and none that is gone."""

import re
from pathlib import Path

from tests.messages import GAP, messages_of_source

DOCUMENT = Path(__file__).parent.parent / "docs" / "troubleshooting.md"
ELSEWHERE = ("## Failures of agents and authors", "The dashboard answers in the browser")
"""Parts whose rows are no messages of errors."""


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _listed() -> dict[str, list[str]]:
    text = DOCUMENT.read_text(encoding="utf-8")
    for start in ELSEWHERE:
        before, _, rest = text.partition(start)
        text = before + rest.partition("\n## ")[2]
    return {row[0].strip().strip("`"): row[1:] for row in _rows(text)}


def test_every_message_of_the_source_is_listed() -> None:
    listed = _listed()
    missing = {message: place for message, place in messages_of_source().items() if message not in listed}
    told = "\n".join(f"| `{message}` | CAUSE | REMEDY |   (raised in {place})" for message, place in missing.items())
    assert not missing, f"add to a table of docs/troubleshooting.md, with cause and remedy:\n{told}"


def test_every_row_tells_cause_and_remedy() -> None:
    rows = _rows(DOCUMENT.read_text(encoding="utf-8"))
    assert len(rows) > 50
    assert not [row for row in rows if len(row) != 3 or not all(row)]


def test_no_message_is_listed_that_the_source_no_longer_has() -> None:
    known = set(messages_of_source())
    gone = [message for message in _listed() if message not in known and message.strip(f"{GAP}: ")]
    assert not gone, f"remove from docs/troubleshooting.md, or word it as the source does: {gone}"


def test_what_the_dashboard_answers_is_listed() -> None:
    source = (DOCUMENT.parent.parent / "sia" / "web" / "guard.py").read_text(encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    answers = re.findall(r'PlainTextResponse\("([^"\\]+)', source)
    assert len(answers) == 4
    assert not [answer for answer in answers if answer.replace("`", "") not in text]
