"""Adapters as files: named by what they hold, and put where the server of local models looks for them."""

import hashlib
import shutil
from pathlib import Path

from sia.cache import build_once
from sia.environment import cache_dir
from sia.errors import StoreError
from sia.store.durable import digest_file
from sia.weights.outcome import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from sia.weights.tinker.reference import REFERENCE_FILE, read_reference

ADAPTER_DIR = "adapter"
ADAPTER_FILES = (ADAPTER_WEIGHTS, ADAPTER_CONFIG)


def adapter_files(folder: Path) -> tuple[str, ...]:
    """The files of the adapter in `folder`: its weights and form, or where it lies at Tinker."""
    return (REFERENCE_FILE,) if (folder / REFERENCE_FILE).exists() else ADAPTER_FILES


def adapter_digest(folder: Path) -> str:
    """SHA-256 over the files of the adapter in `folder`. Raises FileNotFoundError when one is missing."""
    lines = "".join(f"{name}\0{digest_file(folder / name)}\n" for name in adapter_files(folder))
    return hashlib.sha256(lines.encode()).hexdigest()


def publish_adapter(folder: Path, digest: str) -> Path:
    """The adapter's place in the cache, where it is served from; copied there when it is not.

    Raises StoreError when the files in `folder` are not those that the digest names.
    """
    place = cache_dir() / "adapters" / digest
    if place.exists():
        return place
    try:
        found = adapter_digest(folder)
    except FileNotFoundError as error:
        raise StoreError(f"{error.filename} is not there", "the run cannot be trusted") from None
    if found != digest:
        raise StoreError(f"the adapter in {folder} was changed after it was trained", "the run cannot be trusted")

    def copy(new: Path) -> None:
        new.mkdir()
        for name in adapter_files(folder):
            shutil.copyfile(folder / name, new / name)

    return build_once(place, copy)


def served_as(folder: Path, digest: str) -> str:
    """What the model's server knows the adapter in `folder` by, once it is ready to be served.

    That is its digest, or its path at Tinker. Raises StoreError as `publish_adapter` does.
    """
    place = publish_adapter(folder, digest)
    return read_reference(place).sampler if (place / REFERENCE_FILE).exists() else digest
