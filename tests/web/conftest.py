"""A dashboard over real run folders, and a browser to look at it."""

import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from sia.web.serve import Dashboard, Place, open_dashboard
from tests.web.scenery import LOSS_EVALUATOR, add_trace, add_training, copy_run, grow_run, play_run

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

# A machine may be busy with other things; what does not come at all still fails.
expect.set_options(timeout=30_000)


@dataclass(frozen=True)
class Scene:
    """A runs folder and the dashboard over it."""

    runs: Path
    dashboard: Dashboard

    @property
    def url(self) -> str:
        return self.dashboard.url.rstrip("/")

    @property
    def port(self) -> int:
        port: int = self.dashboard.socket.getsockname()[1]
        return port


@dataclass
class Watched:
    """A page, and what its console and scripts complained about."""

    page: Page
    complaints: list[str]


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    first = play_run(folder, "1", [40, 55, 0, 52, 70, 66, 85])
    add_trace(first, 5)
    add_training(first, 5)
    copy_run(first, "twin")
    play_run(folder, "losses", [40, 70, 60, 90], LOSS_EVALUATOR)
    play_run(folder, "broken", [0, 0])
    grow_run(play_run(folder, "long", [40, 55, 52]), 1000)
    dashboard = open_dashboard(Place(folder / "runs", port=0))
    dashboard.serve_beside()
    yield Scene(folder / "runs", dashboard)
    dashboard.stop()


@pytest.fixture(scope="module")  # a browser holds the thread's event loop: no test after this file's may meet it
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        told = (
            "NO CHROMIUM FOUND: the dashboard is not tested in a browser; `apt-get install chromium`, or set CHROMIUM"
        )
        warnings.warn(told, stacklevel=1)
        pytest.skip(told)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def watched(browser: Browser) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    context.set_default_timeout(20_000)
    page = context.new_page()
    complaints: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: (complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield Watched(page, complaints)
    context.close()
