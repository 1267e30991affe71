"""Kaggle's own client against a scripted Kaggle: what works, and one line for what does not."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.prepare import competitions
from tests.prepare.competitions import one_line, prepare, surroundings
from tests.prepare.scripted_kaggle import KEY, TOKEN, USER, ScriptedKaggle, serve

SLUG = "wine-tasting"
MEBIBYTE = 1 << 20
SIGNED_IN = {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}


@pytest.fixture
def kaggle(tmp_path: Path) -> Iterator[ScriptedKaggle]:
    folder = competitions.wine(tmp_path / "raw")
    # The client writes in pieces of a mebibyte: only what is larger can break in the middle.
    (folder / "ballast.bin").write_bytes(random.Random(0).randbytes(3 * MEBIBYTE))
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    pages = {"Evaluation": "<p>Scored by <b>multi-class logarithmic loss</b>.</p>", "description": "Whose wine?"}
    script = ScriptedKaggle(SLUG, competitions.zipped(folder), sizes, metric="MulticlassLoss", pages=pages)
    with serve(script, tmp_path / "certificates") as serving:
        yield serving


def fetch(
    tmp_path: Path, kaggle: ScriptedKaggle, *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return prepare(tmp_path, "-c", SLUG, *arguments, **kaggle.environment, **(environment or SIGNED_IN))


def archives(tmp_path: Path) -> list[Path]:
    return [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and ".part" not in p.parts]


def nothing_is_left(tmp_path: Path) -> bool:
    return not archives(tmp_path) and not list(tmp_path.glob("tasks/*"))


def test_a_competition_is_listed_downloaded_and_made_a_task(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    done = fetch(tmp_path, kaggle)
    assert done.returncode == 0, done.stderr
    calls = ["GetCompetition", "ListCompetitionPages", *["ListDataFiles"] * 4, "DownloadDataFiles", "GET"]
    assert kaggle.asked == calls
    manifest = (tmp_path / "tasks" / SLUG / "task.toml").read_text()
    for word in ('"log_loss"', '"min"', "Who Is It?", "CC0", "SHA-256"):
        assert word in manifest
    assert "Whose wine?" in (tmp_path / "tasks" / SLUG / "data" / "public" / "task.md").read_text()
    assert [p.read_bytes() for p in archives(tmp_path) if p.suffix == ".zip"] == [kaggle.archive]


def test_what_was_downloaded_is_used_again_unless_it_changed(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    assert fetch(tmp_path, kaggle).returncode == 0
    assert "--force" in one_line(fetch(tmp_path, kaggle))
    again = fetch(tmp_path, kaggle, "--force")
    assert "checksum right" in again.stdout
    assert kaggle.asked.count("GET") == 1
    archive = next(p for p in archives(tmp_path) if p.suffix == ".zip")
    archive.write_bytes(archive.read_bytes()[:-100])
    assert "has changed" in fetch(tmp_path, kaggle, "--force").stdout
    assert kaggle.asked.count("GET") == 2


@pytest.mark.parametrize("place", ["KAGGLE_API_TOKEN", "access_token", "kaggle.json"])
def test_credentials_are_found_where_kaggles_client_looks(tmp_path: Path, kaggle: ScriptedKaggle, place: str) -> None:
    (tmp_path / ".kaggle").mkdir()
    environment = {"LANG": "C"}
    if place == "KAGGLE_API_TOKEN":
        environment[place] = TOKEN
    elif place == "access_token":
        (tmp_path / ".kaggle" / place).write_text(TOKEN)
    else:
        (tmp_path / ".kaggle" / place).write_text(f'{{"username": "{USER}", "key": "{KEY}"}}')
        (tmp_path / ".kaggle" / place).chmod(0o600)
    done = fetch(tmp_path, kaggle, **environment)
    assert done.returncode == 0, done.stderr


def test_no_credentials(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    error = one_line(fetch(tmp_path, kaggle, LANG="C"))
    for word in ("no Kaggle credentials", "~/.kaggle/access_token", "https://www.kaggle.com/settings", "--data-dir"):
        assert word in error
    assert kaggle.asked == []


def test_key_that_is_refused(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    error = one_line(fetch(tmp_path, kaggle, KAGGLE_USERNAME=USER, KAGGLE_KEY="old"))
    assert "401" in error
    assert "~/.kaggle/access_token" in error
    assert "old" not in error
    assert nothing_is_left(tmp_path)


def test_token_that_is_not_known(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    error = one_line(fetch(tmp_path, kaggle, KAGGLE_API_TOKEN="KGAT_expired"))
    assert "KAGGLE_API_TOKEN" in error
    assert "KGAT_expired" not in error


def test_rules_that_are_not_accepted(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    kaggle.rules_accepted = False
    assert f"https://www.kaggle.com/competitions/{SLUG}/rules" in one_line(fetch(tmp_path, kaggle))
    assert nothing_is_left(tmp_path)


def test_unknown_competition(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    done = prepare(tmp_path, "-c", "wine-tastign", **kaggle.environment, **SIGNED_IN)
    assert "404" in one_line(done)
    assert "wine-tastign" in done.stderr


def test_rate_limit(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    kaggle.limited = True
    error = one_line(fetch(tmp_path, kaggle))
    assert "429" in error
    assert "in 7 seconds" in error


def test_no_network(tmp_path: Path) -> None:
    done = prepare(tmp_path, "-c", SLUG, HTTPS_PROXY="http://127.0.0.1:9", **SIGNED_IN)
    assert "cannot be reached" in one_line(done)
    assert nothing_is_left(tmp_path)


def test_broken_transfer_goes_on_by_itself(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    kaggle.break_after = [3 * MEBIBYTE // 2]
    done = fetch(tmp_path, kaggle)
    assert done.returncode == 0, done.stderr
    assert [call for call in kaggle.asked if call.startswith("GET")] == ["GET", "GET bytes=1048576-"]
    assert [p.read_bytes() for p in archives(tmp_path) if p.suffix == ".zip"] == [kaggle.archive]


def test_interrupted_download_goes_on_in_the_next_command(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    kaggle.stall_after = 3 * MEBIBYTE // 2
    process = subprocess.Popen(
        [sys.executable, "-m", "sia.prepare", "mlebench-dataset", "-c", SLUG],
        cwd=tmp_path,
        env=surroundings(tmp_path, **kaggle.environment, **SIGNED_IN),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert kaggle.stalled.wait(180)
    part = tmp_path / "cache" / "kaggle" / SLUG / ".part" / f"{SLUG}.zip"
    while not (part.is_file() and part.stat().st_size):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=180)
    kaggle.enough.set()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert nothing_is_left(tmp_path)
    done = fetch(tmp_path, kaggle)
    assert done.returncode == 0, done.stderr
    assert kaggle.asked[-1] == "GET bytes=1048576-"
    assert [p.read_bytes() for p in archives(tmp_path) if p.suffix == ".zip"] == [kaggle.archive]


def test_archive_that_arrives_damaged(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    middle = len(kaggle.archive) // 2
    kaggle.archive = kaggle.archive[:middle] + b"\0\0\0\0" + kaggle.archive[middle + 4 :]
    assert "damaged" in one_line(fetch(tmp_path, kaggle))
    assert nothing_is_left(tmp_path)


def test_archive_without_a_listed_file(tmp_path: Path, kaggle: ScriptedKaggle) -> None:
    kaggle.files["labels.csv"] = 10
    assert "labels.csv is missing" in one_line(fetch(tmp_path, kaggle))
    assert nothing_is_left(tmp_path)
