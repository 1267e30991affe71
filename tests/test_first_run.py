"""The first command of the README, on the real data, through the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sia.store.catalog import generations_of
from sia.store.run_directory import read_run_record

pytestmark = pytest.mark.slow
FIRST_RUN = ("--task", "spaceship-titanic", "--backend", "offline")


def start(cwd: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "sia", *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def agents(run: Path) -> list[str]:
    return [(run / f"gen_{g.generation}" / "target_agent.py").read_text() for g in generations_of(run)]


def dev_scores(run: Path) -> list[float | None]:
    return [g.score.value if g.score else None for g in generations_of(run)]


def test_five_generations_get_better_and_repeat_themselves(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        process = start(tmp_path / name, *FIRST_RUN, "--max-gen", "5")
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "\x1b" not in output
    run = tmp_path / "first" / "runs" / "run_1"
    record = read_run_record(run)
    assert record.first_scored is not None
    assert record.best_scores is not None
    assert record.best_scores.all.n == 870
    assert record.best_scores.all.value >= 0.80
    assert record.best_scores.all.value > record.first_scored.all.value
    assert record.first_scored.generation == 1
    assert "LogisticRegression" in agents(run)[0]
    twin = tmp_path / "second" / "runs" / "run_1"
    assert agents(run) == agents(twin)
    assert dev_scores(run) == dev_scores(twin)


def test_ctrl_c_leaves_a_run_that_goes_on(tmp_path: Path) -> None:
    process = start(tmp_path, *FIRST_RUN, "--max-gen", "2", "--seed", "5", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "stage_started" and (event["generation"], event["stage"]) == (2, "author"):
            break
    os.kill(process.pid, signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 130
    assert "--run-id 1 --resume" in errors
    assert "Traceback" not in errors
    assert json.loads(output.splitlines()[-1])["record"]["status"] == "interrupted"
    again = start(tmp_path, "--run-id", "1", "--resume", "--json")
    output, errors = again.communicate()
    assert again.returncode == 0, errors
    last = json.loads(output.splitlines()[-1])
    assert last["event"] == "run_finished"
    assert last["record"]["status"] == "finished"
    assert len(generations_of(tmp_path / "runs" / "run_1")) == 2
