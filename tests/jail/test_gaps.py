"""What stays open is told in the same words by the banner and by docs/security.md."""

from pathlib import Path

import pytest

from sia.jail.choose import ON_REQUEST, WALLS
from sia.jail.landlock import SIGNALS_GAP
from sia.jail.process import ProcessJail
from sia.jail.protocol import Jail

DOC = Path(__file__).parents[2] / "docs" / "security.md"


def told() -> dict[str, list[str]]:
    """The lists under "What stays open", by backend."""
    section = DOC.read_text().split("## What stays open")[1].split("\n## ")[0]
    lists: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line.endswith(":") and not line.startswith("Beside"):
            names = [name.strip() for name in line[:-1].split(",")]
        elif line.startswith("* "):
            for name in names:
                lists.setdefault(name, []).append(line[2:])
    return lists


@pytest.mark.parametrize("jail", [ProcessJail(), *WALLS.values(), *ON_REQUEST.values()], ids=lambda j: j.name)
def test_document_tells_the_gaps_of_the_banner(jail: Jail) -> None:
    gaps = [*jail.gaps]
    if jail.name == "landlock" and SIGNALS_GAP not in gaps:
        gaps.append(SIGNALS_GAP)
    assert told()[jail.name] == gaps
