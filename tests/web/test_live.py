"""A run that goes on while it is looked at: the page follows without being loaded again."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from sia.web.serve import Dashboard, Place, open_dashboard
from tests.support import make_task
from tests.web.conftest import Watched
from tests.web.scenery import GROUPED_EVALUATOR, talking_agent

ROOT = Path(__file__).parents[2]
GATE = """
import time, pathlib
for k in range(3):
    print(f"thinking {k} <b>not bold</b> \\x1b[31mred\\x1b[0m", flush=True)
while not pathlib.Path(%r).exists():
    time.sleep(0.05)
print("let through", flush=True)
"""
MARK = "window.loadedOnce = true"
STILL = "window.loadedOnce === true"


@pytest.fixture
def dashboard(tmp_path: Path) -> Iterator[Dashboard]:
    (tmp_path / "runs").mkdir()
    dashboard = open_dashboard(Place(tmp_path / "runs", port=0))
    dashboard.serve_beside()
    yield dashboard
    dashboard.stop()


@contextmanager
def gated_run(folder: Path, generations: int) -> Iterator[subprocess.Popen[str]]:
    """A real run in a process of its own; each agent waits for `gate_N` in `folder`."""
    agents: dict[int, str | bytes] = {
        n: GATE % str(folder / f"gate_{n}") + talking_agent(30 + 20 * n) for n in range(1, generations + 1)
    }
    task = make_task(folder / "task", agents, GROUPED_EVALUATOR, seconds=100)
    argv = [sys.executable, "-m", "tests.play_run", str(task), str(folder / "runs"), "live", str(generations)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _points(page: Page) -> int:
    content = page.locator("#scores").text_content()
    assert content is not None
    return len(json.loads(content)["generation"])


def test_a_running_generation_is_followed_without_reload(
    dashboard: Dashboard, watched: Watched, tmp_path: Path
) -> None:
    page = watched.page
    page.goto(dashboard.url)
    expect(page.locator("main")).to_contain_text("No runs here yet")
    page.evaluate(MARK)
    with gated_run(tmp_path, 2) as process:
        expect(page.locator("tbody a.go")).to_have_text("live")
        expect(page.locator("tbody .badge")).to_have_text("running")
        assert page.evaluate(STILL)
        page.locator("tbody a.go").click()
        page.evaluate(MARK)
        expect(page.locator("#now")).to_contain_text("generation 1 of 2, stage run")
        expect(page.locator("#live-log")).to_contain_text("thinking 2 <b>not bold</b> red")
        assert page.locator("#live-log b").count() == 0
        (tmp_path / "gate_1").touch()
        expect(page.locator("#now")).to_contain_text("generation 2 of 2, stage run")
        expect(page.locator("table.rows tbody tr")).to_have_count(1)
        expect(page.locator("#live-log")).not_to_contain_text("let through")
        assert _points(page) == 1
        expect(page.locator("h1 .badge")).to_have_text("running")
        (tmp_path / "gate_2").touch()
        expect(page.locator("h1 .badge")).to_have_text("finished")
        expect(page.locator("table.rows tbody tr")).to_have_count(2)
        expect(page.locator(".headline")).to_contain_text("sealed items went from")
        expect(page.locator("#now")).to_be_hidden()
        assert _points(page) == 2
        assert page.evaluate(STILL)
        process.wait(timeout=30)
    assert watched.complaints == []


def test_a_killed_run_is_shown_as_stopped(dashboard: Dashboard, watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with gated_run(tmp_path, 1) as process:
        page.goto(dashboard.url)
        expect(page.locator("tbody .badge")).to_have_text("running")
        page.goto(f"{dashboard.url}runs/live")
        expect(page.locator("#now")).to_contain_text("stage run")
        page.evaluate(MARK)
        process.kill()
        process.wait(timeout=30)
        expect(page.locator("h1 .badge")).to_have_text("stopped")
        assert page.evaluate(STILL)


def test_focus_and_marks_survive_an_update(dashboard: Dashboard, watched: Watched, tmp_path: Path) -> None:
    page = watched.page
    with gated_run(tmp_path, 2):
        page.goto(dashboard.url)
        expect(page.locator("tbody a.go")).to_have_text("live")
        page.keyboard.press("j")
        page.keyboard.press("x")
        (tmp_path / "gate_1").touch()
        expect(page.locator("tbody td").nth(5)).to_have_text("1/2")
        expect(page.locator("tr.chosen a.go")).to_be_focused()
        expect(page.locator("input.mark")).to_be_checked()


def test_events_end_with_the_server(tmp_path: Path) -> None:
    dashboard = open_dashboard(Place(tmp_path, port=0))
    dashboard.serve_beside()
    with urllib.request.urlopen(f"{dashboard.url}events", timeout=20) as stream:
        assert stream.readline().startswith(b"event: changed")
        dashboard.stop()
        assert dashboard.thread is not None
        assert not dashboard.thread.is_alive()
