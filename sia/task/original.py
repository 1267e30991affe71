"""What a task folder without a `task.toml` leaves unsaid: packages of its programs, and a grader for a plain table.

Original SIA tasks ran in the user's own environment, and one of them is scored by nothing but a table of labels.
"""

import ast
import csv
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sia.environment import cache_dir, requirements_of
from sia.errors import TaskError
from sia.store.durable import digest_file, files_under

GRADER = Path(__file__).with_name("table_grader.py")
DISTRIBUTIONS = {
    "anthropic": "anthropic",
    "chess": "chess",
    "dotenv": "python-dotenv",
    "numpy": "numpy",
    "openai": "openai",
    "pandas": "pandas",
    "pydantic": "pydantic",
    "requests": "requests",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "tqdm": "tqdm",
}
"""Modules that are installed when a program imports them; a name that is not here could be anybody's package."""
USUAL = ("pandas", "scikit-learn")
"""What the agents of nearly every task use."""


def packages_of(root: Path) -> tuple[str, ...]:
    """Those of `USUAL`, and the ones in reference/requirements.txt, else of what evaluator and seed agent import.

    Raises TaskError for a requirements.txt with anything but packages in it.
    """
    stated = root / "reference" / "requirements.txt"
    if stated.is_file():
        try:
            return (*USUAL, *requirements_of(stated.read_text(encoding="utf-8"), stated))
        except ValueError as error:
            raise TaskError(stated, str(error), "name packages with versions, one a line") from None
    programs = [*root.glob("data/*/evaluate.py"), *root.glob("reference/*.py")]
    found = {DISTRIBUTIONS[name] for file in programs for name in _imported(file) if name in DISTRIBUTIONS}
    return tuple(sorted({*USUAL, *found}))


def needs_grader(root: Path) -> bool:
    """Whether the folder has no evaluator, but a sample submission and private labels for its column."""
    if any((root / "data" / part / "evaluate.py").exists() for part in ("private", "public")):
        return False
    sample = _header(root / "data" / "public" / "sample_submission.csv")
    return len(sample) == 2 and any(
        set(sample) <= set(_header(file)) for file in (root / "data" / "private").glob("*.csv")
    )


def with_grader(root: Path) -> Path:
    """A copy of the folder in the cache that has the table grader for its evaluator."""
    digest = hashlib.sha256()
    for file in (GRADER, *files_under(root)):
        digest.update(f"{file.name}\0{digest_file(file)}\n".encode())
    place = cache_dir() / "tasks" / digest.hexdigest()[:16] / root.name
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as beside:
            new = Path(beside) / root.name
            shutil.copytree(root, new, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copyfile(GRADER, new / "data" / "private" / "evaluate.py")
            # Another process may have been faster; both made the same.
            if not place.is_dir():
                new.rename(place)
    return place


def _imported(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        yield from (top for name in names if (top := name.split(".")[0]) not in sys.stdlib_module_names)


def _header(file: Path) -> list[str]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            return next(csv.reader(lines), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []
