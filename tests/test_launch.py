"""What a start checks, and what a later start of the same run keeps, tells and records."""

from pathlib import Path

import pytest

from sia.errors import UsageError
from sia.events import RunStarted
from sia.jail.process import ProcessJail
from sia.launch import as_asked, launch, overruled, restored, started_again
from sia.settings import RunSettings
from sia.store.run_directory import resume_command
from sia.task.package import load_task, task_digest
from tests.support import agent_with_accuracy, describe_run, make_task, play

RECORD = describe_run(RunSettings(seed=3, backend="offline"))("1")


def test_runs_beside_a_tasks_data_are_no_change_of_the_task(tmp_path: Path) -> None:
    task = load_task(make_task(tmp_path / "task", {}))
    before = task_digest(task)
    (task.root / "runs" / "run_1").mkdir(parents=True)
    (task.root / "runs" / "run_1" / "run.json").write_text("{}")
    assert task_digest(task) == before
    (task.public_dir / "more").write_text("")
    assert task_digest(task) != before


def test_runs_never_lie_in_the_folder_of_the_reference(tmp_path: Path) -> None:
    root = make_task(tmp_path / "task", {})
    (root / "reference").mkdir()
    settings = RunSettings(task_dir=root, runs_dir=root / "reference" / "runs", backend="offline", sandbox="none")
    with pytest.raises(UsageError, match="runs folder"):
        launch(settings, lambda event: None)


def test_a_resume_tells_what_does_not_hold() -> None:
    given = RunSettings(seed=77, max_gen=9)
    assert overruled(given, restored(given, RECORD)) == [
        "the run keeps its seed 3: 77 was given and does not hold",
    ]
    quiet = RunSettings(max_gen=9)
    assert overruled(quiet, restored(quiet, RECORD)) == []


def test_a_run_can_demand_the_answers_of_its_model(tmp_path: Path) -> None:
    task = load_task(make_task(tmp_path / "task", {}))
    assert as_asked(task, RunSettings()) == task
    asked = as_asked(task, RunSettings(answers="model"))
    assert (task.manifest.agent.answers, asked.manifest.agent.answers) == ("any", "model")
    record = RECORD.model_copy(update={"answers": "model"})
    assert restored(RunSettings(), record).answers == "model"
    given = RunSettings(answers="any")
    assert overruled(given, restored(given, record)) == [
        "the run keeps its answers model: any was given and does not hold"
    ]


def test_a_run_keeps_the_sandboxes_of_all_its_starts() -> None:
    settings = RunSettings(limit_memory=1 << 30)
    again = started_again(RECORD, settings, ProcessJail())
    assert again.limits == {"memory": 1 << 30}
    assert again.jail_gaps == ProcessJail().gaps
    assert [s.limits for s in again.earlier_sandboxes] == [{}]
    assert started_again(again, settings, ProcessJail()) == again


def test_a_resume_shows_the_best_at_once(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {1: agent_with_accuracy(50)})
    settings = RunSettings(runs_dir=tmp_path / "runs", run_id="1", backend="offline", max_gen=1)
    play(task, settings)
    _, events = play(task, settings.model_copy(update={"resume": True, "max_gen": 2}))
    started = next(event for event in events if isinstance(event, RunStarted))
    assert started.best == 1


def test_the_way_to_go_on_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resume_command(tmp_path / "runs" / "run_7") == "sia --run-id 7 --resume"
    assert resume_command(Path("/a b/run_7")) == "sia --run-id 7 --resume --runs-dir '/a b'"
