"""All checks together."""

from pathlib import Path

from sia.doctor.finding import Report
from sia.doctor.machine import check_machine
from sia.doctor.sandbox import check_sandbox


def examine(runs_dir: Path) -> Report:
    """Tries everything; takes a few seconds."""
    findings, chosen = check_sandbox()
    return Report(
        findings=(*findings, *check_machine(runs_dir)),
        sandbox=chosen.name if chosen else None,
        gaps=chosen.gaps if chosen else (),
    )
