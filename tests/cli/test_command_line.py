"""The command line as a user meets it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def sia(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sia", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("sia: ")
    return done.stderr


def test_missing_key_names_three_ways_on(tmp_path: Path) -> None:
    error = one_line_error(sia("--task", "gpqa", "--max-gen", "5", cwd=tmp_path))
    assert "ANTHROPIC_API_KEY" in error
    assert "--backend offline" in error
    assert "three ways" in error
    assert not (tmp_path / "runs").exists()


def test_underscore_spellings_are_accepted(tmp_path: Path) -> None:
    error = one_line_error(sia("--task_dir", "nowhere", "--max_gen=2", "--backend", "offline", cwd=tmp_path))
    assert "nowhere" in error


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--task", "spaceship-titanik", "--backend", "offline"], "spaceship-titanic"),
        (["--task", "spaceship-titanik"], "spaceship-titanic"),
        (["--max-gen", "0", "--task", "x"], "--max-gen"),
        (["--max-time", "soon", "--task", "x"], "duration"),
        (["--resume"], "--run-id"),
        (["--resume", "--run-id", "7"], "no run 7"),
        (["--backend", "offline"], "--task"),
        (["--backend", "magic", "--task", "x"], "--backend"),
    ],
)
def test_bad_usage_is_one_line_with_a_remedy(tmp_path: Path, arguments: list[str], word: str) -> None:
    assert word in one_line_error(sia(*arguments, cwd=tmp_path))


def test_settings_come_from_flag_then_variable_then_file(tmp_path: Path) -> None:
    (tmp_path / "sia.toml").write_text("[run]\nbackend = 'offline'\ntask = 'from-file'\n")
    assert "from-file" in one_line_error(sia("run", cwd=tmp_path))
    assert "from-variable" in one_line_error(sia("run", cwd=tmp_path, SIA_TASK="from-variable"))
    assert "from-flag" in one_line_error(sia("--task", "from-flag", cwd=tmp_path, SIA_TASK="from-variable"))


def test_unknown_setting_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "sia.toml").write_text("[run]\nmax_gens = 4\n")
    assert "max_gen" in one_line_error(sia("run", cwd=tmp_path))


def test_runs_of_an_empty_folder(tmp_path: Path) -> None:
    done = sia("runs", cwd=tmp_path)
    assert done.returncode == 0
    assert "no runs" in done.stdout
    assert sia("runs", "--json", cwd=tmp_path).stdout.strip() == "[]"


def test_show_of_a_run_that_is_not_there(tmp_path: Path) -> None:
    assert "run_9" in one_line_error(sia("show", "9", cwd=tmp_path))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--max-gen", "foo"], "`sia run --help`"),
        (["--nope"], "--nope"),
        (["frobnicate"], "frobnicate"),
        (["show", "h1", "xx"], "`sia show --help`"),
        (["tasks", "check", "gpqa", "--sandbox", "foo"], "'foo'"),
        (["--task-dir", "file", "--backend", "offline"], "file"),
        (["tasks", "show", "--task-dir", "nowhere"], "nowhere"),
        (["tasks", "show", "--task-dir", "odd"], "task.md"),
        (["--task-dir", "odd", "--backend", "offline"], "task.md"),
        (["--task-dir", "manifest", "--backend", "offline"], "task.toml"),
        (["--task", "gpqa", "--max-cost", "inf"], "--max-cost"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path, arguments: list[str], word: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "odd" / "data" / "public" / "task.md").mkdir(parents=True)
    (tmp_path / "manifest" / "task.toml").mkdir(parents=True)
    error = one_line_error(sia(*arguments, cwd=tmp_path))
    assert word in error
    assert ";" in error


def test_variable_that_is_nearly_a_setting_is_refused(tmp_path: Path) -> None:
    error = one_line_error(sia("--task", "gpqa", cwd=tmp_path, SIA_MAX_GENS="3"))
    assert "did you mean SIA_MAX_GEN?" in error
    others = {"SIA_CACHE_DIR": str(tmp_path), "SIA_TASK_DIALECT": "openai", "SIA_META_MODEL": "haiku", "SIA_OWN": "1"}
    assert "ANTHROPIC_API_KEY" in one_line_error(sia("--task", "gpqa", cwd=tmp_path, **others))


@pytest.mark.parametrize("name", ["sia.toml", ".env"])
def test_a_folder_or_other_bytes_in_place_of_a_file_are_told(tmp_path: Path, name: str) -> None:
    if name == ".env":
        (tmp_path / name).write_bytes(b"KEY=\xff\xfe\n")
    else:
        (tmp_path / name).mkdir()
    assert name in one_line_error(sia("--task", "gpqa", cwd=tmp_path))


def test_a_run_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "run_zz").touch()
    (tmp_path / "runs" / "run_1" / "run.json").mkdir(parents=True)
    done = sia("runs", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("sia: ") == done.stderr.count("\n") == 2
    assert "run_1" in one_line_error(sia("show", "1", cwd=tmp_path))


@pytest.mark.parametrize("arguments", [["-h"], ["run", "-h"], ["tasks", "check", "-h"], ["--help"]])
def test_help_is_told_either_way(tmp_path: Path, arguments: list[str]) -> None:
    done = sia(*arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage: sia" in done.stdout


def test_metric_of_a_task_is_shown_with_its_baseline(tmp_path: Path) -> None:
    assert "metric: accuracy, max, baseline 0.25\n" in sia("tasks", "show", "gpqa", cwd=tmp_path).stdout
