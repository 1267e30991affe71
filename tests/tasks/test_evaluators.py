"""The bundled evaluators, run as programs on their real data: order, monotony, range, and bad submissions."""

import csv
import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia.task.catalog import find_bundled
from sia.task.fetch import prepare_task
from sia.task.package import TaskPackage

pytestmark = pytest.mark.slow
NAMES = ("gpqa", "lawbench", "longcot-chess", "spaceship-titanic")
Entries = list[tuple[str, Any]]


@dataclass(frozen=True)
class Graded:
    """A task with its truth and a way to grade answers in this process."""

    task: TaskPackage
    truth: dict[str, Any]
    wrong: Callable[[str], Any]
    module: ModuleType
    folder: Path

    def grade(self, entries: Entries) -> dict[str, Any]:
        write(self.folder, self.task.name, entries)
        self.module.sys.argv = ["evaluate.py", "--gen-dir", str(self.folder)]  # type: ignore[attr-defined]
        self.module.main()
        results: dict[str, Any] = json.loads((self.folder / "results.json").read_text())
        return results


def write(folder: Path, name: str, entries: Entries) -> None:
    if name in ("gpqa", "longcot-chess"):
        body = ",".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in entries)
        (folder / "submission.json").write_text(f"{{{body}}}")
        return
    header = ("id", "label") if name == "lawbench" else ("PassengerId", "Transported")
    with (folder / "submission.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *entries])


def truth_of(task: TaskPackage) -> dict[str, Any]:
    private = task.private_dir
    if task.name == "gpqa":
        records = json.loads((private / "diamond_questions.json").read_text())
        return {str(r["id"]): r["correct_answer_letter"] for r in records}
    if task.name == "longcot-chess":
        answers: dict[str, Any] = json.loads((private / "answers.json").read_text())
        return answers
    key, label = ("id", "label") if task.name == "lawbench" else ("PassengerId", "Transported")
    with (private / "test.csv").open(newline="", encoding="utf-8") as lines:
        return {row[key]: row[label] for row in csv.DictReader(lines)}


@pytest.fixture(scope="module", params=NAMES)
def graded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graded]:
    task = prepare_task(find_bundled(request.param), print)
    if request.param == "longcot-chess":
        pytest.importorskip("chess")
    spec = importlib.util.spec_from_file_location(f"evaluate_{request.param}", task.evaluator)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    truth = truth_of(task)

    def wrong(key: str) -> object:
        right = truth[key]
        if isinstance(right, list):
            return ["a1", "a1", "a1"]
        return next(v for v in truth.values() if v != right and not isinstance(v, list))

    argv = sys.argv
    yield Graded(task, truth, wrong, module, tmp_path_factory.mktemp(request.param))
    sys.argv = argv


def test_right_and_wrong_answers_reach_the_ends_of_the_range(graded: Graded) -> None:
    assert graded.grade(list(graded.truth.items()))["accuracy"] == 1.0
    assert graded.grade([(key, graded.wrong(key)) for key in graded.truth])["accuracy"] == 0.0
    assert len(graded.grade([])["items"]) == len(graded.truth)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0, 1), more=st.integers(1, 20), seed=st.integers(0, 2**32))
def test_order_changes_nothing_and_right_answers_never_hurt(graded: Graded, share: float, more: int, seed: int) -> None:
    generator = random.Random(seed)
    entries = [(k, v if generator.random() < share else graded.wrong(k)) for k, v in graded.truth.items()]
    answered = generator.sample(entries, k=generator.randint(1, len(entries)))
    before = graded.grade(answered)
    assert 0.0 <= before["accuracy"] <= 1.0
    shuffled = answered.copy()
    generator.shuffle(shuffled)
    assert graded.grade(shuffled) == before
    better = dict(answered) | dict(generator.sample(list(graded.truth.items()), k=min(more, len(graded.truth))))
    assert graded.grade(list(better.items()))["accuracy"] >= before["accuracy"]


def test_bad_answers_are_counted_as_what_they_are(graded: Graded) -> None:
    keys = list(graded.truth)
    first, second, third, fourth, *_ = keys
    padded = f" {graded.truth[second]}" if isinstance(graded.truth[second], str) else [" c4"]
    entries = [
        (first, graded.truth[first]),
        (first, graded.truth[first]),
        (second, padded),
        (third, "anything else"),
        ("no such id", graded.truth[third]),
    ]
    results = graded.grade(entries)
    status = {item["id"]: item["status"] for item in results["items"]}
    assert status[first] == "DUPLICATE"
    assert status[second] == "INVALID"
    assert status[third] == "INVALID"
    assert status[fourth] == "MISSING"
    assert results["n_unknown_ids"] == 1
    assert results["accuracy"] == 0.0


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[" * 200_000, b"[]", b'"id"', b"7" * 5_000, None])
def test_unusable_files_are_refused_in_one_line(graded: Graded, content: bytes | None, tmp_path: Path) -> None:
    name = "submission.json" if graded.task.name in ("gpqa", "longcot-chess") else "submission.csv"
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        [sys.executable, str(graded.task.evaluator), "--gen-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "results.json").exists()


def test_lines_of_moves_are_compared_by_the_rules(tmp_path: Path) -> None:
    pytest.importorskip("chess")
    task = prepare_task(find_bundled("longcot-chess"), print)
    truth = truth_of(task)
    lines = {key: value for key, value in truth.items() if isinstance(value, list)}
    assert len(lines) == 11
    unmarked = {key: [move.rstrip("+#") for move in moves] for key, moves in lines.items()}
    reversed_line = {key: moves[::-1] for key, moves in lines.items() if moves != moves[::-1]}
    for entries, expected in ((unmarked, 11 / 50), (reversed_line, 0.0)):
        (tmp_path / "submission.json").write_text(json.dumps(entries))
        argv = [sys.executable, str(task.evaluator), "--gen-dir", str(tmp_path)]
        assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0
        assert json.loads((tmp_path / "results.json").read_text())["accuracy"] == expected


def test_answers_beside_the_answers_do_not_help_in_lawbench(tmp_path: Path) -> None:
    task = prepare_task(find_bundled("lawbench"), print)
    truth = truth_of(task)
    write(tmp_path, "lawbench", list(truth.items())[:100])
    argv = [sys.executable, str(task.evaluator), "--gen-dir", str(tmp_path)]
    assert subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["accuracy"] == 100 / 913
    assert 0 < results["macro_f1"] < 0.5
