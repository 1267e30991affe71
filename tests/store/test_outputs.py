"""What a program leaves is taken as hostile: no name, depth or mode of its files harms the run."""

import os
from pathlib import Path

import pytest

from sia.errors import StoreError
from sia.settings import RunSettings
from sia.store.outputs import MAX_DEPTH, collect_outputs
from sia.store.records import Authored
from sia.store.run_directory import create_run, remove, reopen_run
from tests.support import describe_run

RESERVED = frozenset({"results.json"})
AUTHORED = Authored(author="a", parent=None, seconds=1.0)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    source, into = tmp_path / "source", tmp_path / "into"
    source.mkdir()
    into.mkdir()
    return source, into


def nest(folder: Path, depth: int) -> None:
    """Folders in one another, deeper than a path can name."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)


def test_folders_nested_without_end_are_left_and_removed(folders: tuple[Path, Path]) -> None:
    source, into = folders
    (source / "kept.txt").write_text("kept")
    nest(source, 3000)
    notes = collect_outputs(source, into, RESERVED)
    assert any(f"deeper than {MAX_DEPTH} folders" in note for note in notes)
    assert (into / "kept.txt").read_text() == "kept"
    remove(source)
    assert not source.exists()


def test_a_folder_with_a_reserved_name_stays_behind(folders: tuple[Path, Path]) -> None:
    source, into = folders
    (source / "results.json").mkdir()
    (source / "results.json" / "x").write_text("")
    (source / "deeper").mkdir()
    (source / "deeper" / "results.json").write_text("{}")
    assert collect_outputs(source, into, RESERVED) == ("results.json is a reserved name; the agent's was dropped",)
    assert [p.name for p in into.iterdir()] == ["deeper"]


def test_shut_folders_are_taken_and_removed(folders: tuple[Path, Path]) -> None:
    source, into = folders
    (source / "shut").mkdir()
    (source / "shut" / "x").write_text("x")
    (source / "shut").chmod(0)
    collect_outputs(source, into, RESERVED)
    assert (into / "shut" / "x").read_text() == "x"
    (source / "shut").chmod(0)
    source.chmod(0)
    remove(source)
    assert not source.exists()


def test_links_to_folders_are_neither_followed_nor_opened(folders: tuple[Path, Path], tmp_path: Path) -> None:
    source, into = folders
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_text("x")
    outside.chmod(0o500)
    (source / "link").symlink_to(outside)
    assert collect_outputs(source, into, RESERVED) == ("link is a link; dropped",)
    remove(source)
    assert outside.stat().st_mode & 0o777 == 0o500
    assert (outside / "x").exists()


def test_names_that_are_not_utf8_stay_behind(folders: tuple[Path, Path]) -> None:
    source, into = folders
    (source / os.fsdecode(b"f\xff")).write_text("")
    (source / os.fsdecode(b"d\xff")).mkdir()
    notes = collect_outputs(source, into, RESERVED)
    assert len(notes) == 2
    assert all("not UTF-8" in note for note in notes)
    assert not list(into.iterdir())


def test_a_stage_cannot_replace_what_an_earlier_one_recorded(tmp_path: Path) -> None:
    run = create_run(tmp_path, "1", describe_run(RunSettings()))
    with run.staging(1, "author") as staging:
        (staging / "target_agent.py").write_text("pass")
        run.commit(1, AUTHORED, [staging / "target_agent.py"])
    with run.staging(1, "run") as staging:
        (staging / "target_agent.py").mkdir()
        with pytest.raises(StoreError, match="earlier stage"):
            run.commit(1, AUTHORED, [staging / "target_agent.py"])
    assert (run.path / "gen_1" / "target_agent.py").read_text() == "pass"
    run.close()


def test_a_run_goes_on_after_a_stage_that_nested_folders_was_cut_short(tmp_path: Path) -> None:
    run = create_run(tmp_path, "1", describe_run(RunSettings()))
    left = run.path / ".staging" / "gen_1_run"
    left.mkdir(parents=True)
    nest(left, 3000)
    left.chmod(0)
    run.close()
    again = reopen_run(tmp_path, "1")
    assert not (again.path / ".staging").exists()
    again.close()
