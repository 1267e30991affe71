"""Looks at a process tree from outside, every now and then, and says when it uses more than it may."""

import math
import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path

from sia.jail.protocol import Command
from sia.jail.warden import descendants

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Watch:
    """A watch over the descendants of `root`. Sees nothing where there is no /proc."""

    root: int
    command: Command
    start: float = field(default_factory=time.time)

    def exceeded(self) -> str | None:
        """The limit that is exceeded now, in words; None when all is well."""
        if self.command.stopped is not None and (reason := self.command.stopped()):
            return reason
        limits = self.command.limits
        tree = descendants(self.root)
        if limits.processes is not None and len(tree) > limits.processes:
            return f"limit of {limits.processes} processes"
        # Resident pages that processes share are counted for each: only worth the slow exact count when it matters.
        if (
            limits.memory_bytes is not None
            and sum(map(_resident, tree)) > limits.memory_bytes
            and sum(map(_proportional, tree)) > limits.memory_bytes
        ):
            return f"memory limit of {size(limits.memory_bytes)}"
        if limits.cpu_seconds is not None and sum(map(_cpu_seconds, tree)) > limits.cpu_seconds:
            return f"limit of {limits.cpu_seconds:g} CPU seconds"
        if limits.disk_bytes is not None and self._disk_bytes(tree) > limits.disk_bytes:
            return f"disk limit of {size(limits.disk_bytes)}"
        return None

    def struck(self) -> tuple[str, ...]:
        """The limits that the program ran into without being stopped, seen in what it left."""
        limit = self.command.limits.file_bytes
        if limit is not None and any(_used(folder, self.start)[1] >= limit for folder in self._writable()):
            return (f"file size limit of {size(limit)} reached",)
        return ()

    def _disk_bytes(self, tree: list[int]) -> float:
        """Bytes on disk in the writable folders and in files that are only open; infinite where it cannot be told."""
        folders = self._writable()
        return sum(_used(folder)[0] for folder in folders) + _unlinked(tree, folders)

    def _writable(self) -> list[str]:
        return [str(mount.path) for mount in self.command.mounts if mount.writable]


def size(count: int) -> str:
    """A number of bytes in words."""
    unit, shift = ("GiB", 30) if count % (1 << 30) == 0 else ("MiB", 20) if count >= 1 << 20 else ("KiB", 10)
    return f"{count >> shift} {unit}"


def _used(folder: str, since: float = 0.0) -> tuple[float, int]:
    """Bytes on disk below a folder, where holes and links count nothing, and the length of the longest file.

    Infinite bytes where a folder cannot be looked into, as one without read permission or at too long a path: a program
    makes such folders to hide. Of the longest file, only those count that changed at the time `since` or later.
    """
    total, longest, queue = 0.0, 0, [folder]
    while queue:
        try:
            with os.scandir(queue.pop()) as entries:
                found = list(entries)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            total = math.inf
            continue
        for entry in found:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError:
                total = math.inf
                continue
            if stat.S_ISDIR(status.st_mode):
                queue.append(entry.path)
                continue
            total += status.st_blocks * 512
            if status.st_ctime >= since:
                longest = max(longest, status.st_size)
    return total, longest


def _unlinked(tree: list[int], folders: list[str]) -> int:
    """Bytes of files without a name that a process of `tree` holds open, on the disks of `folders`."""
    disks = {Path(folder).stat().st_dev for folder in folders if Path(folder).exists()}
    found: dict[tuple[int, int], int] = {}
    for process in tree:
        place = f"{_living_thread(process)}/fd"
        try:
            numbers = os.listdir(place)  # noqa: PTH208 - names only, often
        except OSError:
            continue
        for number in numbers:
            try:
                status = Path(place, number).stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 0 and status.st_dev in disks:
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def _living_thread(process: int) -> str:
    """Where memory and open files of the process are told: its first thread may have ended, and tells of none."""
    try:
        threads = os.listdir(f"/proc/{process}/task")  # noqa: PTH208 - names only, often
    except OSError:
        threads = []
    return f"/proc/{process}/task/{threads[-1]}" if threads else f"/proc/{process}"


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""


def _resident(process: int) -> int:
    fields = _read(f"{_living_thread(process)}/statm").split()
    return int(fields[1]) * PAGE if len(fields) > 1 else 0


def _proportional(process: int) -> int:
    for line in _read(f"{_living_thread(process)}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(process)


def _cpu_seconds(process: int) -> float:
    fields = _read(f"/proc/{process}/stat").rpartition(b")")[2].split()
    # Its own time and that of its children that ended: utime, stime, cutime, cstime (proc(5)).
    return sum(int(field) for field in fields[11:15]) / TICKS if len(fields) > 14 else 0.0
