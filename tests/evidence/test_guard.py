"""The leak guard: private values are found wherever they stand, public ones pass."""

from pathlib import Path

import pytest

from sia.evidence.guard import LeakGuard, passed_over


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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latin.csv", "id,answer\n1,Fräulein Müller\n2,violet-tangerine\n".encode("latin-1")),
        ("wide.csv", "id,answer\n1,violet-tangerine\n".encode("utf-16")),
        ("torn.jsonl", b'{"answer": "first-answer"}\n{"answer": \n{"answer": "violet-tangerine"}\n'),
        ("torn.json", b'{\n  "answer": "violet-tangerine",\n}\n'),
        ("long.csv", b"id,answer\n1," + b"x" * 200_000 + b"\n2,violet-tangerine\n"),
        ("answers.yaml", b"- id: 1\n  answer: violet-tangerine\n"),
        ("list.yaml", b"answers:\n  - violet-tangerine\n"),
        ("answers.xml", b"<a><answer>violet-tangerine</answer></a>\n"),
        ("answers", b"violet-tangerine\n"),
    ],
)
def test_values_are_found_whatever_file_they_come_from(tmp_path: Path, name: str, content: bytes) -> None:
    private, public = tmp_path / "private", tmp_path / "public"
    private.mkdir()
    public.mkdir()
    (private / name).write_bytes(content)
    guard = LeakGuard(private, public)
    assert guard.leaks("it said violet-tangerine to me")
    assert not guard.leaks("the answer of the question was not found")
    if name == "latin.csv":
        assert guard.leaks("it said Fräulein Müller")
    assert not passed_over(private)


def test_files_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "answers.parquet").write_bytes(b"PAR1\0\0violet-tangerine")
    (tmp_path / "evaluate.py").write_text("print(1)\n")
    assert passed_over(tmp_path) == [tmp_path / "answers.parquet"]
