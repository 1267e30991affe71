"""What every stage of a run works with."""

import errno
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sia.author.program import AuthorProgram
from sia.evidence.guard import LeakGuard
from sia.gateway.access import Access, ModelGateway
from sia.gateway.budget import Cap
from sia.gateway.trace import Role, modelled_as
from sia.jail.program import python_mounts
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
    gateway: ModelGateway | None = None
    """None: nothing in this run needs a model."""
    base: Path | None = None
    """Folder of the target model's weights, in transformers' form; None: this run cannot train them."""

    def close(self) -> None:
        """Ends the gateway and gives the run directory free."""
        if self.gateway is not None:
            self.gateway.close()
        self.run.close()


class CapReachedError(Exception):
    """A cap of the whole run cut a stage short: it is not recorded, and the run stops until the cap is raised."""


def model_access(
    session: Session, role: Role, cap: Cap | None = None, adapter: str | None = None
) -> AbstractContextManager[Access]:
    """The way of the open generation's program to its model; `cap` is of this one start, on top of all others.

    `adapter` is the digest of the adapter that the model answers with.
    """
    if session.gateway is None or modelled_as(role) not in session.gateway.models:
        return nullcontext(Access())
    return session.gateway.access(role, session.progress.open.number, adapter=adapter, cap=cap)


def raise_if_cap_reached(access: Access) -> None:
    """What a program made that was refused its model is no fair measure of it: raises CapReachedError."""
    if access.run_cap:
        raise CapReachedError(access.run_cap)


def own_mounts(python: Path) -> tuple[Mount, ...]:
    """What a program of this package, run by `python`, has to see: that environment, and the package without tasks."""
    import sia

    package = Path(sia.__file__).parent
    parts = sorted(p for p in package.iterdir() if p.name not in ("tasks", "__pycache__"))
    base = Path(os.path.realpath(python)).parent.parent
    return (*python_mounts(python), Mount(base), *(Mount(p) for p in parts))


def raise_if_disk_full(session: Session, failure: str) -> None:
    """A program that fails on a full disk is not to blame: raises OSError, the run stops and can go on later."""
    status = os.statvfs(session.run.path)
    if status.f_bavail * status.f_frsize < MIN_FREE_BYTES:
        raise OSError(errno.ENOSPC, f"no space left ({failure})", str(session.run.path))
