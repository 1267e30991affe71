"""What every program of a task runs with: its variables and its interpreter's environment."""

import os
from pathlib import Path

from sia.jail.protocol import Mount


def program_environment(home: Path, python: Path) -> dict[str, str]:
    """The environment variables of a generated program: nothing of this process's own."""
    return {
        "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "TMPDIR": str(home),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        # Reproducible sums: more threads than cores also slow small models down.
        "OMP_NUM_THREADS": str(min(2, os.cpu_count() or 1)),
        # Threads that wait sleep: spinning ones take the processor from those that they wait for.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def python_mounts(python: Path) -> tuple[Mount, ...]:
    """What a program run by `python` has to see: its environment."""
    return (Mount(python.parent.parent),)
