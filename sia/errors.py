"""Errors that stop a command, one class for each border that was crossed.

SiaError            shown as one line, never as a traceback; the command exits with 2
├── UsageError      a flag, a setting, a missing key or extra
├── TaskError       a task package that cannot be used: file, field, problem, remedy
├── StoreError      a run directory: taken, in use, damaged, not there
└── HostError       the machine: disk full, folder read-only, no network, environment cannot be built

What goes wrong *inside* a generation (an agent that crashes, an evaluator that hangs) is not an error here: it is
recorded data, see `sia.store.records`.
"""

from pathlib import Path


class SiaError(Exception):
    """Stops the command with exit code 2. `problem` says what is wrong, `remedy` what the user can do about it."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}" if remedy else problem)


class UsageError(SiaError):
    """A flag, a setting, a missing API key or a missing extra."""


class TaskError(SiaError):
    """A task package that cannot be used as it is."""

    def __init__(self, file: Path, problem: str, remedy: str = "", field: str = "") -> None:
        self.file = file
        self.field = field
        where = f"{file}: {field}" if field else str(file)
        super().__init__(f"{where}: {problem}", remedy)


class StoreError(SiaError):
    """A run directory that is taken, in use, damaged or not there."""


class HostError(SiaError):
    """The machine does not give what is needed: disk, permission, network, environment."""
