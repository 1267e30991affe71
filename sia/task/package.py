"""A task package, loaded and validated."""

from dataclasses import dataclass
from pathlib import Path

from sia.errors import TaskError
from sia.task.manifest import Manifest, read_manifest

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
    description = _read_description(public / "task.md")
    if not private.is_dir() or not any(private.iterdir()):
        raise TaskError(private, "the private folder is missing or empty", "put the held-out data there")
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
