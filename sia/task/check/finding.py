"""What a check of a task tells."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "warning", "error"]
    subject: str
    told: str
    remedy: str = ""


def sorted_findings(found: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings; the order within a level stays."""
    return sorted(found, key=lambda finding: ("error", "warning", "ok").index(finding.level))
