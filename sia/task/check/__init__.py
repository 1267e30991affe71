"""Checks a task before anything is spent on it.

layout.py        the files: missing parts, links, copies
leaks.py         private answers in public files (cells.py: the data as hashed cells)
form.py          the form of a submission, from the public files
attacks.py       submissions that deserve nothing, made from the public files alone
programs.py      those that are programs, where the evaluator runs one
trial.py         the evaluator in the jail, on one submission
together.py      on many in one start (forks.py: the program that does it there)
baseline.py      what knowing nothing scores, and what is better than that
leaving_out.py   whether it pays to leave items out
grader.py        all of them against the evaluator: what must hold
gate.py          the whole check, remembered by the task's digest; a run starts with it
"""

from sia.task.check.finding import Finding, sorted_findings
from sia.task.check.layout import check_layout
from sia.task.check.leaks import find_leaks
from sia.task.package import TaskPackage

__all__ = ["Finding", "check_task"]


def check_task(task: TaskPackage) -> list[Finding]:
    """Everything that can be told of a task that loads without running its evaluator, errors first."""
    return sorted_findings([*check_layout(task), *find_leaks(task)])
