"""The environment of the OpenHands author: its engine needs Python 3.12 or 3.13, whatever SIA itself runs on."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from sia.environment import agent_environment, find_uv
from sia.errors import UsageError

PACKAGES = ("openhands-ai>=1.11,<2",)
BUILT = ("func-timeout",)
"""What they need that has no wheel."""
VERSIONS = ("3.12", "3.13")


def openhands_python(on_progress: Callable[[str], None]) -> Path:
    """An interpreter with the engine of OpenHands: this one, else one of an environment that is built once and kept.

    Raises UsageError when there is no Python that it works with, HostError when the environment cannot be built.
    """
    if _installed_here():
        return Path(sys.executable)
    base = find_python()
    if base is None:
        raise UsageError(
            f"the openhands backend needs Python {' or '.join(VERSIONS)}, and this machine has none within reach "
            f"(SIA runs on {sys.version_info.major}.{sys.version_info.minor})",
            "install one, `uv python install 3.12` or `pyenv install 3.12`; or take `--backend claude`",
        )
    return agent_environment(PACKAGES, on_progress, base, "OpenHands", BUILT)


def find_python() -> Path | None:
    """A Python of a fitting version: this one, on the path, of uv or of pyenv; None when there is none."""
    return next((path for path in _candidates() if _version(path) in VERSIONS), None)


def _installed_here() -> bool:
    try:
        return importlib.util.find_spec("openhands.tools") is not None
    except ModuleNotFoundError:
        return False


def _candidates() -> Iterator[Path]:
    yield Path(os.path.realpath(sys.executable))
    for version in VERSIONS:
        if found := shutil.which(f"python{version}"):
            yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in VERSIONS:
        yield from sorted(pyenv.glob(f"{version}.*/bin/python"), reverse=True)
    yield from _found_by_uv()


def _found_by_uv() -> Iterator[Path]:
    uv = find_uv()
    for version in VERSIONS if uv else ():
        done = subprocess.run(
            [str(uv), "python", "find", "--no-project", "--no-python-downloads", version],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            yield Path(done.stdout.strip())


def _version(python: Path) -> str | None:
    """Major and minor version; None when it does not start, as a shim of pyenv without a version behind it."""
    code = "import sys; print(*sys.version_info[:2], sep='.')"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
