"""Whether a run's files are still what its ledger says."""

from dataclasses import dataclass
from pathlib import Path

from sia.errors import StoreError
from sia.store.durable import digest_file
from sia.store.ledger import read_ledger
from sia.store.run_directory import LEDGER_FILE

MAX_NAMED = 20


@dataclass(frozen=True)
class Integrity:
    """What a check of the ledger found."""

    lines: int
    files: int
    """Files that the ledger names."""
    changed: tuple[str, ...] = ()
    """Those that are missing or hold something else, at most `MAX_NAMED`."""
    problem: str = ""
    """Why the ledger itself cannot be trusted."""

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        if self.changed:
            return f"changed since they were recorded: {', '.join(self.changed)}"
        return f"the chain of {self.lines} ledger lines holds, and all {self.files} files have their recorded SHA-256"


def check_integrity(path: Path) -> Integrity:
    """Follows the hash chain of the ledger and digests every file that it names, in the run directory `path`."""
    try:
        lines, _, _ = read_ledger(path / LEDGER_FILE)
    except (StoreError, OSError) as error:
        return Integrity(0, 0, problem=str(error))
    latest = {name: digest for line in lines for name, digest in line.wrote.items()}
    changed = [name for name, digest in latest.items() if not _holds(path, name, digest)]
    return Integrity(len(lines), len(latest), tuple(changed[:MAX_NAMED]))


def _holds(path: Path, name: str, digest: str) -> bool:
    file = path / name
    try:
        return not file.is_symlink() and file.is_file() and digest_file(file) == digest
    except OSError:
        return False
