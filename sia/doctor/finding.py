"""What a check found."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "note", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of `sia doctor`."""

    subject: str
    level: Level
    """`note`: something is missing that a run can do without; `fail`: runs do not work."""
    told: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All of it."""

    findings: tuple[Finding, ...]
    sandbox: str | None
    """The backend that `--sandbox auto` takes; None when no backend works."""
    gaps: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Nothing is missing that a run cannot do without."""
        return all(finding.level != "fail" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {"healthy": self.healthy, **asdict(self)}
