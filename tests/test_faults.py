"""What goes wrong around a run, one test each: the documented outcome, and nothing computed is lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sia.errors import HostError
from sia.events import Event, StageStarted
from sia.loop import run_generations
from sia.settings import RunSettings
from sia.store.catalog import generations_of, read_generation
from sia.store.ledger import read_ledger
from sia.store.records import Stage
from tests.support import EVALUATOR, agent_with_accuracy, fill, make_session, make_task, play

ROOT = Path(__file__).parent.parent
MIB = 1 << 20


def settings(runs: Path, **more: object) -> RunSettings:
    return RunSettings.model_validate({"runs_dir": runs, "backend": "offline", **more})


@pytest.mark.parametrize("stage", ["author", "run", "score", "decide"])
def test_full_disk_stops_the_run_and_it_goes_on_later(tmp_path: Path, small_disk: Path, stage: Stage) -> None:
    task = make_task(tmp_path / "task", {1: agent_with_accuracy(40), 2: agent_with_accuracy(90)})
    hog = small_disk / "hog"
    session, record = make_session(task, settings(small_disk / "runs", max_gen=2, run_id="1"))

    def emit(event: Event) -> None:
        if isinstance(event, StageStarted) and (event.generation, event.stage) == (2, stage):
            fill(hog)

    try:
        with pytest.raises(HostError, match=r"space.*--resume"):
            run_generations(session, record, emit)
    finally:
        session.run.close()
    run = small_disk / "runs" / "run_1"
    assert read_generation(run, 1).status == "scored"
    before, _, _ = read_ledger(run / "ledger.jsonl")
    hog.unlink()
    final, _ = play(task, settings(small_disk / "runs", max_gen=2, run_id="1", resume=True))
    after, _, _ = read_ledger(run / "ledger.jsonl")
    assert after[: len(before)] == before
    assert len(after) == 8
    assert final.best == 2
    assert [g.status for g in generations_of(run)] == ["scored", "scored"]


def test_agent_that_fills_the_disk_is_not_mistaken_for_a_bad_agent(tmp_path: Path, small_disk: Path) -> None:
    hungry = "import sys\nwith open(sys.argv[4] + '/big', 'wb') as f:\n    while True:\n        f.write(b'x' * 65536)\n"
    task = make_task(tmp_path / "task", {1: hungry})
    session, record = make_session(task, settings(small_disk / "runs", max_gen=1))
    try:
        with pytest.raises(HostError, match="space"):
            run_generations(session, record, lambda event: None)
    finally:
        session.run.close()


def test_read_only_runs_folder_is_one_line(tmp_path: Path, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    task = make_task(tmp_path / "task", {1: agent_with_accuracy(40)})
    with pytest.raises(HostError, match="--runs-dir"):
        make_session(task, settings(small_disk / "runs", max_gen=1))


def test_two_runs_with_one_id_at_once(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {1: agent_with_accuracy(40)})
    argv = [sys.executable, "-m", "tests.play_run", str(task), str(tmp_path / "runs"), "same", "2"]
    both = [subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in "ab"]
    errors = {process.communicate()[1].strip(): process.returncode for process in both}
    assert sorted(errors.values()) == [0, 2], errors
    lines, _, _ = read_ledger(tmp_path / "runs" / "run_same" / "ledger.jsonl")
    assert len(lines) == 8


def peak_memory(argv: list[str]) -> int:
    """Bytes that the largest process of `argv` held. The kernel counts what a forked parent held before exec, too: a
    small process starts it here, not this large one."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout) * 1024


def test_huge_output_stays_out_of_memory(tmp_path: Path) -> None:
    loud = "import sys\nfor _ in range(500):\n    sys.stdout.write('y' * 999_999 + '\\n')\n" + agent_with_accuracy(80)
    task = make_task(tmp_path / "task", {1: loud})
    argv = [sys.executable, "-m", "tests.play_run", str(task), str(tmp_path / "runs"), "1", "1"]
    assert peak_memory(argv) < 200 * MIB
    generation = tmp_path / "runs" / "run_1" / "gen_1"
    assert (generation / "target_agent_stdout.log").stat().st_size < 20 * MIB
    assert "bytes left out" in (generation / "target_agent_stdout.log").read_text(errors="replace")
    assert json.loads((generation / "generation.json").read_text())["score"]["value"] == pytest.approx(0.8, abs=0.15)


def test_output_that_is_not_text_does_no_harm(tmp_path: Path) -> None:
    noisy = "import sys\nsys.stdout.buffer.write(bytes(range(256)) * 20)\n" + agent_with_accuracy(80)
    task = make_task(tmp_path / "task", {1: noisy, 2: agent_with_accuracy(90)})
    final, _ = play(task, settings(tmp_path / "runs", max_gen=2))
    assert final.best == 2
    assert "\x1b" not in (tmp_path / "runs" / "run_1" / "gen_2" / "feedback_agent_prompt.txt").read_text()


@pytest.mark.parametrize(
    ("evaluator", "words"),
    [
        ("raise RuntimeError('no such thing')\n", "no such thing"),
        ("import time\ntime.sleep(60)\n", "limit of 1 s"),
        ("import os\nos.kill(os.getpid(), 9)\n", "exit status -9"),
        ("print('all good')\n", "results.json"),
    ],
)
def test_evaluator_that_fails_is_a_failed_score(tmp_path: Path, evaluator: str, words: str) -> None:
    task = make_task(tmp_path / "task", {1: agent_with_accuracy(40)}, evaluator)
    (task / "task.toml").write_text("[limits]\nevaluation_seconds = 1\n")
    final, _ = play(task, settings(tmp_path / "runs", max_gen=2))
    assert final.status == "failed"
    for number in (1, 2):
        failure = read_generation(tmp_path / "runs" / "run_1", number).failure
        assert failure is not None
        assert words in failure


def run_cli(task: Path, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sia", "--task-dir", str(task), "--backend", "offline"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1
    assert not (cwd / "runs").exists()
    return done.stderr


def test_description_missing(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {1: ""})
    (task / "data" / "public" / "task.md").unlink()
    assert "task.md" in run_cli(task, tmp_path)


def test_description_not_utf8(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {1: ""})
    (task / "data" / "public" / "task.md").write_bytes(b"Z\xe4hle!")
    error = run_cli(task, tmp_path)
    assert "task.md" in error
    assert "UTF-8" in error


def test_private_folder_missing(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {1: ""})
    for file in (task / "data" / "private").iterdir():
        file.unlink()
    (task / "data" / "private").rmdir()
    assert "private" in run_cli(task, tmp_path)


def test_evaluator_missing(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {1: ""}, EVALUATOR)
    (task / "data" / "private" / "evaluate.py").unlink()
    assert "evaluate.py" in run_cli(task, tmp_path)
