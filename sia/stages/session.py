"""What every stage of a run works with."""

import errno
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from sia.author.program import AuthorProgram
from sia.evidence.guard import LeakGuard
from sia.jail.program import program_environment as program_environment
from sia.jail.program import python_mounts as python_mounts
from sia.jail.protocol import Jail, Mount
from sia.settings import RunSettings
from sia.store.progress import RunProgress
from sia.store.run_directory import RunDirectory
from sia.task.package import TaskPackage

MIN_FREE_BYTES = 1 << 20


@dataclass(frozen=True)
class Session:
    """One run in this process. `progress` grows; the rest stays."""

    task: TaskPackage
    run: RunDirectory
    settings: RunSettings
    author: AuthorProgram
    jail: Jail
    guard: LeakGuard
    python: Path
    """Interpreter of the environment with the task's packages; the evaluator always gets this one."""
    progress: RunProgress


def own_mounts() -> tuple[Mount, ...]:
    """What a program of this package has to see: the environment of this process, and the package without its tasks."""
    import sia

    package = Path(sia.__file__).parent
    parts = sorted(p for p in package.iterdir() if p.name not in ("tasks", "__pycache__"))
    return (Mount(Path(sys.prefix)), *(Mount(p) for p in parts))


def own_environment(home: Path) -> dict[str, str]:
    """The environment of a program of this package, run by this interpreter."""
    import sia

    return program_environment(home, Path(sys.executable)) | {"PYTHONPATH": str(Path(sia.__file__).parent.parent)}


def raise_if_disk_full(session: Session, failure: str) -> None:
    """A program that fails on a full disk is not to blame: raises OSError, the run stops and can go on later."""
    status = os.statvfs(session.run.path)
    if status.f_bavail * status.f_frsize < MIN_FREE_BYTES:
        raise OSError(errno.ENOSPC, f"no space left ({failure})", str(session.run.path))
