"""The backend for machines without user namespaces: Landlock for files, seccomp for everything else."""

import sys
from pathlib import Path

from sia.errors import HostError
from sia.jail.layout import SETTINGS, inside_mounts, stage_argv, system_folders
from sia.jail.protocol import Command, OnLine, Outcome
from sia.jail.stage import AF_UNIX, Confinement
from sia.jail.supervise import supervise

READABLE = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/sys/devices/system/cpu")
# Of /proc only this, or the environments of the user's other processes could be read.
PROC = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/loadavg", "/proc/version")
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/shm")


class LandlockJail:
    """Implements `sia.jail.protocol.Jail`."""

    name = "landlock"
    gaps = (
        "names, sizes and times of all files can be seen, though not their contents",
        "modes and times of the user's own files can be changed",
        "which processes exist can be seen",
        "datagrams can be sent to path-name sockets",
        "/dev/shm is shared with the machine",
        "/proc is empty for the program's child processes",
        "nothing can connect to anything, so that multiprocessing.Manager does not work",
        "memory held by no process (memfd, /dev/shm) is not bounded",
    )

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """See the protocol."""
        if command.on_listener is not None:
            raise HostError("landlock cannot connect a program to a server yet", "take another --sandbox")
        mounts = inside_mounts(command)
        links = [str(Path(p).resolve()) for p in (sys.base_prefix,)]
        config = Confinement(
            read=(*system_folders(), *SETTINGS, *READABLE, *PROC, *links, *(path for path, _ in mounts)),
            write=(*DEVICES, *(path for path, writable in mounts if writable)),
            sockets=(AF_UNIX,),
            connect=False,
        )
        return supervise(command, stage_argv(command, config), command.environment, on_line)
