"""Looks at a task package for what would spoil a run: parts that are missing, and answers within an agent's reach."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sia.author.agent_file import source_problem
from sia.store.durable import digest_file, files_under
from sia.task.manifest import MANIFEST_FILE
from sia.task.package import REFERENCE_AGENT, TaskPackage

LONG_DESCRIPTION = 20_000


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Literal["ok", "warning", "error"]
    subject: str
    told: str
    remedy: str = ""


def check_task(task: TaskPackage) -> list[Finding]:
    """Everything that was found in a task that loads, errors first."""
    found = [*_description(task), *_metric(task), *_evaluator(task), *_reach(task), *_reference(task)]
    return sorted(found, key=lambda finding: ("error", "warning", "ok").index(finding.level))


def _description(task: TaskPackage) -> Iterator[Finding]:
    length = len(task.description)
    if length > LONG_DESCRIPTION:
        yield Finding(
            "warning", "task.md", f"{length} characters; prompts carry the first {LONG_DESCRIPTION}", "shorten it"
        )
    else:
        yield Finding("ok", "task.md", f"{length} characters")


def _metric(task: TaskPackage) -> Iterator[Finding]:
    metric = task.manifest.metric
    if metric.name is None:
        yield Finding(
            "warning",
            MANIFEST_FILE,
            "no metric is named; the first known name in results.json is taken",
            "set [metric] name and direction",
        )
    else:
        yield Finding("ok", MANIFEST_FILE, f"metric {metric.name}, {metric.direction or 'direction by its name'}")


def _evaluator(task: TaskPackage) -> Iterator[Finding]:
    name = task.evaluator.relative_to(task.root).as_posix()
    try:
        text = task.evaluator.read_text(encoding="utf-8")
        ast.parse(text)
    except (SyntaxError, UnicodeDecodeError) as error:
        yield Finding("error", name, f"cannot be run: {error}", "correct it")
        return
    if "--gen-dir" not in text:
        yield Finding("error", name, "does not take --gen-dir", "read the outputs from the folder that it names")
    elif task.evaluator.parent == task.public_dir:
        yield Finding("warning", name, "agents can read the grader", "move it to data/private")
    else:
        yield Finding("ok", name, "takes --gen-dir, out of the agents' reach")


def _reach(task: TaskPackage) -> Iterator[Finding]:
    """Links into or out of the private folder, and files that are in both."""
    private = {digest_file(f): f for f in files_under(task.private_dir) if f.stat().st_size > 0}
    clean = True
    for folder in (task.public_dir, task.private_dir):
        for link in (p for p in (folder, *folder.rglob("*")) if p.is_symlink()):
            clean = False
            name = link.relative_to(task.root).as_posix()
            yield Finding("error", name, f"is a link to {link.readlink()}", "put the file itself there")
    for file in files_under(task.public_dir):
        twin = private.get(digest_file(file))
        if twin is not None:
            clean = False
            yield Finding(
                "error",
                file.relative_to(task.root).as_posix(),
                f"is the same as {twin.relative_to(task.root).as_posix()}",
                "take it out of the public folder",
            )
    if clean:
        yield Finding("ok", "data", f"{len(private)} private files, none of them public, no links")


def _reference(task: TaskPackage) -> Iterator[Finding]:
    file = task.reference_dir / REFERENCE_AGENT if task.reference_dir else None
    if file is None or not file.is_file():
        yield Finding("warning", "reference", "there is no seed agent", f"a small reference/{REFERENCE_AGENT} helps")
        return
    name = file.relative_to(task.root).as_posix()
    problem = _agent_problem(file)
    yield Finding("error", name, problem, "correct it") if problem else Finding("ok", name, "takes both arguments")


def _agent_problem(file: Path) -> str | None:
    try:
        return source_problem(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        return f"cannot be read: {error}"
