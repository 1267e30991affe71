"""Devices of a GPU: found by name, and usable in every jail that is told of them."""

import os
import stat
import sys
from pathlib import Path

import pytest

from sia.jail.devices import gpu_devices
from sia.jail.protocol import Command, Jail, Limits, Mount

ZEROS = os.makedev(1, 5)


def test_cuda_devices_are_found_by_name(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia11", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "null", "nvram", "sda"):
        (tmp_path / name).touch()
    (tmp_path / "nvidia-caps").mkdir()
    (tmp_path / "nvidia-caps" / "nvidia-cap1").touch()
    found = [str(path.relative_to(tmp_path)) for path in gpu_devices(tmp_path)]
    wanted = ["nvidia-caps/nvidia-cap1", "nvidia-uvm", "nvidia-uvm-tools", "nvidia0", "nvidia11", "nvidiactl"]
    assert sorted(found) == wanted


def test_mounted_device_can_be_used(wall: Jail, tmp_path: Path) -> None:
    device = tmp_path / "nvidia0"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, ZEROS)
        with device.open("rb", buffering=0) as file:
            file.read(1)
    except PermissionError:
        pytest.skip("this user may not make devices")
    work = tmp_path / "work"
    work.mkdir()
    code = "import sys; print(open(sys.argv[1], 'rb', buffering=0).read(2)); open(sys.argv[1], 'wb').write(b'x')"
    outcome = wall.run(
        Command(
            argv=(sys.executable, "-c", code, str(device)),
            cwd=work,
            log=tmp_path / "log",
            limits=Limits(seconds=20),
            mounts=(Mount(work, writable=True), Mount(device, writable=True), Mount(Path(sys.prefix))),
        )
    )
    assert outcome.exit_status == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "log").read_text() == "b'\\x00\\x00'\n"
