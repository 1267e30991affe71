"""A generation as a folder that runs alone: agent, requirements, adapter, and a README with the measured score."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

import sia
from sia.author.brief import AGENT_FILE, REQUIREMENTS_FILE
from sia.errors import HostError, StoreError, UsageError
from sia.report import words
from sia.report.files import read_shown
from sia.report.story import Chapter, RunStory
from sia.report.text import open_file
from sia.report.training import ADAPTER_DIR
from sia.score.model import describe_score

NOT_PACKAGES = ("python", "sia")
README_FILE = "README.md"
MODEL_VARIABLES = ("SIA_TASK_MODEL", "ANTHROPIC_", "OPENAI_", "GEMINI_", "GOOGLE_")
"""What an agent that asks a model reads from its environment."""


@dataclass(frozen=True)
class Adapter:
    """The LoRA adapter that a generation ran with."""

    generation: int
    """The one that trained it: the generation itself, or the nearest one that it was built on."""
    folder: Path


def export_generation(story: RunStory, number: int | None, out: Path) -> Path:
    """Makes the folder `out` from generation `number`, or the best one.

    Raises UsageError when there is none or `out` is taken, StoreError when its agent is missing, HostError when `out`
    cannot be written.
    """
    chapter = story.by_number.get(number) if number is not None else story.best
    if chapter is None and number is not None:
        raise UsageError(
            f"run {story.run_id} has no decided generation {number}", f"`sia show {story.run_id}` lists what there is"
        )
    if chapter is None:
        raise UsageError(f"run {story.run_id} has no scored generation", "name one with --generation")
    if out.exists():
        raise UsageError(f"{out} exists", "choose another folder with --out, or remove it")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as draft:
            made = Path(draft) / "made"
            made.mkdir()
            _fill(story, chapter, made)
            made.rename(out)
    except OSError as error:
        raise HostError(f"cannot write {out}: {error.strerror}", "choose another folder with --out") from None
    return out


def _fill(story: RunStory, chapter: Chapter, folder: Path) -> None:
    try:
        with open_file(story.path, f"gen_{chapter.number}/{AGENT_FILE}") as file:
            agent = file.read()
    except OSError:
        raise StoreError(
            f"generation {chapter.number} of run {story.run_id} has no {AGENT_FILE}", "choose another with --generation"
        ) from None
    (folder / AGENT_FILE).write_bytes(agent)
    (folder / REQUIREMENTS_FILE).write_text("".join(f"{line}\n" for line in _requirements(story, chapter)))
    adapter = find_adapter(story, chapter)
    if adapter is not None:
        shutil.copytree(adapter.folder, folder / ADAPTER_DIR, symlinks=True, ignore=_links)
    asks = any(name.encode() in agent for name in MODEL_VARIABLES)
    (folder / README_FILE).write_text(_readme(story, chapter, adapter, asks), encoding="utf-8")


def _links(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_symlink()]


def _requirements(story: RunStory, chapter: Chapter) -> list[str]:
    """The packages that the agent ran with, pinned; those that it asked for itself as it asked for them."""
    own = read_shown(story.path, f"gen_{chapter.number}/{REQUIREMENTS_FILE}").text
    asked = []
    for line in own.splitlines():
        try:
            asked.append(Requirement(line.split("#", 1)[0].strip()))
        except InvalidRequirement:
            continue
    names = {canonicalize_name(requirement.name) for requirement in asked}
    pinned = [
        f"{name}=={version}"
        for name, version in story.record.versions.items()
        if name not in NOT_PACKAGES and canonicalize_name(name) not in names
    ]
    return sorted(pinned + [str(requirement) for requirement in asked], key=str.lower)


def find_adapter(story: RunStory, chapter: Chapter) -> Adapter | None:
    """The adapter that `chapter` ran with: its own, or that of the nearest generation that it was built on."""
    one: Chapter | None = chapter
    while one is not None:
        folder = story.path / f"gen_{one.number}" / ADAPTER_DIR
        if folder.is_dir() and not folder.is_symlink():
            return Adapter(one.number, folder)
        parent = one.record.parent
        one = story.by_number.get(parent) if parent is not None and parent < one.number else None
    return None


def _readme(story: RunStory, chapter: Chapter, adapter: Adapter | None, asks: bool) -> str:
    record = story.record
    python = record.versions.get("python", "3.11")
    final = record.best_scores if record.best_scores and record.best_scores.generation == chapter.number else None
    lines = [
        f"# An agent for {record.task}",
        "",
        f"Generation {chapter.number} of run {story.run_id}, written by the {record.backend} author, exported by SIA "
        f"{sia.__version__}.",
        "",
        "## Its score",
        "",
        f"Measured by the task's evaluator: {story.metric}, {'lower' if story.lower_is_better else 'higher'} is "
        "better. Brackets hold the 95 % interval, n is the number of items.",
        "",
    ]
    if final is not None:
        lines.append(f"- all items: {describe_score(final.all)}")
    lines.append(f"- dev items, which it was selected on: {describe_score(chapter.record.score)}")
    if chapter.sealed is not None:
        lines.append(f"- sealed items, which nothing in the run could learn from: {describe_score(chapter.sealed)}")
    lines += [f"- verdict against the best before it: {words.verdict(chapter.record.verdict)}", "", "## Run it", ""]
    lines += [
        f"With Python {python} or a near one, in this folder; DATA is a "
        "folder like the task's data/public, OUT is where the outputs go:",
        "",
        "```sh",
        f"python3 -m venv .venv && .venv/bin/pip install -r {REQUIREMENTS_FILE}",
        f"mkdir -p OUT && .venv/bin/python {AGENT_FILE} --dataset_dir DATA --working_dir OUT",
        "```",
        "",
    ]
    if asks:
        lines += [
            "It asks a language model: set `SIA_TASK_MODEL` to the model's name, `SIA_TASK_DIALECT` to anthropic, "
            "openai or gemini, and the variables that the provider's client reads, such as `ANTHROPIC_API_KEY` and "
            "`ANTHROPIC_BASE_URL`.",
            "",
        ]
    if adapter is not None:
        lines += [
            f"`{ADAPTER_DIR}/` holds the LoRA adapter that generation {adapter.generation} trained: load it onto the "
            "base model named in its `adapter_config.json`, and serve that model to the agent.",
            "",
        ]
    lines.append(f"It was run in the sandbox `{record.jail}`; here it has all your rights: read the code first.")
    return "\n".join([*lines, ""])
