"""The jail's protocol: a command with mounts and limits goes in, an exit status with measured peaks comes out.

A path means the same inside and outside. A backend that cannot enforce something says so in `gaps`.
"""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

OnLine = Callable[[str], None]
OnListener = Callable[[socket.socket], None]
GATEWAY_PLACEHOLDER = "{gateway}"
"""Stands in the environment of a command for the address of the one server that it can reach."""


@dataclass(frozen=True)
class Mount:
    """A file or folder that the command may see."""

    path: Path
    writable: bool = False


@dataclass(frozen=True)
class Limits:
    """What the command may use."""

    seconds: float
    output_bytes: int = 16 * 1024 * 1024
    """Bytes of its stdout and stderr that the log keeps: the head and the tail, the middle is left out."""
    memory_bytes: int | None = None
    """Of the whole process tree, shared pages counted once."""
    processes: int | None = None
    """Living at one time."""
    file_bytes: int | None = None
    """Length of any one file; writing beyond it fails."""
    disk_bytes: int | None = None
    """Under all writable mounts together."""
    cpu_seconds: float | None = None
    """Of the living processes of the tree together."""


@dataclass(frozen=True)
class Command:
    """A program to run. Its environment is `environment` and nothing inherited."""

    argv: tuple[str, ...]
    cwd: Path
    log: Path
    """File that gets stdout and stderr, bounded by the limits."""
    limits: Limits
    mounts: tuple[Mount, ...] = ()
    protected: tuple[Path, ...] = ()
    """What no mount may hold or lie in, checked before the program starts."""
    environment: Mapping[str, str] = field(default_factory=dict)
    on_listener: OnListener | None = None
    """When given, the program can reach one server: this is called once, before the program starts, with a listening
    TCP socket that is at 127.0.0.1:PORT for the program. The receiver owns and closes it. `GATEWAY_PLACEHOLDER` in the
    values of `environment` becomes http://127.0.0.1:PORT."""
    stopped: Callable[[], str | None] | None = None
    """Asked every now and then: anything but None stops the program, and is the outcome's `stopped_by`."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    exit_status: int | None
    """Its exit status, negative for a signal; None when a limit stopped it."""
    stopped_by: str | None
    """The limit that stopped it, in words ("wall-clock limit of 60 s"); None when it ended by itself."""
    seconds: float
    peak_memory_bytes: int | None
    output_bytes: int
    """Bytes that it wrote to stdout and stderr, kept or not."""
    last_line: str
    """Its last non-empty line of output, for messages."""
    events: tuple[str, ...] = ()
    """The limits that struck, and what the jail cleaned up, in words."""

    @property
    def succeeded(self) -> bool:
        """Ended by itself with status 0."""
        return self.exit_status == 0 and self.stopped_by is None


class Jail(Protocol):
    """Runs commands. Backends know nothing of tasks, agents or the loop."""

    @property
    def name(self) -> str:
        """Name of the backend, as in `--sandbox NAME`."""
        ...

    @property
    def gaps(self) -> tuple[str, ...]:
        """What this backend does not enforce, one sentence each."""
        ...

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """Runs to the end and leaves no process behind, not even when the caller dies.

        `on_line` gets complete lines of output as they come, at a bounded rate.
        Raises `sia.errors.HostError` when a mount would show a protected path, when the program cannot be started at
        all, or when its log cannot be written.
        """
        ...
