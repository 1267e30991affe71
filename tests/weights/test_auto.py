"""The offline author with `--focus auto` finds the lever that wins; `tests.weights.toy_levers` counts over seeds."""

from pathlib import Path

import pytest

from sia.author.brief import AGENT_FILE
from sia.store.run_directory import read_run_record
from tests.weights.toy_levers import play_levers, winner


@pytest.mark.slow
@pytest.mark.parametrize("lever", ["weights", "harness"])
def test_auto_finds_the_lever_that_wins(lever: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path / "cache"))
    generations = play_levers(tmp_path, lever, seed=1)
    assert winner(generations) == lever
    assert generations[0].score is not None
    assert generations[0].score.value < 1.0
    classical = read_run_record(tmp_path / "runs" / "run_1").classical
    assert classical is not None
    assert classical.score is not None
    assert classical.score.n == 60
    assert all((tmp_path / "runs" / "run_1" / f"gen_{g.generation}" / AGENT_FILE).exists() for g in generations)
