"""Bounds memory by the kernel's accounting where systemd gives every user a scope of its own (systemd-run(1)).

A scope counts what no process holds as well: memfd, /dev/shm, page cache. Elsewhere `sia.jail.watch` counts.
"""

import os
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from functools import cache

from sia.jail.protocol import Limits

PROBE_SECONDS = 10.0
TASKS_OF_A_PROCESS = 16
"""A scope counts threads."""
_FOR_THE_BUS = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


@cache
def has_scopes() -> bool:
    """Whether a program can be run in a scope with a memory limit here; tried, once a process."""
    if shutil.which("systemd-run") is None:
        return False
    argv, environment = in_scope(Limits(seconds=1, memory_bytes=64 << 20), ["/bin/true"], {})
    try:
        done = subprocess.run(argv, env=environment, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def in_scope(limits: Limits, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """`argv` in a scope of its own, and the environment for starting that; the program's own stays `environment`."""
    found = shutil.which("systemd-run") or "systemd-run"
    properties = [f"MemoryMax={limits.memory_bytes}", "MemorySwapMax=0"]
    if limits.processes is not None:
        properties.append(f"TasksMax={limits.processes * TASKS_OF_A_PROCESS}")
    whose = "--system" if os.geteuid() == 0 else "--user"
    scope = [found, whose, "--scope", "--quiet", "--collect", f"--unit=sia-{uuid.uuid4().hex[:16]}"]
    options = [part for text in properties for part in ("--property", text)]
    own = [f"{name}={value}" for name, value in environment.items()]
    # systemd-run needs the way to the bus; the program must not have it.
    bus = {name: os.environ[name] for name in _FOR_THE_BUS if name in os.environ}
    return [*scope, *options, "--", "/usr/bin/env", "-i", *own, *argv], bus
