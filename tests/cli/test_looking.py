"""`sia show`, `report`, `compare`, `export`, `web` as a user meets them."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.test_command_line import one_line_error, sia
from tests.web.scenery import copy_run, play_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("looking")
    run = play_run(folder, "1", [40, 55, 0, 70])
    copy_run(run, "twin")
    return folder


def test_show_draws_the_score_curve(folder: Path) -> None:
    told = sia("show", "1", cwd=folder).stdout
    assert told.count("●") == 1 + 3
    assert "│" in told
    assert "\x1b" not in told


def test_report_writes_each_kind(folder: Path) -> None:
    assert sia("report", "1", cwd=folder).stdout == "wrote sia-report-1.html\n"
    assert (folder / "sia-report-1.html").read_text().lstrip().startswith("<!doctype html>")
    sia("report", "1", "--md", "-o", "told.md", cwd=folder)
    assert "(told.svg)" in (folder / "told.md").read_text()
    assert (folder / "told.svg").is_file()
    sia("report", "1", "--svg", "--out", "figure.svg", cwd=folder)
    assert (folder / "figure.svg").read_text().startswith("<svg")


def test_compare_tells_the_paired_difference(folder: Path) -> None:
    told = sia("compare", "1", "twin", cwd=folder).stdout
    assert "+0.0000" in told
    assert "within the noise" in told
    first, second = json.loads(sia("compare", "1", "twin", "--json", cwd=folder).stdout)
    assert (first["verdict"], second["verdict"]["pairs"], second["items"]) == (None, 100, "all items")
    sia("compare", "1", "twin", "--html", "both.html", cwd=folder)
    assert "Comparison of 2 runs" in (folder / "both.html").read_text()


def test_export_says_where(folder: Path) -> None:
    assert "exported generation 4 of run 1 to sia-export-1" in sia("export", "1", cwd=folder).stdout
    assert (folder / "sia-export-1" / "target_agent.py").is_file()
    assert "exists" in one_line_error(sia("export", "1", cwd=folder))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["report", "9"], "run_9"),
        (["report", "../1"], "not usable"),
        (["report", "1", "--md", "--svg"], "--md"),
        (["report", "1", "--out", "nowhere/report.html"], "cannot write"),
        (["compare", "1"], "needs two runs"),
        (["compare", "1", "9"], "run_9"),
        (["export", "1", "--generation", "3", "--out", "/proc/agent"], "cannot write"),
        (["export", "1", "--generation", "77", "--out", "x"], "no decided generation 77"),
        (["web", "--host", "no.such.host.invalid"], "no address"),
        (["web", "--root-path", "sia/"], "like /sia"),
    ],
)
def test_mistakes_are_one_line_with_a_remedy(folder: Path, arguments: list[str], word: str) -> None:
    assert word in one_line_error(sia(*arguments, cwd=folder))


def test_a_taken_port_is_named_with_the_way_out(folder: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = one_line_error(sia("web", "--port", str(taken.getsockname()[1]), cwd=folder))
    assert "--port" in error


def test_a_run_with_web_is_served_as_long_as_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    from sia.cli.web import beside
    from sia.settings import RunSettings

    with beside(RunSettings(runs_dir=folder / "runs", web=True)):
        address = re.search(r"http://127\.0\.0\.1:\d+/", capsys.readouterr().err)
        assert address is not None
        with urllib.request.urlopen(address[0], timeout=30) as page:
            assert b"twin" in page.read()
        with beside(RunSettings(runs_dir=tmp_path, web=True)):
            other = re.search(r"http://127\.0\.0\.1:\d+/", capsys.readouterr().err)
            assert other is not None
            assert other[0] != address[0]
    with pytest.raises(OSError):  # noqa: PT011 (refused or reset)
        urllib.request.urlopen(address[0], timeout=5)


def test_web_serves_until_it_is_interrupted(folder: Path) -> None:
    argv = [sys.executable, "-m", "sia", "web", "--port", "0"]
    with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert address is not None
            with urllib.request.urlopen(address[0], timeout=30) as page:
                assert b"twin" in page.read()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors
