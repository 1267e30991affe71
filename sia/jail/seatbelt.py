"""The macOS backend, with sandbox-exec(1). Untried: written from Apple's profile language, never run on a Mac by us."""

import json
import shutil
import sys
from pathlib import Path

from sia.errors import HostError
from sia.jail.listener import open_listener
from sia.jail.protocol import Command, OnLine, Outcome
from sia.jail.supervise import supervise

READABLE = ("/usr", "/bin", "/sbin", "/System", "/Library", "/private/etc", "/private/var/db/timezone", "/dev", "/opt")
GAPS = (
    "this backend is untried",
    "names, sizes and times of all files can be seen, though not their contents",
    "which processes exist can be seen",
    "programs that leave their process group may outlive the run",
    "processes, memory and CPU time are not bounded, only wall clock, file size and disk",
    "what a model is asked can carry data out, once a gateway is connected",
)


class SeatbeltJail:
    """Implements `sia.jail.protocol.Jail`."""

    name = "seatbelt"
    gaps = GAPS

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """See the protocol."""
        found = shutil.which("sandbox-exec")
        if found is None:
            raise HostError("sandbox-exec is not there", "it is part of macOS; take another --sandbox")
        environment, gateway = open_listener(command)
        argv = [found, "-p", profile(command, gateway), *command.argv]
        return supervise(command, argv, environment, on_line)


def profile(command: Command, gateway: tuple[str, int] | None) -> str:
    """The profile: everything is denied but what follows."""
    readable = [*READABLE, sys.base_prefix, *(str(mount.path) for mount in command.mounts)]
    writable = [str(mount.path) for mount in command.mounts if mount.writable]
    lines = [
        "(version 1)",
        "(deny default)",
        "(allow process-fork)",
        "(allow process-exec)",
        "(allow signal (target same-sandbox))",
        "(allow sysctl-read)",
        "(allow file-read-metadata)",
        f"(allow file-read* {_subpaths(readable)})",
        '(allow file-write* (literal "/dev/null") (literal "/dev/zero"))',
    ]
    if writable:
        lines.append(f"(allow file-write* {_subpaths(writable)})")
        lines.append(f"(allow network* (local unix) {_subpaths(writable)})")
    if gateway:
        lines.append(f'(allow network-outbound (remote tcp "localhost:{gateway[1]}"))')
    return "\n".join(lines)


def _subpaths(paths: list[str]) -> str:
    # The kernel compares resolved paths: /tmp and /var are links on macOS.
    return " ".join(f"(subpath {json.dumps(str(Path(path).resolve()))})" for path in paths)
