"""What tests of several folders need from the machine."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported. The toys' tensors are small: threads that wait for each other, in tests side by side, take
# several times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("cannot mount a tmpfs: needs the right to mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
