"""The dashboard against the original's over the same folders: `python -m tests.benchmarks.web --original PYTHON`.

PYTHON is an interpreter with sia-agent 0.6.0, made for instance with

    python3 -m venv /tmp/original && /tmp/original/bin/pip install sia-agent==0.6.0

Both serve 1,000 runs, and one run of 1,000 generations. Requests are what each one's own page asks for; they take
turns, so that whatever else the machine does falls on both. Paint times are of a real Chromium, each with a new
profile.
"""

import argparse
import http.client
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.web.conftest import CHROMIUM_FLAGS, CHROMIUM_NAMES
from tests.web.scenery import copy_run, grow_run, play_run

ROOT = Path(__file__).parents[2]
SERVE_ORIGINAL = """
import sys
from sia.web.server import serve
serve(port=int(sys.argv[1]), runs_dir=sys.argv[2], open_browser=False)
"""
ROUNDS = 3
ROUND_SECONDS = 2.0
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


@dataclass(frozen=True)
class View:
    """One view in both dashboards: what its page asks for, where it lies, and what is there once it shows something."""

    name: str
    own_request: str
    original_request: str
    own_page: str
    original_page: str
    own_sign: str
    original_sign: str


VIEWS = {
    "runs": View("1,000 runs", "/", "/api/runs", "/", "/", "tbody a.go", ".run-item"),
    "run": View(
        "a run of 1,000 generations",
        "/runs/1",
        "/api/runs/run_1",
        "/runs/1",
        "/#/run_1",
        "[data-chart=scores] canvas",
        ".gen-chart svg",
    ),
}


def make_folders(folder: Path, count: int) -> dict[str, Path]:
    """The two runs folders."""
    first = play_run(folder / "many", "1", [40, 55, 60])
    for generation in first.glob("gen_*"):
        shutil.rmtree(generation / "agent_execution")
    for number in range(2, count + 1):
        copy_run(first, str(number))
    grow_run(play_run(folder / "long", "1", [40, 55, 60]), count)
    return {"runs": folder / "many" / "runs", "run": folder / "long" / "runs"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def served(argv: list[str], port: int) -> Iterator[int]:
    """A server in a process of its own, once it listens."""
    with subprocess.Popen(argv, cwd=ROOT if "-m" in argv else "/", stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port
        finally:
            process.kill()


def rate(port: int, path: str) -> float:
    """Requests per second over one connection, one after the other; the first warms up."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask() -> None:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, (path, answer.status)

    ask()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < ROUND_SECONDS:
        ask()
        done += 1
    return done / (time.perf_counter() - start)


def paint(browser: Browser, port: int, path: str, sign: str) -> tuple[float, float]:
    """Milliseconds from the start of the navigation to the first paint, and until the content shows."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}{path}", wait_until="commit")
    page.locator(sign).first.wait_for(timeout=120_000)
    shown = page.evaluate("performance.now()")
    first = page.evaluate(PAINT)
    context.close()
    return float(first or shown), float(shown)


def compare(view: View, folder: Path, original: str, browser: Browser) -> None:
    """Prints the rows of one view."""
    own_port, original_port = free_port(), free_port()
    own = [sys.executable, "-m", "sia", "web", "--port", str(own_port), "--runs-dir", str(folder)]
    other = [original, "-c", SERVE_ORIGINAL, str(original_port), str(folder)]
    rates: dict[str, list[float]] = {"own": [], "original": []}
    paints: dict[str, list[tuple[float, float]]] = {"own": [], "original": []}
    with served(own, own_port), served(other, original_port):
        for _ in range(ROUNDS):
            rates["own"].append(rate(own_port, view.own_request))
            rates["original"].append(rate(original_port, view.original_request))
            paints["own"].append(paint(browser, own_port, view.own_page, view.own_sign))
            paints["original"].append(paint(browser, original_port, view.original_page, view.original_sign))
    a, b = (statistics.median(rates[who]) for who in ("own", "original"))
    print(f"{view.name}: requests per second        {a / b:8.1f}   ({a:.1f} and {b:.1f})")
    for place, what in enumerate(("first paint", "content shown")):
        c, d = (statistics.median(times[place] for times in paints[who]) for who in ("own", "original"))
        print(f"{view.name}: {what:24} {c / d:10.2f}   ({c:.0f} and {d:.0f} ms)")


def main() -> None:
    """Runs all of it in a temporary folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--original", required=True, help="interpreter with sia-agent 0.6.0")
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, CHROMIUM_NAMES)))
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; this one / the original")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folders = make_folders(Path(folder), arguments.count)
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        for name, view in VIEWS.items():
            compare(view, folders[name], arguments.original, browser)
        browser.close()


if __name__ == "__main__":
    main()
