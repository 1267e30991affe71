"""MLE-bench where it is installed: its split, its cache, its grader and its medals.

The package itself is on no index, so these tests run with a double of it (`bench_double.py`); one more runs with the
real one where that is installed, on data that it has prepared.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sia.task.check import check_task
from sia.task.package import load_task
from tests.prepare import bench_double, competitions
from tests.prepare.competitions import one_line, prepare

SLUG = "wine-tasting"
ROOT = Path(__file__).parents[2]


def made(tmp_path: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    package = tmp_path / "site"
    if not package.is_dir():
        bench_double.install(package)
    return prepare(tmp_path, "-c", SLUG, *arguments, PYTHONPATH=f"{package}:{ROOT}")


def outputs_of_seed(task: Path, folder: Path) -> Path:
    folder.mkdir()
    agent = [sys.executable, str(task / "reference" / "reference_target_agent.py")]
    public = task / "data" / "public"
    subprocess.run([*agent, "--dataset_dir", str(public), "--working_dir", str(folder)], check=True)
    return folder


def results_of(task: Path, folder: Path) -> dict[str, Any]:
    """By the task's evaluator, in an interpreter that knows no mlebench but the copy."""
    evaluator = [sys.executable, str(task / "data" / "private" / "evaluate.py"), "--gen-dir", str(folder)]
    subprocess.run(evaluator, cwd=folder, check=True)
    results = json.loads((folder / "results.json").read_text())
    assert isinstance(results, dict)
    return results


def test_split_grader_and_medals_are_those_of_mlebench(tmp_path: Path) -> None:
    done = made(tmp_path, "--data-dir", str(competitions.wine(tmp_path / "raw")))
    assert done.returncode == 0, done.stderr
    task = tmp_path / "tasks" / SLUG
    prepared = tmp_path / ".cache" / "mle-bench" / "data" / SLUG / "prepared"
    for side, name in (("public", "train.csv"), ("public", "test.csv"), ("private", "test.csv")):
        assert (task / "data" / side / name).read_bytes() == (prepared / side / name).read_bytes()
    package = load_task(task)
    assert (package.manifest.metric.name, package.manifest.metric.direction) == ("log_loss", "min")
    assert "MLE-bench 1.0" in package.manifest.task.source
    assert not [finding for finding in check_task(package) if finding.level == "error"]
    results = results_of(task, outputs_of_seed(task, tmp_path / "outputs"))
    answers = pd.read_csv(prepared / "private" / "test.csv")
    assert len(results["items"]) == len(answers)
    assert 0.0001 < results["log_loss"] < 0.4
    assert results["gold_threshold"] == 0.0001
    assert results["any_medal"] is True
    assert results["gold_medal"] is False


def test_what_mlebench_has_prepared_before_is_used(tmp_path: Path) -> None:
    raw = competitions.wine(tmp_path / "raw")
    assert made(tmp_path, "--data-dir", str(raw)).returncode == 0
    # Neither the files nor Kaggle are asked again.
    again = made(tmp_path, "--force")
    assert again.returncode == 0, again.stderr
    assert "prepared by MLE-bench before" in again.stdout


def test_files_that_its_prepare_cannot_read(tmp_path: Path) -> None:
    raw = competitions.wine(tmp_path / "raw")
    (raw / "train.csv").unlink()
    error = one_line(made(tmp_path, "--data-dir", str(raw)))
    assert "MLE-bench's prepare of wine-tasting fails on these files: FileNotFoundError" in error
    assert not (tmp_path / ".cache" / "mle-bench" / "data" / SLUG / "prepared").exists()
    assert not list((tmp_path / "tasks").iterdir())


def test_submission_that_its_grader_refuses(tmp_path: Path) -> None:
    assert made(tmp_path, "--data-dir", str(competitions.wine(tmp_path / "raw"))).returncode == 0
    task = tmp_path / "tasks" / SLUG
    folder = outputs_of_seed(task, tmp_path / "outputs")
    pd.read_csv(folder / "submission.csv")[::-1].to_csv(folder / "submission.csv", index=False)
    evaluator = [sys.executable, str(task / "data" / "private" / "evaluate.py"), "--gen-dir", str(folder)]
    done = subprocess.run(evaluator, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "invalid" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(importlib.util.find_spec("mlebench") is None, reason="mlebench is on no package index")
def test_the_real_mlebench(tmp_path: Path) -> None:
    from mlebench.data import is_dataset_prepared  # type: ignore[import-not-found]
    from mlebench.registry import registry  # type: ignore[import-not-found]

    ready = [c for c in registry.list_competition_ids() if is_dataset_prepared(registry.get_competition(c))]
    if not ready:
        pytest.skip("mlebench has prepared no competition")
    done = subprocess.run(
        [sys.executable, "-m", "sia.prepare", "mlebench-dataset", "-c", ready[0], "--tasks-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    task = load_task(tmp_path / ready[0])
    folder = tmp_path / "outputs"
    folder.mkdir()
    sample = registry.get_competition(ready[0]).sample_submission
    (folder / "submission.csv").write_bytes(sample.read_bytes())
    assert "any_medal" in results_of(task.root, folder)
