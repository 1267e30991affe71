"""A task package, loaded and validated."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sia.errors import TaskError
from sia.store.durable import digest_file, files_under
from sia.task.manifest import MANIFEST_FILE, AgentTable, Manifest, read_manifest
from sia.task.original import packages_of

REFERENCE_AGENT = "reference_target_agent.py"
REFERENCE_SAMPLES = "SAMPLE_TASK_DESCRIPTIONS.md"


@dataclass(frozen=True)
class TaskPackage:
    """A task whose parts are all there."""

    name: str
    root: Path
    public_dir: Path
    private_dir: Path
    reference_dir: Path | None
    evaluator: Path
    """data/private/evaluate.py, else the one in data/public, which agents can read."""
    manifest: Manifest
    description: str
    """The text of task.md."""


def load_task(root: Path) -> TaskPackage:
    """The task in the folder `root`; an original SIA task folder loads unchanged.

    Raises TaskError naming the file, what is wrong and the remedy.
    """
    root = root.absolute()
    if not root.is_dir():
        raise TaskError(root, "there is no such folder", "give the task's folder, or `--task NAME` for a bundled one")
    public, private = root / "data" / "public", root / "data" / "private"
    manifest = read_manifest(root)
    if not (root / MANIFEST_FILE).is_file():
        manifest = manifest.model_copy(update={"agent": AgentTable(packages=packages_of(root))})
    description = _read_description(public / "task.md")
    if not private.is_dir() or not any(private.iterdir()):
        raise TaskError(private, "the private folder is missing or empty", "put the held-out data there")
    _refuse_overlap(public, private)
    evaluator = next((d / "evaluate.py" for d in (private, public) if (d / "evaluate.py").is_file()), None)
    if evaluator is None:
        raise TaskError(
            private / "evaluate.py", "there is no evaluator", "write one: docs/walkthrough.md shows a small one"
        )
    reference = root / "reference"
    return TaskPackage(
        name=root.name,
        root=root,
        public_dir=public,
        private_dir=private,
        reference_dir=reference if reference.is_dir() else None,
        evaluator=evaluator,
        manifest=manifest,
        description=description,
    )


def _refuse_overlap(public: Path, private: Path) -> None:
    """Agents see the public folder whole: nothing of the private one may lie in it, whatever links say."""
    shown, hidden = public.resolve(), private.resolve()
    if hidden.is_relative_to(shown) or shown.is_relative_to(hidden):
        told = f"lies in {public}" if hidden.is_relative_to(shown) else f"holds {public}"
        raise TaskError(private, f"{told} (links followed): agents would read the answers", "keep the two apart")


def task_digest(task: TaskPackage) -> str:
    """SHA-256 over the paths and contents of the task's files; runs and other things may lie beside them."""
    digest = hashlib.sha256()
    for part in (MANIFEST_FILE, "data", "reference"):
        for file in files_under(task.root / part):
            if "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(task.root).as_posix()}\0{digest_file(file)}\n".encode())
    return digest.hexdigest()


def _read_description(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise TaskError(file, "the description is missing", "describe the task there, for the agents") from None
    except UnicodeDecodeError as error:
        raise TaskError(file, f"is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    if not text.strip():
        raise TaskError(file, "is empty", "describe the task there, for the agents")
    return text
