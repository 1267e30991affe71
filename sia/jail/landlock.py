"""The backend for machines without user namespaces: Landlock for files, seccomp for everything else."""

import sys
from pathlib import Path

from sia.jail.answer import Supervisor
from sia.jail.layout import SETTINGS, inside_mounts, stage_argv, system_folders
from sia.jail.listener import open_listener
from sia.jail.protocol import Command, OnLine, Outcome
from sia.jail.stage import Confinement, landlock_abi
from sia.jail.supervise import supervise

READABLE = (
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
)
# Of /proc only this, or the environments of the user's other processes could be read.
PROC = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/loadavg", "/proc/version")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm")
SIGNALS_SINCE = 6
SIGNALS_GAP = "signals can be sent to the user's other processes"
GAPS = (
    "names, sizes and times of all files can be seen, though not their contents",
    "which processes exist can be seen",
    "/dev/shm is shared with the machine",
    "/proc is empty for the program's child processes",
    "memory held by no process (memfd, /dev/shm) is not bounded",
    "what a model is asked can carry data out, once a gateway is connected",
)


class LandlockJail:
    """Implements `sia.jail.protocol.Jail`."""

    name = "landlock"

    @property
    def gaps(self) -> tuple[str, ...]:
        """See the protocol. A kernel before 6.12 leaves more open."""
        return GAPS if landlock_abi() >= SIGNALS_SINCE else (*GAPS, SIGNALS_GAP)

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """See the protocol."""
        mounts = inside_mounts(command)
        writable = [path for path, may_write in mounts if may_write]
        links = [str(Path(p).resolve()) for p in (sys.base_prefix,)]
        config = Confinement(
            read=(*system_folders(), *SETTINGS, *READABLE, *PROC, *links, *(path for path, _ in mounts)),
            write=(*DEVICES, *writable),
            supervised=True,
        )
        environment, gateway = open_listener(command)
        supervisor = Supervisor(gateway, [Path(path) for path in (*writable, "/dev/shm")])
        try:
            return supervise(command, stage_argv(command, config), environment, on_line, supervisor.take, closed=True)
        finally:
            supervisor.close()
