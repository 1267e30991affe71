"""Files that agents left, read as hostile and page by page."""

import json
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia.report.calls import read_calls
from sia.report.files import list_files, read_shown
from sia.report.items import ItemFilter, read_items
from sia.report.story import read_story
from sia.report.text import PAGE_BYTES, open_file, plain, read_text_page, tail
from sia.report.training import read_training
from sia.report.trajectory import read_trajectory, trajectory_files
from tests.web.scenery import add_trace, add_training

ANY_JSON = st.recursive(
    st.none() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="ascii", categories=("L", "N")), max_size=3000), max_size=120))
def test_pages_together_are_the_whole_file(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    file = tmp_path_factory.mktemp("log") / "a.log"
    file.write_text("".join(f"{line}\n" for line in lines))
    with file.open("rb") as opened:
        pages = read_text_page(opened, 1).pages
        assert "".join(read_text_page(opened, k).text for k in range(1, pages + 1)) == file.read_text()


def test_one_endless_line_is_paged_too(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"x" * (3 * PAGE_BYTES + 5))
    with file.open("rb") as opened:
        assert "".join(read_text_page(opened, k).text for k in range(1, 5)) == file.read_text()


def test_a_page_of_a_huge_log_takes_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    with file.open("wb") as opened:
        opened.seek(5 << 30)
        opened.write(b"\nthe end\n")
    tracemalloc.start()
    with file.open("rb") as opened:
        page = read_text_page(opened, None)
        text, offset = tail(opened, None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert page.text.endswith("the end\n")
    assert (text.endswith("the end\n"), offset) == (True, file.stat().st_size)
    assert peak < 20 * PAGE_BYTES


def test_a_log_is_followed_from_where_it_was_left(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_text("one\n")
    with file.open("rb") as opened:
        first, offset = tail(opened, None)
        with file.open("a") as more:
            more.write("two\n")
        second, offset = tail(opened, offset)
        assert (first, second, tail(opened, offset)[0]) == ("one\n", "two\n", "")


@settings(deadline=None)
@given(st.text())
def test_plain_text_moves_no_cursor_and_turns_no_direction(text: str) -> None:
    told = plain(text)
    assert not [c for c in told if (ord(c) < 32 and c not in "\n\t") or ord(c) in (0x7F, 0x9B, 0x202E, 0x2066)]


def test_nothing_outside_the_folder_is_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    (inside / "folder" / "file").write_text("text")
    (inside / "link").symlink_to(tmp_path / "secret")
    (inside / "up").symlink_to(tmp_path)
    os.mkfifo(inside / "pipe")
    with open_file(inside, "folder/file") as file:
        assert file.read() == b"text"
    for name in ("../secret", "link", "up/secret", str(tmp_path / "secret"), "folder/../../secret", "pipe", "", "a\0b"):
        with pytest.raises(OSError):  # noqa: PT011 (whichever of its kinds)
            open_file(inside, name)
        assert read_shown(inside, name).text == ""
    assert [listed.name for listed in list_files(inside)] == ["folder/file"]


def test_items_are_told_with_what_changed(played: Path) -> None:
    items = read_items(read_story(played), 5)
    kept = [row for row in items.rows if ItemFilter(change="gained", group="logic").keeps(row)]
    assert items.against == 2
    assert kept
    assert all(row.item.group == "logic" and row.before == 0 and row.item.score == 1 for row in kept)
    assert {group.name: group.score.n for group in items.groups} == {"algebra": 34, "geometry": 33, "logic": 33}
    assert dict(kept[0].told)["input"].endswith("modulo 7?")
    assert sum(row.sealed for row in items.rows) == 26


def test_calls_are_summed_by_role_and_model(played: Path) -> None:
    assert read_calls(played, 1).rows == ()
    add_trace(played, 1)
    calls = read_calls(played, 1)
    rows = [json.loads(line) for line in (played / "gen_1" / "trace.jsonl").read_text().splitlines()]
    assert len(calls.rows) == 40
    assert sum(total.cost for total in calls.sums) == pytest.approx(sum(row["cost"] for row in rows))
    assert [(total.role, total.calls, total.errors) for total in calls.sums] == [("author", 5, 0), ("target", 35, 1)]
    with (played / "gen_1" / "trace.jsonl").open("a") as file:
        file.write("{}\nnot json\n" + '{"id": ' + "9" * 3_000_000 + "}\n")
    assert (len(read_calls(played, 1).rows), read_calls(played, 1).unreadable) == (40, 3)


def test_training_curves_come_from_lines_that_are_numbers(played: Path) -> None:
    assert not read_training(played, 2)
    add_training(played, 2)
    training = read_training(played, 2)
    assert training.steps == tuple(range(60))
    assert set(training.curves) == {"loss", "reward", "kl"}
    assert training.curves["loss"][0] == 2.0
    assert "grpo" in training.plan


def test_both_formats_of_trajectories_are_read(played: Path) -> None:
    names = trajectory_files(played / "gen_1")
    assert names == ["agent_execution.json", *(f"agent_execution/execution_q{k}.json" for k in range(12))]
    turns = read_trajectory(played, "gen_1/agent_execution/execution_q10.json").turns
    assert [(turn.role, turn.text) for turn in turns[1:]] == [("user", "What is 10 modulo 7?"), ("assistant", "3")]
    assert '"answered": 100' in read_trajectory(played, "gen_1/agent_execution.json").rest


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_some_trajectory(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "agent_execution.json").write_text(json.dumps(content), encoding="utf-8", errors="surrogatepass")
    told = read_trajectory(folder, "agent_execution.json")
    assert told.turns or told.rest or told.problem
