"""The devices of a GPU, for programs that are to see them."""

from pathlib import Path

from sia.jail.protocol import Mount

PATTERNS = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm*", "nvidia-modeset", "nvidia-caps/*")


def gpu_devices(folder: Path = Path("/dev")) -> tuple[Path, ...]:
    """Device files of CUDA in `folder`; none where there is no GPU."""
    return tuple(sorted(path for pattern in PATTERNS for path in folder.glob(pattern) if not path.is_dir()))


def gpu_mounts() -> tuple[Mount, ...]:
    """What a program has to see to compute on the GPUs: their devices and what the driver tells of them."""
    told = [Path(place) for place in ("/proc/driver/nvidia", "/sys/bus/pci", "/sys/devices") if Path(place).is_dir()]
    devices = gpu_devices()
    return (*(Mount(path, writable=True) for path in devices), *(Mount(path) for path in told if devices))
