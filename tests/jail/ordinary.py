"""The tests' Python as an ordinary user, where the tests themselves run as root."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOBODY = "65534"


@cache
def ordinary_python() -> list[str] | None:
    """The start of a command line; None when no ordinary user can run Python 3.11 and read the tests here."""
    if os.geteuid() != 0:
        return [sys.executable]
    # env: setpriv itself starts programs with some of root's rights.
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "/usr/bin/env"]
    return next(([*become, p] for p in (sys.executable, "/usr/bin/python3") if _can_import([*become, p])), None)


def _can_import(python: list[str]) -> bool:
    """Whether that interpreter can run the jail, which needs the standard library only."""
    try:
        done = subprocess.run([*python, "-c", "import sia.jail.choose, tests.jail.play"], cwd=ROOT, check=False)
    except OSError:
        return False
    return done.returncode == 0
