"""Python, environments, disk, keys and GPU: each is used once, not asked for its version."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sia.doctor.finding import Finding
from sia.environment import cache_dir, find_uv
from sia.jail.devices import gpu_devices

MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 2 << 30
SECONDS = 120.0
KEYS: Mapping[str, tuple[str, ...]] = {
    "Anthropic": ("ANTHROPIC_API_KEY",),
    "OpenAI": ("OPENAI_API_KEY",),
    "Gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "OpenRouter": ("OPENROUTER_API_KEY",),
    "OpenHands": ("LLM_API_KEY",),
}
"""Environment variables that hold the keys of each provider."""


def check_machine(runs_dir: Path, environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Everything but the sandbox."""
    return [
        check_python(),
        check_venv(),
        check_uv(),
        check_disk("disk for the cache", cache_dir()),
        check_disk("disk for the runs", runs_dir.absolute()),
        *(check_key(provider, names, environment) for provider, names in KEYS.items()),
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


def check_key(provider: str, names: tuple[str, ...], environment: Mapping[str, str]) -> Finding:
    """Whether there is a key. Its value is never shown."""
    found = [name for name in names if environment.get(name)]
    if found:
        return Finding(f"key for {provider}", "ok", f"{found[0]} is set")
    return Finding(
        f"key for {provider}", "note", "not set", f"`export {names[0]}=...`; `--backend offline` needs no key"
    )


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
