"""The whole check of a task, remembered by what it depends on; a run starts with it."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sia.environment import cache_dir
from sia.errors import TaskError
from sia.jail.protocol import Jail
from sia.store.durable import write_whole
from sia.task.check import Finding, check_task
from sia.task.check.finding import sorted_findings
from sia.task.check.grader import try_grader
from sia.task.package import TaskPackage, task_digest

CHECK_VERSION = 4
"""Raised when the check looks at more: what is remembered of older ones does not count."""
_FINDINGS = TypeAdapter(list[Finding])
OnProgress = Callable[[str], None]


def check_whole(task: TaskPackage, python: Path, jail: Jail, on_progress: OnProgress) -> list[Finding]:
    """Files and evaluator, errors first. That a task is fit is remembered; an error under load may be the machine's."""
    found = check_task(task)
    if not any(finding.level == "error" for finding in found):
        found = sorted_findings([*found, *try_grader(task, python, jail, on_progress)])
    if not any(finding.level == "error" for finding in found):
        place = _place(task, python)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, _FINDINGS.dump_json(found))
    return found


def refuse_unfit(task: TaskPackage, python: Path, jail: Jail, on_progress: OnProgress) -> None:
    """Raises TaskError with the first error of the check, and tells warnings; a fit task is checked once."""
    try:
        found = _FINDINGS.validate_json(_place(task, python).read_bytes())
    except (OSError, ValidationError):
        on_progress(f"checking {task.name} before anything is spent on it")
        found = check_whole(task, python, jail, on_progress)
        for finding in found:
            if finding.level == "warning":
                on_progress(f"warning: {finding.subject}: {finding.told}; {finding.remedy}")
    errors = [finding for finding in found if finding.level == "error"]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise TaskError(
            task.root / first.subject,
            f"{first.told}{more}",
            f"{first.remedy}; `sia tasks check` tells all, and `--force` runs the task as it is",
        )


def _place(task: TaskPackage, python: Path) -> Path:
    key = json.dumps([CHECK_VERSION, task_digest(task), str(python)])
    return cache_dir() / "checks" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
