"""Looks at a process tree from outside, every now and then, and says when it uses more than it may."""

import os
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
    longest_before: int = field(init=False)
    """Bytes of the longest file that it found: an evaluator is given those of the agent."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest_before", self._longest())

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
        if limits.disk_bytes is not None and self._disk_bytes() > limits.disk_bytes:
            return f"disk limit of {size(limits.disk_bytes)}"
        return None

    def struck(self) -> tuple[str, ...]:
        """The limits that the program ran into without being stopped, seen in what it left."""
        limit = self.command.limits.file_bytes
        if limit is not None and self._longest() >= limit > self.longest_before:
            return (f"file size limit of {size(limit)} reached",)
        return ()

    def _longest(self) -> int:
        return max((_used(folder)[1] for folder in self._writable()), default=0)

    def _disk_bytes(self) -> int:
        return sum(_used(folder)[0] for folder in self._writable())

    def _writable(self) -> list[str]:
        return [str(mount.path) for mount in self.command.mounts if mount.writable]


def size(count: int) -> str:
    """A number of bytes in words."""
    unit, shift = ("GiB", 30) if count % (1 << 30) == 0 else ("MiB", 20) if count >= 1 << 20 else ("KiB", 10)
    return f"{count >> shift} {unit}"


def _used(folder: str) -> tuple[int, int]:
    """Bytes on disk below a folder, where holes and links count nothing; and the length of the longest file."""
    total, longest, queue = 0, 0, [folder]
    while queue:
        try:
            with os.scandir(queue.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        queue.append(entry.path)
                    else:
                        status = entry.stat(follow_symlinks=False)
                        total += status.st_blocks * 512
                        longest = max(longest, status.st_size)
        except OSError:
            continue
    return total, longest


def _read(process: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{process}/{name}").read_bytes()
    except OSError:
        return b""


def _resident(process: int) -> int:
    fields = _read(process, "statm").split()
    return int(fields[1]) * PAGE if len(fields) > 1 else 0


def _proportional(process: int) -> int:
    for line in _read(process, "smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return _resident(process)


def _cpu_seconds(process: int) -> float:
    fields = _read(process, "stat").rpartition(b")")[2].split()
    # Its own time and that of its children that ended: utime, stime, cutime, cstime (proc(5)).
    return sum(int(field) for field in fields[11:15]) / TICKS if len(fields) > 14 else 0.0
