"""The leak guard: private values are found wherever they stand, public ones pass."""

from pathlib import Path

import pytest

from sia.evidence.guard import LeakGuard


@pytest.fixture
def guard(tmp_path: Path) -> LeakGuard:
    for name in ("private", "public"):
        (tmp_path / name).mkdir()
    (tmp_path / "private" / "answers.csv").write_text("id,answer\nitem-0001,chrysanthemum-blue\n")
    (tmp_path / "public" / "test.csv").write_text("id\nitem-0001\n")
    return LeakGuard(tmp_path / "private", tmp_path / "public")


@pytest.mark.parametrize(
    "text", ["chrysanthemum-blue", "the answer is chrysanthemum-blue, I think", '{"a": "chrysanthemum-blue"}']
)
def test_private_value_is_found(guard: LeakGuard, text: str) -> None:
    assert guard.leaks(text)


@pytest.mark.parametrize("text", ["item-0001 was hard", "nothing of note", ""])
def test_public_text_passes(guard: LeakGuard, text: str) -> None:
    assert not guard.leaks(text)
