"""Files that a hostile program left: what is opened, what is refused, and what is shown."""

import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sia import plainfile
from sia.plainfile import on_one_line, open_plain, read_plain, read_text, without_escapes
from sia.store.outputs import collect_outputs, copy_outputs


@pytest.fixture(params=["openat2", "fallback"])
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of opening."""
    if request.param == "fallback":
        monkeypatch.setattr(plainfile.platform, "machine", lambda: "unknown")
    return str(request.param)


def plant(folder: Path, secret: Path) -> dict[str, Path]:
    """One of everything that must not be opened."""
    (folder / "inner").mkdir()
    planted = {name: folder / name for name in ("link", "chain", "pipe", "socket", "hard", "folder", "device")}
    planted["link"].symlink_to(secret)
    planted["chain"].symlink_to("link")
    os.mkfifo(planted["pipe"])
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(planted["socket"]))
    os.link(secret, planted["hard"])
    planted["folder"].mkdir()
    (folder / "way").symlink_to(secret.parent)
    planted["through a link"] = folder / "way" / secret.name
    planted["through proc"] = folder / "fd" / "answers"
    (folder / "fd").symlink_to("/proc/self/root")
    try:
        os.mknod(planted["device"], stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        del planted["device"]
    return planted


@pytest.fixture
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A short path, for the socket's sake."""
    import tempfile

    root = Path(tempfile.mkdtemp(prefix="plain-"))
    (root / "left").mkdir()
    (root / "private").mkdir()
    (root / "private" / "answers").write_text("held-out")
    return root / "left", root / "private" / "answers"


def test_nothing_but_plain_files_is_opened(door: str, places: tuple[Path, Path]) -> None:
    folder, secret = places
    for name, path in plant(folder, secret).items():
        with pytest.raises(ValueError, match=r"is (not a plain file|missing)|has a second name"):
            pytest.fail(f"{name}: {read_text(path, beneath=folder)}")


def test_plain_file_is_read_up_to_its_limit(door: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    file = tmp_path / "a" / "b" / "c"
    file.write_bytes(b"12345")
    assert read_plain(file, 5, beneath=tmp_path) == b"12345"
    with pytest.raises(ValueError, match="longer than 4 bytes"):
        read_plain(file, 4, beneath=tmp_path)
    with pytest.raises(ValueError, match="missing"):
        read_plain(tmp_path / "a" / "no", 4, beneath=tmp_path)
    with pytest.raises(OSError, match="cross-device"):
        open_plain(tmp_path / "a" / ".." / ".." / "x", beneath=tmp_path / "a")
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="UTF-8"):
        read_text(file)


def test_collected_outputs_are_plain_and_run_as_nobody(places: tuple[Path, Path], tmp_path: Path) -> None:
    folder, secret = places
    plant(folder, secret)
    (folder / "answers.json").write_text("{}")
    (folder / "answers.json").chmod(0o6777)
    (folder / "results.json").write_text('{"accuracy": 1.0}')
    (folder / "inner" / "results.json").write_text("kept: only the top is the evaluator's")
    (folder / "bad\x1b[31mname\n").symlink_to(secret)
    into = tmp_path / "into"
    into.mkdir()
    notes = collect_outputs(folder, into, frozenset({"results.json"}))
    found = sorted(str(p.relative_to(into)) for p in into.rglob("*") if p.is_file())
    assert found == ["answers.json", "inner/results.json"]
    assert stat.S_IMODE((into / "answers.json").stat().st_mode) == 0o755
    assert any("results.json is a reserved name" in note for note in notes)
    assert all(note.isprintable() for note in notes)
    (into / "late").symlink_to(secret)
    copy = tmp_path / "copy"
    copy_outputs(into, copy, frozenset({"answers.json"}))
    assert sorted(str(p.relative_to(copy)) for p in copy.rglob("*") if not p.is_dir()) == ["inner/results.json"]


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x1b]52;c;Y2xpcGJvYXJk\x1b\\",
        "\x1bP1$r\x1b\\",
        "\x9b31m",
        "\x1bc",
        "\x1b(0",
        "a\rb",
        "a\x08b",
        "\u202eevil",
        "\x1b[?1049h",
    ],
)
def test_terminal_escapes_are_stripped(hostile: str) -> None:
    shown = without_escapes(f"before {hostile} after")
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert not set(shown) & {"\x1b", "\x9b", "\x07", "\x08", "\r", "\u202e"}
    assert "title" not in shown
    assert "Y2xp" not in shown


@given(st.text())
def test_no_text_can_move_a_cursor(text: str) -> None:
    assert all(c in "\n\t" or c >= " " for c in without_escapes(text))
    assert "\x7f" not in without_escapes(text)
    assert on_one_line(text).isprintable()
