"""The crash-test of evaluators that run a program of the submission: with walls around it, and without."""

import sys
from pathlib import Path

import pytest

from sia.jail.choose import choose_jail
from sia.task.check.finding import Finding
from sia.task.check.grader import try_grader
from sia.task.package import load_task

pytestmark = pytest.mark.slow

EVALUATOR = """
import argparse, json, os, pathlib, shlex, subprocess, sys
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
program = folder / "double.py"
if not program.is_file() or program.stat().st_size > 1 << 20:
    sys.exit("double.py is missing or too large")
inner = shlex.split(os.environ["SIA_INNER_JAIL"]) + ["--seconds", "4", "--read", str(folder), "--"]
argv = PREFIX + [sys.executable, "-I", str(program), "21"]
done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=5, cwd="/")
if done.returncode != 0 or len(done.stdout) > 100:
    sys.exit("double.py failed")
right = done.stdout.strip() == "42"
items = [{"id": str(k), "status": "CORRECT" if right else "WRONG"} for k in range(20)]
(folder / "results.json").write_text(json.dumps({"accuracy": float(right), "items": items}))
"""


def program_task(root: Path, prefix: str) -> Path:
    public, private = root / "data" / "public", root / "data" / "private"
    public.mkdir(parents=True)
    private.mkdir()
    (root / "task.toml").write_text(
        "[metric]\nname = 'accuracy'\ndirection = 'max'\n[agent]\nprogram = 'double.py'\n[limits]\nmemory = '1GB'\n"
    )
    (public / "task.md").write_text("Leave double.py, which prints twice the number that it is given.\n")
    (public / "sample_double.py").write_text("import sys\nprint(sys.argv[1])\n")
    (private / "evaluate.py").write_text(EVALUATOR.replace("PREFIX", prefix))
    (private / "numbers.json").write_text('{"seed": 1234567}')
    return root


def found_by(root: Path) -> list[Finding]:
    return try_grader(load_task(root), Path(sys.executable), choose_jail("auto"), print)


def test_an_evaluator_with_an_inner_jail_passes(tmp_path: Path) -> None:
    found = found_by(program_task(tmp_path / "task", "inner"))
    assert [finding for finding in found if finding.level == "error"] == []
    assert "the trivial baseline is 0" in found[0].told


def test_an_evaluator_that_starts_the_program_beside_its_data_is_caught(tmp_path: Path) -> None:
    found = found_by(program_task(tmp_path / "task", "[]"))
    told = [finding.told for finding in found if finding.level == "error"]
    assert any("reads the evaluator's files: it got where it must not" in line for line in told), told


def test_a_sample_that_gets_no_score_is_an_error(tmp_path: Path) -> None:
    root = program_task(tmp_path / "task", "inner")
    (root / "data" / "public" / "sample_double.py").write_text("raise SystemExit(3)\n")
    assert any("gets no score" in finding.told for finding in found_by(root) if finding.level == "error")
