"""What a task's files tell without running anything: parts that are missing or cannot be used, links, copies."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sia.author.agent_file import source_problem
from sia.store.durable import digest_file, files_under
from sia.task.check.cells import MAX_BYTES, TEXTS
from sia.task.check.finding import Finding
from sia.task.manifest import MANIFEST_FILE
from sia.task.package import REFERENCE_AGENT, TaskPackage

LONG_DESCRIPTION = 20_000
LARGE_BYTES = 4 << 30


def check_layout(task: TaskPackage) -> Iterator[Finding]:
    """Everything that can be told from the files alone."""
    yield from _description(task)
    yield from _metric(task)
    yield from _evaluator(task)
    yield from _data(task)
    yield from _reach(task)
    yield from _reference(task)


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


def _data(task: TaskPackage) -> Iterator[Finding]:
    """Sizes, and texts that are none: what cannot be read cannot be searched for answers either."""
    size = sum(f.stat().st_size for f in files_under(task.public_dir))
    if size > LARGE_BYTES:
        told = f"{size >> 20} MiB; it is read anew for every generation"
        yield Finding("warning", "data/public", told, "leave out what agents do not need")
    for folder in (task.public_dir, task.private_dir):
        for file in (f for f in files_under(folder) if f.suffix in TEXTS):
            problem = _text_problem(file)
            if problem:
                yield Finding("warning", file.relative_to(task.root).as_posix(), problem, "save it as UTF-8")


def _text_problem(file: Path) -> str | None:
    if file.stat().st_size > MAX_BYTES:
        return f"is larger than {MAX_BYTES >> 20} MiB and is not searched for answers"
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix == ".json":
            json.loads(text)
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start}) and is not searched for answers"
    except (ValueError, RecursionError) as error:
        return f"is not JSON ({error}) and is not searched for answers"
    return None


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
    # The seed of an original task may be any program: it is only shown to authors.
    level: Literal["error", "warning"] = "error" if (task.root / MANIFEST_FILE).is_file() else "warning"
    yield Finding(level, name, problem, "correct it") if problem else Finding("ok", name, "takes both arguments")


def _agent_problem(file: Path) -> str | None:
    try:
        return source_problem(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        return f"cannot be read: {error}"
