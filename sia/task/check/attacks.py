"""Submissions that deserve nothing more than guessing does, made from the public files alone or brought by the task.

An attack is a name and a function that fills a folder as an agent would leave it. Forged numbers are `FORGED`, a value
that no grader comes to by itself.
"""

import ast
import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sia.score.metrics import KNOWN_METRICS
from sia.task.check.form import Entry, Form, sample_program
from sia.task.package import TaskPackage

FORGED = 0.98765432109
SHADOW_MARK = "sia-check: a module of the submission was loaded"
REACHED = "sia-check-reached"
"""Name of the file that a program leaves wherever it can, once it got where it must not."""
GIANT_BYTES = 64 << 20
TRIVIAL_ANSWERS = 6
GUESSES = 4
OWN_DIR = "cheats"


@dataclass(frozen=True)
class Attack:
    """One submission."""

    name: str
    fill: Callable[[Path], None]
    trivial: bool = False
    """It plays by the rules: the best of these is the trivial baseline that no other may exceed."""
    entries: tuple[Entry, ...] = ()
    """What it hands in, where it plays by the rules."""
    partial: bool = False
    """It plays by the rules, and leaves items out."""
    alone: bool = False
    """It is about how the evaluator starts, or what it starts: it needs a start of its own."""
    once: bool = False
    """It is not tried a second time: what it would score may be measured, and differ."""


def make_attacks(task: TaskPackage, form: Form | None) -> list[Attack]:
    """Every attack that fits the task."""
    return [*(_formed(form) if form else ()), *_blind(task, form), *own_attacks(task)]


def own_attacks(task: TaskPackage) -> list[Attack]:
    """What the task itself brings: each folder in data/private/cheats is a submission that deserves nothing."""
    folders = _own_cheats(task)
    return [Attack(f"the task's own cheat {folder.name}", partial(_copy, folder), once=True) for folder in folders]


def _own_cheats(task: TaskPackage) -> list[Path]:
    return sorted(folder for folder in (task.private_dir / OWN_DIR).glob("*") if folder.is_dir())


def _file_of_cheats(task: TaskPackage) -> str | None:
    """The file that all of the task's own cheats leave: what the task asks for."""
    left = [{file.name for file in folder.iterdir() if file.is_file()} for folder in _own_cheats(task)]
    return min(set.intersection(*left), default=None) if left else None


def forged_report(task: TaskPackage) -> str:
    """A results.json that says that all is right."""
    metric = task.manifest.metric.name or "accuracy"
    forged = {**dict.fromkeys((*KNOWN_METRICS, metric, "accuracy_percent"), FORGED), "correct": 10**6, "success": True}
    return json.dumps({**forged, "summary": forged, "items": [{"id": "1", "status": "CORRECT"}]})


def hand_in(form: Form, attack: str, entries: Sequence[Entry], trivial: bool = False, partial: bool = False) -> Attack:
    """The submission that holds `entries`."""
    content = form.write(entries)
    return Attack(attack, lambda folder: leave(folder / form.file, content), trivial, tuple(entries), partial)


def _file(name: str, attack: str, content: bytes) -> Attack:
    return Attack(attack, lambda folder: leave(folder / name, content))


def _copy(submission: Path, folder: Path) -> None:
    shutil.copytree(submission, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def leave(file: Path, content: bytes) -> None:
    """Writes one file of a submission, with its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _blind(task: TaskPackage, form: Form | None) -> Iterator[Attack]:
    """What needs no knowledge of the form; where it is known, a sample submission lies beside what is forged."""
    program = sample_program(task)
    name = form.file if form else task.manifest.agent.program or _file_of_cheats(task) or "submission.csv"
    report = forged_report(task).encode()

    def beside_sample(folder: Path) -> None:
        if form:
            leave(folder / name, form.write(form.entries))
        elif program:
            leave(folder / name, program.read_bytes())

    def link(folder: Path) -> None:
        for file in task.private_dir.rglob("*"):
            if file.is_file():
                name_of_link = "-".join(file.relative_to(task.private_dir).with_suffix("").parts)
                (folder / f"{name_of_link}-link{file.suffix}").symlink_to(file)
        largest = max((f for f in task.private_dir.rglob("*") if f.suffix != ".py"), key=_size, default=None)
        if largest:
            (folder / name).symlink_to(largest)

    def shadow(folder: Path) -> None:
        code = (
            "import os, pathlib\n"
            f"pathlib.Path('results.json').write_text({report.decode()!r})\n"
            f"print({SHADOW_MARK!r}, flush=True)\nos._exit(0)\n"
        )
        beside_sample(folder)
        for module in {*_imported(task.evaluator), "sitecustomize", "usercustomize", "json", "evaluate"}:
            (folder / f"{module}.py").write_text(code, encoding="utf-8")

    def giant(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(GIANT_BYTES)

    def reports(folder: Path) -> None:
        beside_sample(folder)
        places = ("results/results.json", "results/results_final.json", "summary.json", "score.json", "metrics.json")
        for place in ("results.json", *places):
            leave(folder / place, report)

    yield Attack("nothing left", lambda folder: None)
    yield _file("results.json", "forged results.json", report)
    yield Attack("forged reports beside the sample submission", reports)
    yield Attack("links to the private files", link)
    yield Attack("evaluator's modules shadowed in the folder", shadow, alone=True)
    yield Attack("folder in place of the submission", lambda folder: (folder / name).mkdir())
    yield _file(name, "empty file", b"")
    yield _file(name, "random bytes", random.Random(0).randbytes(4096))
    yield Attack(f"giant file of {GIANT_BYTES >> 20} MiB", giant)
    yield _file(name, "deeply nested JSON", b"[" * 100_000)
    yield _file(name, "self-reported score as the submission", report)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _imported(evaluator: Path) -> set[str]:
    """Top-level names of the modules that the evaluator imports."""
    try:
        tree = ast.parse(evaluator.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return set()
    nodes = list(ast.walk(tree))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


def _formed(form: Form) -> Iterator[Attack]:
    """What speaks the form of a submission."""
    ids = [key for key, _ in form.entries]
    sample, generator = list(form.entries), random.Random(0)
    shuffled = sample.copy()
    generator.shuffle(shuffled)
    values = [value for _, value in sample]
    answers = list(form.answers) or values[:1]

    def every(value: object) -> list[Entry]:
        return [(key, value) for key in ids]

    yield hand_in(form, "sample submission", sample, trivial=True)
    for number, answer in enumerate(answers[:TRIVIAL_ANSWERS], start=1):
        yield hand_in(form, f"one answer for all, no. {number}", every(answer), trivial=True)
    yield hand_in(form, "sample submission, rows shuffled", shuffled, trivial=True)
    yield hand_in(form, "answers drawn at random", [(key, generator.choice(answers)) for key in ids])
    for number, answer in enumerate(answers[:GUESSES], start=1):
        yield hand_in(form, f"all but one not attempted, guess {number}", [(ids[0], answer)], partial=True)
    yield hand_in(form, "every id twice", sample + sample)
    yield hand_in(form, "every class at once", [(key, answer) for key in ids for answer in answers[:50]])
    yield hand_in(form, "all classes in one answer", every(_joined(answers[:50])))
    yield hand_in(form, "unknown ids only", [(f"unknown-{key}", value) for key, value in sample])
    yield hand_in(form, "unknown ids added", sample + [(f"unknown-{key}", value) for key, value in sample])
    yield hand_in(form, "NaN", every("NaN" if form.header else float("nan")))
    yield hand_in(form, "infinite numbers", every("inf" if form.header else float("inf")))
    yield hand_in(form, "negative infinity", every("-inf" if form.header else float("-inf")))
    yield hand_in(form, "empty answers", every("" if form.header else None))
    yield hand_in(form, "wrong types", every("[]" if form.header else {"answer": values[0]}))
    yield hand_in(form, "yes to everything", every("True" if form.header else True))
    yield hand_in(form, "patterns that match anything", every(".*"))
    yield hand_in(form, "answers in wrong case, within white space", [(key, _padded(value)) for key, value in sample])
    yield hand_in(form, "half surrogates and null bytes", every("\0" if form.header else "\ud800\0"))
    yield hand_in(form, "no rows", [])
    yield from _tables(form) if form.header else _objects(form)


def _tables(form: Form) -> Iterator[Attack]:
    extra = ("correct", "is_correct", "score", "status", "accuracy")
    rows = [(key, value, 1, True, FORGED, "CORRECT", FORGED) for key, value in form.entries]
    yield _file(form.file, "extra columns that say correct", form.table([*form.header, *extra], rows))
    twice = form.table([*form.header, form.header[1]], [(key, value, value) for key, value in form.entries])
    yield _file(form.file, "answer column twice", twice)
    yield _file(form.file, "id column missing", form.table(form.header[1:], [(value,) for _, value in form.entries]))


def _objects(form: Form) -> Iterator[Attack]:
    claims: dict[str, Any] = {"accuracy": FORGED, "score": FORGED, "correct": len(form.entries), "status": "CORRECT"}
    yield _file(form.file, "sample with a score of its own", form.write([*form.entries, *claims.items()]))
    wrapped = {key: {"answer": value, "correct": True, "status": "CORRECT"} for key, value in form.entries}
    yield _file(form.file, "answers that say correct", json.dumps(wrapped).encode())
    listed = [{"id": key, "answer": value, "score": 1} for key, value in form.entries]
    yield _file(form.file, "list in place of the object", json.dumps(listed).encode())


def _joined(answers: list[Any]) -> Any:  # noqa: ANN401 (an answer may be any JSON value)
    return answers if any(isinstance(answer, list) for answer in answers) else " ".join(map(str, answers))


def _padded(value: object) -> object:
    return f"  {value.swapcase()} \t" if isinstance(value, str) else value
