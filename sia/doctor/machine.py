"""Python, environments, disk, keys and GPU: each is used once, not asked for its version."""

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sia.doctor.finding import Finding
from sia.environment import cache_dir, find_uv
from sia.gateway.keys import known_variables
from sia.gateway.providers import Provider, load_providers
from sia.jail.devices import gpu_devices

MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 << 30
SECONDS = 120.0


def check_machine(runs_dir: Path) -> list[Finding]:
    """Everything but the sandbox. Raises UsageError when sia.toml or .env cannot be read."""
    variables = known_variables()
    return [
        check_python(),
        check_venv(),
        check_uv(),
        check_disk("disk for the cache", cache_dir()),
        check_disk("disk for the runs", runs_dir.absolute()),
        *(check_key(provider, variables) for provider in load_providers().values() if provider.key_variables),
        check_gpu(),
    ]


def check_python() -> Finding:
    """The interpreter that runs this."""
    told = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info < MIN_PYTHON:
        return Finding("Python", "fail", told, "install Python 3.11 or later")
    return Finding("Python", "ok", told)


def check_venv() -> Finding:
    """Makes a virtual environment and runs its interpreter."""
    with tempfile.TemporaryDirectory(prefix="sia-doctor-") as folder:
        place = Path(folder, "venv")
        if problem := _fails(sys.executable, "-m", "venv", "--without-pip", str(place)):
            return Finding("venv", "note", problem, "only needed where uv is not: `apt install python3-venv`")
        if problem := _fails(str(place / "bin" / "python"), "-c", "import json"):
            return Finding("venv", "note", problem, "its interpreter does not run: is /tmp mounted noexec?")
    return Finding("venv", "ok", "can be made and runs")


def check_uv() -> Finding:
    """Makes an environment with uv."""
    uv = find_uv()
    if uv is None:
        return Finding("uv", "note", "not there; pip builds the environments", "`pip install uv` makes that faster")
    with tempfile.TemporaryDirectory(prefix="sia-doctor-") as folder:
        if problem := _fails(uv, "venv", "--quiet", "--python", sys.executable, str(Path(folder, "venv"))):
            return Finding("uv", "note", problem, "`pip install --force-reinstall uv`")
    return Finding("uv", "ok", f"makes environments, {uv}")


def check_disk(subject: str, place: Path) -> Finding:
    """Writes a file, and looks at the free space."""
    folder = next(p for p in (place, *place.parents) if p.is_dir())
    free = shutil.disk_usage(folder).free
    told = f"{free / (1 << 30):.1f} GiB free at {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
    except OSError as error:
        return Finding(subject, "fail", f"{folder}: {error.strerror}", "make it writable, or name another folder")
    if free < MIN_FREE_BYTES:
        return Finding(subject, "fail", told, f"free some space: {MIN_FREE_BYTES >> 30} GiB are needed")
    return Finding(subject, "ok", told)


def check_key(provider: Provider, variables: Mapping[str, str]) -> Finding:
    """Whether there is a key, in the environment or in .env. Its value is never shown."""
    subject, names = f"key for {provider.name}", provider.key_variables
    found = next((name for name in names if variables.get(name)), None)
    if found:
        return Finding(subject, "ok", f"{found} is set")
    remedy = f"`export {names[0]}=...` or write it into .env; `--backend offline` needs no key"
    return Finding(subject, "note", "not set", remedy)


def check_gpu() -> Finding:
    """The CUDA devices that `--gpu` would show to agents."""
    devices = gpu_devices()
    if not devices:
        return Finding("GPU", "note", "no CUDA device", "only needed for `--gpu` and for training")
    tool = shutil.which("nvidia-smi")
    if tool:
        listed = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=SECONDS, check=False)
        if listed.returncode:
            told = listed.stdout.strip()[-200:] or f"nvidia-smi ends with exit status {listed.returncode}"
            return Finding("GPU", "note", told, "reinstall the driver; only needed for `--gpu` and for training")
        return Finding("GPU", "ok", listed.stdout.strip().replace("\n", "; "))
    return Finding("GPU", "ok", ", ".join(str(device) for device in devices))


def _fails(*argv: str) -> str:
    """What goes wrong with a command, in a line; empty when nothing does."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)[:200]
    if done.returncode == 0:
        return ""
    return (done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}").splitlines()[-1][:200]
