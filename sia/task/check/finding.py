"""What a check of a task tells."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sia.task.manifest import MANIFEST_FILE
from sia.task.package import TaskPackage

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    told: str
    remedy: str = ""


def sorted_findings(found: Iterable[Finding]) -> list[Finding]:
    """Errors first, then warnings; the order within a level stays."""
    return sorted(found, key=lambda finding: ("error", "warning", "ok").index(finding.level))


def breach_of(task: TaskPackage) -> Level:
    """How grave it is that an evaluator breaks a rule of docs/evaluators.md which the original contract does not make.

    A folder with a task.toml was written for these rules: an error. Others are the original's, and run as they are.
    """
    return "error" if (task.root / MANIFEST_FILE).is_file() else "warning"
