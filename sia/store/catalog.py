"""Reads finished and unfinished runs without owning them."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sia.errors import StoreError
from sia.store.ledger import read_ledger
from sia.store.progress import fold
from sia.store.records import GenerationRecord, RunRecord
from sia.store.run_directory import GENERATION_FILE, LEDGER_FILE, read_run_record


@dataclass(frozen=True)
class FoundRuns:
    """The runs of a folder, and what is wrong with those that cannot be read."""

    records: list[RunRecord]
    problems: list[str]


def list_runs(runs_dir: Path) -> FoundRuns:
    """All runs in `runs_dir`, integers first in their order, then names."""
    found = FoundRuns([], [])
    for path in sorted(runs_dir.glob("run_*"), key=_order):
        try:
            found.records.append(read_run_record(path))
        except StoreError as error:
            found.problems.append(str(error))
    return found


def generations_of(path: Path) -> list[GenerationRecord]:
    """The decided generations of the run directory `path`, from its ledger."""
    lines, _, _ = read_ledger(path / LEDGER_FILE)
    return fold(lines).generations


def read_generation(path: Path, number: int) -> GenerationRecord:
    """`generation.json` of one generation. Raises StoreError when it is not there or damaged."""
    file = path / f"gen_{number}" / GENERATION_FILE
    try:
        return GenerationRecord.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise StoreError(f"{file} is not there", "`sia show RUN` lists the generations") from None
    except ValidationError as error:
        raise StoreError(f"{file}: {error.errors()[0]['msg']}", "the file was damaged") from None


def _order(path: Path) -> tuple[int, int, str]:
    name = path.name[4:]
    return (0, int(name), "") if name.isdecimal() else (1, 0, name)
