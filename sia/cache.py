"""Folders in the user's cache that several commands may want at once: built by one, whole or not at all."""

import fcntl
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from sia.errors import HostError


def build_once(place: Path, build: Callable[[Path], None]) -> Path:
    """`place`, which `build` makes when it is not there; whoever else wants it meanwhile waits for it.

    `build` gets a path with the same name to make, and may use the folder around it for what it needs on the way: that
    folder is removed in the end. What a killed builder left is removed by the next one.
    Raises HostError when the disk is full or cannot be written.
    """
    if place.exists():
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.with_name(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in place.parent.glob(".new-*"):
                shutil.rmtree(left, ignore_errors=True)
            if not place.exists():
                with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as beside:
                    new = Path(beside) / place.name
                    build(new)
                    new.rename(place)
    except OSError as error:
        raise HostError(f"cannot write {place}: {error.strerror}", "free some space, or set SIA_CACHE_DIR") from None
    return place
