"""Kill -9 of the orchestrator at any moment, then resume: the run ends as if nothing had happened."""

import json
import random
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from sia.store.ledger import read_ledger
from sia.verify import verify_run
from tests.support import agent_with_accuracy, make_task

ROOT = Path(__file__).parent.parent
KILLS = 40
GENERATIONS = 3
STAGES = [(n, stage) for n in range(1, GENERATIONS + 1) for stage in ("author", "run", "score", "decide")]
UNSTABLE = re.compile(
    # Hashes over lines that hold times are checked by `verify_run`.
    r'"(?:time|previous|ledger|digest)": ?"[^"]*"|'
    r'"(?:seconds|peak_memory_bytes|author|run|score|decide)": ?(?:\d[\d.e-]*|null)'
    r"|\d+\.\d+ s\b"
)
DIGEST_OF_UNSTABLE = re.compile(r'("gen_\d+/(?:generation\.json|feedback_agent_prompt\.txt)"): ?"[0-9a-f]{64}"')


def start(task: Path, runs: Path, run_id: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.play_run", str(task), str(runs), run_id, str(GENERATIONS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(task: Path, runs: Path, run_id: str) -> None:
    process = start(task, runs, run_id)
    process.communicate()
    assert process.returncode == 0


def kill_in(stage: tuple[int, str], delay: float, process: "subprocess.Popen[str]") -> None:
    """Kills the process `delay` seconds after it announced the stage."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "stage_started" and (event["generation"], event["stage"]) == stage:
            break
    time.sleep(delay)
    process.kill()
    process.wait()
    process.stdout.close()


def processes_of(run: Path) -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        words = " ".join([*(process.info["cmdline"] or ()), process.info["cwd"] or ""])
        if str(run) in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def content(run: Path) -> dict[str, str]:
    """Every file of a run directory, without times and what follows from them."""
    files = {}
    for file in sorted(run.rglob("*")):
        name = file.relative_to(run).as_posix()
        if file.is_symlink():
            files[name] = f"-> {file.readlink()}"
        elif file.is_file():
            text = DIGEST_OF_UNSTABLE.sub(r"\1", UNSTABLE.sub("", file.read_text()))
            files[name] = text.replace(run.name.removeprefix("run_"), "RUN")
    return files


@pytest.mark.slow
def test_forty_kills_leave_no_trace(tmp_path: Path) -> None:
    agents = {n: agent_with_accuracy(30 * n) for n in range(1, GENERATIONS + 1)}
    task, runs = make_task(tmp_path / "task", agents), tmp_path / "runs"
    finish(task, runs, "undisturbed")
    expected = content(runs / "run_undisturbed")
    assert "gen_3/results.json" in expected
    dice = random.Random(7)
    killed: Counter[str] = Counter()
    for number in range(KILLS):
        stage = STAGES[number % len(STAGES)]
        run_id = f"killed{number}"
        run = runs / f"run_{run_id}"
        kill_in(stage, dice.uniform(0.0, 0.02 if stage[1] == "decide" else 0.3), start(task, runs, run_id))
        lines, _, _ = read_ledger(run / "ledger.jsonl")
        killed["author" if not lines else lines[-1].record.stage] += 1
        finish(task, runs, run_id)
        deadline = time.monotonic() + 5
        while processes_of(run) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert processes_of(run) == []
        lines, _, _ = read_ledger(run / "ledger.jsonl")
        assert [(line.generation, line.record.stage) for line in lines] == STAGES
        assert content(run) == expected, f"killed in {stage}"
        assert verify_run(run).problems == ()
    assert len(killed) == 4, killed


def test_kill_before_the_first_stage_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    task, runs = make_task(tmp_path / "task", {1: agent_with_accuracy(30)}), tmp_path / "runs"
    process = start(task, runs, "early")
    while not (runs / "run_early").is_dir():
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert (runs / "run_early" / "run.json").is_file()
    finish(task, runs, "early")
