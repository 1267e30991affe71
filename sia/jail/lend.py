"""Lends an evaluator a jail of its own, for the program of a submission that it has to run.

The evaluator finds the start of a command in `SIA_INNER_JAIL` (split it with `shlex.split`), adds `--seconds`, `--read`
and `--write` for what the program needs, `--` and the program. It works inside every backend, because it takes nothing
but what a process can give up: see `sia.jail.inner`.
"""

import shlex
import sys
from pathlib import Path

from sia.errors import HostError
from sia.jail.landlock import PROC, READABLE
from sia.jail.layout import SETTINGS, stage_python, system_folders
from sia.jail.protocol import Mount
from sia.jail.stage import landlock_abi

VARIABLE = "SIA_INNER_JAIL"
INNER = Path(__file__).with_name("inner.py")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""Not /dev/shm: what one program leaves there, another could find."""


def check_landlock() -> None:
    """Raises HostError, with the remedy, where no inner jail can be made."""
    if sys.platform != "linux" or not landlock_abi():
        raise HostError(
            "this task runs a program of the submission, and this kernel has no Landlock to shut it in",
            "run the task on Linux 5.13 or later with Landlock enabled; `sia doctor` tells whether it is",
        )


def inner_jail(python: Path) -> dict[str, str]:
    """The variable for an evaluator whose submissions' programs run with `python`. Raises as `check_landlock` does."""
    check_landlock()
    base = Path(sys.base_prefix)
    environment = (str(python.parent.parent), str(base), str(base.resolve()), str(stage_python()))
    words = [str(stage_python()), "-I", "-S", str(INNER)]
    for path in (*system_folders(), *SETTINGS, *READABLE, *PROC, *environment):
        words += ["--read", path]
    for path in DEVICES:
        words += ["--write", path]
    return {VARIABLE: shlex.join(words)}


def inner_mounts() -> tuple[Mount, ...]:
    """What the evaluator's own jail has to show for it: the jail's programs."""
    return (Mount(INNER.parent),)
