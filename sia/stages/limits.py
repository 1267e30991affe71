"""What a program of a stage may use: the run's settings before the task's, and no limit left open."""

import os

from sia.jail.protocol import Limits
from sia.settings import RunSettings
from sia.task.manifest import LimitsTable

MEMORY_SHARE = 0.5
"""Of the machine's memory, when neither the run nor the task says more."""


def limits_of(settings: RunSettings, table: LimitsTable, seconds: float) -> Limits:
    """The limits of one program; `seconds` is its wall clock."""
    return Limits(
        seconds=seconds,
        output_bytes=settings.limit_output or table.output,
        memory_bytes=settings.limit_memory or table.memory or int(machine_memory() * MEMORY_SHARE),
        processes=settings.limit_processes or table.processes,
        file_bytes=settings.limit_file or table.file,
        disk_bytes=settings.limit_disk or table.disk,
        cpu_seconds=settings.limit_cpu or table.cpu or seconds * (os.cpu_count() or 1),
    )


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
