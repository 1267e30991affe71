"""`sia tasks check` finds what would spoil a run."""

import shutil
from pathlib import Path

import pytest

from sia.errors import TaskError
from sia.task.check import Finding, check_task
from sia.task.package import load_task
from tests.support import agent_with_accuracy, make_task


@pytest.fixture
def task(tmp_path: Path) -> Path:
    root = make_task(tmp_path / "task", {})
    (root / "reference").mkdir()
    (root / "reference" / "reference_target_agent.py").write_text(agent_with_accuracy(5))
    return root


def errors(root: Path) -> list[Finding]:
    return [f for f in check_task(load_task(root)) if f.level == "error"]


def test_a_good_task_has_no_findings_but_ok(task: Path) -> None:
    assert {f.level for f in check_task(load_task(task))} == {"ok"}


def test_private_file_in_public_folder(task: Path) -> None:
    shutil.copy(task / "data" / "private" / "answers.json", task / "data" / "public" / "hints.json")
    assert {f.subject for f in errors(task)} == {"data/public/hints.json"}


def test_link_from_public_to_private(task: Path) -> None:
    (task / "data" / "public" / "hints").symlink_to("../private")
    assert [f.subject for f in errors(task)] == ["data/public/hints"]


def test_private_folder_that_is_a_link(task: Path) -> None:
    private = task / "data" / "private"
    private.rename(task / "hidden")
    private.symlink_to("../hidden")
    assert "data/private" in [f.subject for f in errors(task)]


def test_broken_evaluator_and_reference(task: Path) -> None:
    (task / "data" / "private" / "evaluate.py").write_text("def f(:\n")
    (task / "reference" / "reference_target_agent.py").write_text("print('no arguments')\n")
    assert len(errors(task)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[limits]\nsecnds = 3\n", ["limits.secnds", "did you mean 'seconds'"]),
        ("[limits]\nmemory = 'much'\n", ["limits.memory", "512MB"]),
        ("[metrics]\nname = 'f1'\n", ["metrics", "did you mean 'metric'"]),
        ("[metric]\ndirection = 'up'\n", ["metric.direction", "'up'"]),
        ("[limits\n", ["task.toml"]),
        ("[limits]\nseconds = inf\n", ["limits.seconds", "finite"]),
        ("[agent]\npackages = ['not a/pkg']\n", ["agent.packages.0", "numpy>=1.26"]),
        ("[agent]\npackages = ['x @ https://example.org/x.whl']\n", ["agent.packages.0", "URL"]),
    ],
)
def test_manifest_errors_name_file_field_and_remedy(task: Path, text: str, words: list[str]) -> None:
    (task / "task.toml").write_text(text)
    with pytest.raises(TaskError) as caught:
        load_task(task)
    for word in ["task.toml", *words]:
        assert word in str(caught.value)
