"""A run directory: created or reopened, locked, and filled stage by stage."""

import errno
import fcntl
import hashlib
import os
import re
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from uuid import uuid4

from pydantic import ValidationError

from sia.errors import HostError, StoreError, UsageError
from sia.store.durable import digest_file, files_under, sync_file, sync_folder, write_whole
from sia.store.ledger import Ledger
from sia.store.records import Authored, Ran, RunRecord, StageRecord, Trained

RUN_FILE = "run.json"
LEDGER_FILE = "ledger.jsonl"
CONTEXT_FILE = "context.md"
BEST_LINK = "best"
LOCK_FILE = ".lock"
STAGING = ".staging"
RESULTS_FILE = "results.json"
GENERATION_FILE = "generation.json"
AGENT_LOG = "target_agent_stdout.log"
EVALUATION_LOG = "evaluation.log"
AUTHOR_LOG = "author.log"
META_PROMPT = "meta_agent_prompt.txt"
FEEDBACK_PROMPT = "feedback_agent_prompt.txt"

MANY_FILES = 256
"""More files than these are forced to the disk together: one by one they would take minutes."""

RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def next_run_id(runs_dir: Path) -> str:
    """The next integer above all that are taken in `runs_dir`."""
    taken = [int(p.name[4:]) for p in runs_dir.glob("run_*") if p.name[4:].isdecimal()] if runs_dir.is_dir() else []
    return str(max(taken, default=0) + 1)


def run_path(runs_dir: Path, run_id: str) -> Path:
    """Where the run lies. Raises UsageError for an id that is no plain name."""
    if not RUN_ID.fullmatch(run_id):
        raise UsageError(f"run id {run_id!r} is not usable", "take letters, digits, '-', '_' and '.', at most 64")
    return runs_dir / f"run_{run_id}"


def resume_command(path: Path) -> str:
    """What a user types to go on with the run directory `path`."""
    folder = "" if path.parent == Path("runs").absolute() else f" --runs-dir {shlex.quote(str(path.parent))}"
    return f"sia --run-id {path.name.removeprefix('run_')} --resume{folder}"


def read_run_record(path: Path) -> RunRecord:
    """`run.json` of the run directory `path`. Raises StoreError when it is missing or damaged."""
    file = path / RUN_FILE
    try:
        return RunRecord.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{file} is not there", "`sia runs` lists the runs of this folder") from None
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror}", "correct its permissions or remove it") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise StoreError(
            f"{file}: {field}: {first['msg']}", "the file was damaged or written by another version"
        ) from None


class RunDirectory:
    """A run that this process owns: nobody else can write it until `close`.

    For a replay, `staging` says where stages work, so that their programs see the paths of the first time, and
    `restore` gives a stage's record the times that were measured then.
    """

    def __init__(
        self,
        path: Path,
        lock: int,
        ledger: Ledger,
        staging: Path | None = None,
        restore: Callable[[StageRecord], StageRecord] = lambda record: record,
    ) -> None:
        self.path = path
        self.ledger = ledger
        self.lock = lock
        self._staging = staging or path / STAGING
        self._restore = restore

    def generation_dir(self, generation: int) -> Path:
        """Folder of a generation; it exists once its first stage is committed."""
        return self.path / f"gen_{generation}"

    @contextmanager
    def staging(self, generation: int, stage: str) -> Iterator[Path]:
        """A fresh folder on the same file system for the work of one stage; gone afterwards."""
        folder = self._staging / f"gen_{generation}_{stage}"
        remove(folder)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            # What cannot be removed now must not hide how the stage ended.
            with suppress(OSError):
                remove(folder)

    def commit(
        self, generation: int, record: StageRecord, files: list[Path], read: list[Path] | None = None
    ) -> StageRecord:
        """Moves the stage's files and folders into the generation's folder and records the stage; returns the record.

        Before the ledger line is on the disk the stage has not happened: `discard_unrecorded` removes the files.
        """
        folder = self.generation_dir(generation)
        folder.mkdir(exist_ok=True)
        wrote: dict[str, str] = {}
        many = sum(len(files_under(entry)) for entry in files) > MANY_FILES
        if many:
            os.sync()
        recorded = {PurePosixPath(name).parts[:2] for line in self.ledger.lines for name in line.wrote}
        for entry in files:
            for file in files_under(entry):
                if not many:
                    sync_file(file)
                relative = file.relative_to(entry.parent)
                wrote[f"{folder.name}/{relative.as_posix()}"] = digest_file(file)
            target = folder / entry.name
            if target.relative_to(self.path).parts in recorded:
                raise StoreError(f"{target} is recorded by an earlier stage", "start a new run, and report this one")
            remove(target)
            entry.replace(target)
        sync_folder(folder)
        sync_folder(self.path)
        digests = {_told(p, self.path): digest_file(p) for p in read or () if p.is_file()}
        record = self._restore(record)
        cost = record.spending.cost if isinstance(record, Authored | Trained | Ran) else 0.0
        self.ledger.append(generation, record, wrote, digests, cost)
        return record

    def discard_unrecorded(self) -> None:
        """Removes what an interrupted stage left: staging folders, and files that no ledger line names."""
        remove(self.path / STAGING)
        decided = {line.generation for line in self.ledger.lines if line.record.stage == "decide"}
        kept = {name for line in self.ledger.lines for name in line.wrote}
        for folder in self.path.glob("gen_*"):
            if not folder.name[4:].isdecimal() or int(folder.name[4:]) in decided:
                continue
            for file in folder.rglob("*"):
                if not file.is_dir() and file.relative_to(self.path).as_posix() not in kept:
                    file.unlink()
            for inner in sorted((p for p in folder.rglob("*") if p.is_dir()), reverse=True):
                if not any(inner.iterdir()):
                    inner.rmdir()
            if not any(folder.iterdir()):
                folder.rmdir()

    def write_record(self, record: RunRecord) -> RunRecord:
        """Replaces `run.json`, with the ledger's head and its own digest; returns what it says."""
        record = record.model_copy(update={"ledger": self.ledger.head})
        write_whole(self.path / RUN_FILE, signed(record))
        return record

    def close(self) -> None:
        """Gives the run free for other processes."""
        os.close(self.lock)


def create_run(runs_dir: Path, run_id: str | None, describe: Callable[[str], RunRecord]) -> RunDirectory:
    """Makes a new run directory that holds the `run.json` that `describe` gives for its id, and locks it.

    It appears whole: a run that was killed at any moment has its `run.json`, so that it can go on.
    Raises StoreError when the id is taken, HostError when the folder cannot be written.
    """
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for _ in range(1000):
            path = run_path(runs_dir, run_id or next_run_id(runs_dir))
            if _appear(path, describe(path.name.removeprefix("run_"))):
                return own_run(path)
            if run_id:
                raise StoreError(
                    f"run {run_id} exists in {runs_dir}", "go on with `--resume`, or take another `--run-id`"
                )
    except OSError as error:
        raise HostError(
            f"cannot create a run in {runs_dir}: {error.strerror}",
            "make the folder writable, free some space or choose another with --runs-dir",
        ) from None
    raise HostError(f"no free run id found in {runs_dir}", "name one with --run-id")


def _appear(path: Path, record: RunRecord) -> bool:
    """Creates the run directory with its record in one step; False when there is one already."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent, ignore_cleanup_errors=True) as draft:
        new = Path(draft) / path.name
        new.mkdir()
        write_whole(new / RUN_FILE, signed(record))
        try:
            new.rename(path)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            return False
    sync_folder(path.parent)
    return True


def reopen_run(runs_dir: Path, run_id: str) -> RunDirectory:
    """Opens an interrupted run to go on with it. Raises StoreError when it is not there, in use or damaged."""
    path = run_path(runs_dir, run_id)
    if not path.is_dir():
        raise StoreError(f"there is no run {run_id} in {runs_dir}", "`sia runs` lists them")
    run = own_run(path)
    run.discard_unrecorded()
    return run


def own_run(path: Path) -> RunDirectory:
    """Locks the run directory `path`, and changes nothing in it. Raises StoreError when it is in use or damaged."""
    # Programs get paths in it, and work in other folders.
    path = path.absolute()
    try:
        lock = os.open(path / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HostError(f"cannot write in {path}: {error.strerror}", "make it writable or free some space") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreError(
            f"{path.name} is in use by another sia process", "wait for it, or take another `--run-id`"
        ) from None
    return RunDirectory(path, lock, Ledger(path / LEDGER_FILE))


def _told(path: Path, run: Path) -> str:
    """A path in the run directory as the ledger names it, any other as it is."""
    return str(path.relative_to(run)) if path.is_relative_to(run) else str(path)


def signed(record: RunRecord) -> bytes:
    """`run.json` with the SHA-256 of its bytes with an empty `digest`, so that a change shows."""
    content = record.model_copy(update={"digest": ""}).model_dump_json(indent=2).encode() + b"\n"
    return content.replace(b'"digest": ""', b'"digest": "%b"' % hashlib.sha256(content).hexdigest().encode(), 1)


def remove(path: Path) -> None:
    """Removes a file, a link or a folder, if it is there.

    A program may have shut its folders, and nested them deeper than a path or a stack reaches: each is opened, and
    raised to the top before its turn comes.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    pending = [path]
    while pending:
        folder = pending.pop()
        folder.chmod(0o700)
        with os.scandir(folder) as found:
            entries = list(found)
        for entry in map(Path, entries):
            if entry.is_dir() and not entry.is_symlink():
                # Who moves a folder to another one has to be able to write in it.
                entry.chmod(0o700)
                pending.append(entry.rename(path / uuid4().hex))
            else:
                entry.unlink()
        if folder != path:
            folder.rmdir()
    path.rmdir()
