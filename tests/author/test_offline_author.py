"""The offline author on tables that it has never seen, made from data sets that ship with scikit-learn."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from sia.store.catalog import generations_of
from sia.store.run_directory import read_run_record
from tests.support import make_task

OFFLINE = Path(__file__).parents[2] / "sia" / "author" / "offline"
EVALUATOR = """
import argparse, csv, json, pathlib, sys
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
read = lambda file: {{row["id"]: row["target"] for row in csv.DictReader(file.open())}}
truth = read(pathlib.Path(__file__).parent / "answers.csv")
try:
    given = read(folder / "submission.csv")
except (OSError, ValueError, KeyError, csv.Error) as error:
    sys.exit(f"submission.csv cannot be used: {{error!r}}")
{body}
"""
ACCURACY = """
items = [{"id": k, "status": "CORRECT" if given.get(k) == v else "WRONG"} for k, v in truth.items()]
result = {"accuracy": sum(i["status"] == "CORRECT" for i in items) / len(items), "items": items}
(folder / "results.json").write_text(json.dumps(result))
"""
ERROR = """
try:
    rmse = (sum((float(given[k]) - float(v)) ** 2 for k, v in truth.items()) / len(truth)) ** 0.5
except (KeyError, ValueError, TypeError) as error:
    sys.exit(f"a row has no number: {error!r}")
(folder / "results.json").write_text(json.dumps({"rmse": rmse}))
"""


def table_task(root: Path, kind: str) -> Path:
    """A classification with a text column, or a regression measured by its error."""
    if kind == "classification":
        frame = load_breast_cancer(as_frame=True).frame.iloc[:, [0, 1, 4, 8, 9, 30]].copy()
        frame["size"] = ["large" if r > 14 else "small" for r in frame["mean radius"]]
        frame["target"] = frame["target"].map({0: "malignant", 1: "benign"})
        metric, direction, body = "accuracy", "max", ACCURACY
    else:
        frame = load_diabetes(as_frame=True).frame
        metric, direction, body = "rmse", "min", ERROR
    frame = frame.sample(frac=1, random_state=0)
    frame.insert(0, "id", [f"row-{k:05d}" for k in range(len(frame))])
    train, test = frame[: len(frame) // 2], frame[len(frame) // 2 :]
    public, private = root / "data" / "public", root / "data" / "private"
    public.mkdir(parents=True)
    private.mkdir(parents=True)
    train.to_csv(public / "train.csv", index=False)
    test.drop(columns="target").to_csv(public / "test.csv", index=False)
    test[["id"]].assign(target=train["target"].iloc[0]).to_csv(public / "sample_submission.csv", index=False)
    test[["id", "target"]].to_csv(private / "answers.csv", index=False)
    (public / "task.md").write_text("Predict target for test.csv.\n")
    (private / "evaluate.py").write_text(EVALUATOR.format(body=body))
    (root / "task.toml").write_text(
        f"[metric]\nname = '{metric}'\ndirection = '{direction}'\n"
        "[agent]\npackages = ['pandas>=2.2', 'scikit-learn>=1.5']\n"
    )
    return root


def sia(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "sia", "--backend", "offline", *arguments]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)


def lint(agents: list[Path]) -> str:
    argv = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,W,I,B,UP", "--line-length", "120"]
    return subprocess.run([*argv, *map(str, agents)], capture_output=True, text=True, check=False).stdout


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "bound"), [("classification", 0.88), ("regression", 65.0)])
def test_unseen_table_beats_the_trivial_answer(tmp_path: Path, kind: str, bound: float) -> None:
    """Guessing the commoner class is right 63 times in 100; guessing the mean is wrong by 77."""
    task = table_task(tmp_path / "task", kind)
    for seed in ("0", "0", "3"):
        done = sia(tmp_path, "--task-dir", str(task), "--max-gen", "4", "--seed", seed)
        assert done.returncode == 0, done.stdout + done.stderr
    first, twin, other = (tmp_path / "runs" / f"run_{n}" for n in (1, 2, 3))
    best = read_run_record(first).best_scores
    assert best is not None
    assert best.all.value >= bound if kind == "classification" else best.all.value <= bound
    agents = sorted(first.glob("gen_*/target_agent.py"))
    assert len(agents) == 4
    assert [a.read_text() for a in agents] == [a.read_text() for a in sorted(twin.glob("gen_*/target_agent.py"))]
    assert len(generations_of(other)) == 4
    assert lint(agents) == "All checks passed!\n"
    improvement = (first / "gen_2" / "improvement.md").read_text()
    for heading in ("# Analysis", "# Hypothesis", "# Change", "# Expected effect", "# Risk"):
        assert heading in improvement


def test_nothing_in_it_knows_the_bundled_table() -> None:
    words = "passenger|cabin|homeplanet|cryosleep|\\bvip\\b|transported|roomservice|foodcourt|vrdeck|titanic|deck"
    words += "|gpqa|lawbench|longcot|diamond|_hard_|\\b(218|231|245)\\b|盗窃|毒品|罪"
    for file in OFFLINE.rglob("*"):
        if file.suffix in (".py", ".j2"):
            assert not re.search(words, file.read_text(), re.IGNORECASE), file


@pytest.mark.slow
def test_task_without_a_table_fails_with_what_is_missing(tmp_path: Path) -> None:
    done = sia(tmp_path, "--task-dir", str(make_task(tmp_path / "task", {})), "--max-gen", "1")
    assert done.returncode == 1
    assert "train.csv" in done.stdout
