"""An exported agent runs alone, and its README says what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sia.errors import UsageError
from sia.export import export_generation
from sia.report.story import read_story
from tests.web.scenery import add_training, play_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play_run(tmp_path_factory.mktemp("export"), "1", [40, 60])


def test_the_exported_agent_leaves_the_same_outputs(run: Path, tmp_path: Path) -> None:
    story = read_story(run)
    folder = export_generation(story, None, tmp_path / "agent")
    (tmp_path / "out").mkdir()
    data = Path(story.record.task_dir) / "data" / "public"
    readme = (folder / "README.md").read_text()
    assert "target_agent.py --dataset_dir DATA --working_dir OUT" in readme
    command = ["target_agent.py", "--dataset_dir", str(data), "--working_dir", str(tmp_path / "out")]
    subprocess.run([sys.executable, "-I", *command], cwd=folder, env={}, check=True, capture_output=True)
    assert json.loads((tmp_path / "out" / "answers.json").read_text()) == json.loads(
        (run / "gen_2" / "answers.json").read_text()
    )


def test_the_readme_holds_the_measured_scores(run: Path, tmp_path: Path) -> None:
    record = json.loads((run / "run.json").read_text())["best_scores"]
    readme = (export_generation(read_story(run), None, tmp_path / "agent") / "README.md").read_text()
    for part in ("all", "dev", "sealed"):
        assert f"{record[part]['value']:.4g} [{record[part]['interval']['low']:.4g}, " in readme


def test_packages_are_pinned_and_own_requirements_kept(run: Path, tmp_path: Path) -> None:
    story = read_story(run)
    record = story.record.model_copy(
        update={"versions": {"python": "3.11", "sia": "1", "numpy": "2.0", "PyYAML": "6.0"}}
    )
    (run / "gen_2" / "requirements.txt").write_text("pyyaml>=5  # wanted\n")
    from dataclasses import replace

    folder = export_generation(replace(story, record=record), None, tmp_path / "agent")
    assert (folder / "requirements.txt").read_text() == "numpy==2.0\npyyaml>=5\n"


def test_an_adapter_goes_along_from_the_nearest_ancestor(run: Path, tmp_path: Path) -> None:
    add_training(run, 1)
    folder = export_generation(read_story(run), 2, tmp_path / "agent")
    assert (folder / "adapter" / "training.json").is_file()
    assert "generation 1 trained" in (folder / "README.md").read_text()


def test_nothing_is_overwritten_and_nothing_half_made_stays(run: Path, tmp_path: Path) -> None:
    (tmp_path / "agent").mkdir()
    with pytest.raises(UsageError, match="exists"):
        export_generation(read_story(run), None, tmp_path / "agent")
    with pytest.raises(UsageError, match="no decided generation 9"):
        export_generation(read_story(run), 9, tmp_path / "other")
    assert [p.name for p in tmp_path.iterdir()] == ["agent"]
