"""Durability of the run directory and its ledger."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sia.errors import HostError, StoreError, UsageError
from sia.score.model import Verdict
from sia.settings import RunSettings
from sia.store.ledger import Ledger, read_ledger
from sia.store.records import Authored, Decided
from sia.store.run_directory import create_run, next_run_id, reopen_run, run_path
from tests.support import describe_run

AUTHORED = Authored(author="a", parent=None, seconds=1.0)
DESCRIBE = describe_run(RunSettings())
DECIDED = Decided(verdict=Verdict(outcome="failed"), best=None)


def test_next_id_is_above_all_that_are_taken(tmp_path: Path) -> None:
    assert next_run_id(tmp_path / "none") == "1"
    for name in ("run_2", "run_10", "run_named", "other"):
        (tmp_path / name).mkdir()
    assert next_run_id(tmp_path) == "11"


def test_taken_id_offers_both_ways_out(tmp_path: Path) -> None:
    create_run(tmp_path, "7", DESCRIBE).close()
    with pytest.raises(StoreError, match=r"--resume.*--run-id"):
        create_run(tmp_path, "7", DESCRIBE)


def test_two_processes_cannot_own_one_run(tmp_path: Path) -> None:
    run = create_run(tmp_path, "7", DESCRIBE)
    with pytest.raises(StoreError, match="in use"):
        reopen_run(tmp_path, "7")
    run.close()
    reopen_run(tmp_path, "7").close()


@pytest.mark.parametrize("bad", ["../x", "", "a/b", ".hidden", "x" * 65, "a\nb"])
def test_id_must_be_a_plain_name(tmp_path: Path, bad: str) -> None:
    with pytest.raises(UsageError):
        run_path(tmp_path, bad)


def test_unwritable_runs_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="--runs-dir"):
        create_run(tmp_path / "file", None, DESCRIBE)


def test_unrecorded_files_are_discarded_and_recorded_ones_kept(tmp_path: Path) -> None:
    run = create_run(tmp_path, "1", DESCRIBE)
    with run.staging(1, "author") as staging:
        (staging / "target_agent.py").write_text("pass")
        run.commit(1, AUTHORED, [staging / "target_agent.py"])
    half_done = run.path / "gen_1" / "half"
    half_done.mkdir()
    (half_done / "x").write_text("")
    (run.path / ".staging" / "gen_1_run").mkdir(parents=True)
    run.close()
    again = reopen_run(tmp_path, "1")
    assert sorted(p.name for p in (again.path / "gen_1").iterdir()) == ["target_agent.py"]
    assert not (again.path / ".staging").exists()
    again.close()


def test_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    Ledger(path).append(1, AUTHORED, {})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"time": "2026')
    assert len(Ledger(path).lines) == 1
    assert path.read_bytes() == whole


def test_changed_line_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.append(1, AUTHORED, {})
    ledger.append(1, DECIDED, {})
    path.write_bytes(path.read_bytes().replace(b'"author":"a"', b'"author":"b"'))
    with pytest.raises(StoreError, match="does not follow"):
        read_ledger(path)


def test_time_never_goes_backwards(tmp_path: Path) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    moments = iter([now, now - timedelta(days=400), now + timedelta(seconds=1)])
    ledger = Ledger(tmp_path / "ledger.jsonl", clock=lambda: next(moments))
    for _ in range(3):
        ledger.append(1, AUTHORED, {})
    times = [line.time for line in ledger.lines]
    assert times == [now, now, now + timedelta(seconds=1)]
