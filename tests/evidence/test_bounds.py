"""What reaches a prompt stays bounded, whatever a generation left."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sia.evidence.context import ROWS, render_context
from sia.evidence.digest import digest_execution, digest_log, digest_scores
from sia.score.model import Item, Verdict
from sia.store.records import GenerationRecord

LIMIT = 600


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=8000))
def test_any_log_gives_a_bounded_digest_without_escapes(tmp_path: Path, content: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    digest = digest_log(log, LIMIT)
    assert len(digest) <= LIMIT + 20
    assert "\x1b" not in digest
    assert "\x00" not in digest


def test_long_log_keeps_its_first_and_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\n" + "".join(f"step {k}\n" for k in range(100_000)) + "last\n")
    digest = digest_log(log, LIMIT)
    assert digest.startswith("first")
    assert digest.endswith("last")


def test_repeated_lines_are_folded(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("warning\n" * 50 + "done\n")
    assert digest_log(log, LIMIT) == "warning  [50 times]\ndone"


@pytest.mark.parametrize("content", [b"{" * 100_000, b"[" * 100_000, b"\xff\xfe", b"", b"x" * (1 << 21)])
def test_unusable_execution_record_is_told_and_bounded(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "agent_execution.json").write_bytes(content)
    digest = digest_execution(tmp_path, LIMIT)
    assert digest.startswith("unusable")
    assert len(digest) < LIMIT


def test_many_records_share_the_space(tmp_path: Path) -> None:
    (tmp_path / "agent_execution").mkdir()
    for k in range(30):
        (tmp_path / "agent_execution" / f"{k}.json").write_text(json.dumps(["word"] * 1000))
    assert len(digest_execution(tmp_path, LIMIT)) < LIMIT + 100


def test_thousand_groups_are_bounded() -> None:
    items = [Item(id=str(k), score=1.0, group="g" * 500 + str(k)) for k in range(1000)]
    assert len(digest_scores(items, items)) < 2500


@pytest.mark.parametrize("count", [1, ROWS, 1000])
def test_context_is_bounded_and_names_the_best(count: int) -> None:
    generations = [
        GenerationRecord(
            generation=n,
            status="failed",
            parent=None,
            lever="harness",
            score=None,
            verdict=Verdict(outcome="failed"),
            failure="x" * 5000,
            seconds={},
        )
        for n in range(1, count + 1)
    ]
    context = render_context("task", generations, 1)
    assert len(context) < 6000
    assert "| 1 |" in context
    assert f"| {count} |" in context
