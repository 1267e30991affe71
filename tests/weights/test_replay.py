"""A run that trained is verified and replayed: the same weights come out, and the same answers, or it is told."""

import json
import sys
from pathlib import Path

import pytest

from sia.author.brief import AGENT_FILE, DECISION_FILE
from sia.evidence.guard import LeakGuard
from sia.replay import Replay, replay_run
from sia.settings import RunSettings
from sia.stages.session import Session
from sia.store.catalog import generations_of
from sia.store.progress import RunProgress
from sia.store.run_directory import read_run_record, reopen_run
from sia.task.package import load_task
from sia.verify import verify_run
from sia.weights.base import base_folder
from sia.weights.outcome import ADAPTER_WEIGHTS
from tests.weights.play import AGENT, AUTHOR, SpyJail, decision, make_settings, make_toy_task, play_toy
from tests.weights.toy import ANSWERS, WORDS, make_base, toy_plan


def replay_toy(task_root: Path, settings: RunSettings) -> Replay:
    """Replays a run with nobody there who could answer a model call."""
    task = load_task(task_root)
    session = Session(
        task=task,
        run=reopen_run(settings.runs_dir, "1"),
        settings=settings,
        author=AUTHOR,
        jail=SpyJail(),
        guard=LeakGuard(task.private_dir, task.public_dir),
        python=Path(sys.executable),
        progress=RunProgress(),
        base=base_folder(settings),
    )
    try:
        return replay_run(session, read_run_record(session.run.path), lambda _: None)
    finally:
        session.close()


@pytest.mark.slow
def test_a_run_that_trained_comes_out_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIA_CACHE_DIR", str(tmp_path / "cache"))
    base = make_base(tmp_path / "base")
    from_traces = {**toy_plan("cloning")["data"], "origin": "traces", "traces": {"generations": [1, 2]}}  # type: ignore[dict-item]
    scripts = {
        1: {AGENT_FILE: AGENT},
        2: {DECISION_FILE: decision("weights", toy_plan("grpo", steps=12))},
        3: {DECISION_FILE: decision("weights", toy_plan("cloning", steps=8, data=from_traces))},
    }
    task, settings = (
        make_toy_task(tmp_path / "task", scripts),
        make_settings(tmp_path, base, max_gen=3, machine_cost=36.0),
    )
    play_toy(task, settings)
    run = tmp_path / "runs" / "run_1"
    assert not verify_run(run).problems
    trained = [g.trained for g in generations_of(run)][1]
    assert trained is not None
    assert trained.spending.cost == pytest.approx(trained.seconds * 0.01, rel=1e-3)
    # Two agents asked each word; those that one of them got right are learnt, by public labels.
    said = [json.loads((run / f"gen_{n}" / "agent_execution.json").read_text()) for n in (1, 2)]
    right = {w for known in said for w, answer in known.items() if answer == ANSWERS[WORDS.index(w) >= len(WORDS) // 2]}
    log = (run / "gen_3" / "adapter" / "training.log").read_text()
    assert log.startswith(f"{len(right)} examples to learn from, 0 to validate on")
    assert len(right) > 2
    done = replay_toy(task, settings)
    assert done.difference is None
    assert not done.strayed
    assert done.stages == len((run / "ledger.jsonl").read_text().splitlines())
    make_base(base, seed=1)
    other = replay_toy(task, settings).difference
    assert other is not None
    assert other.startswith("generation 2, train: gen_2/adapter/")
    weights = run / "gen_2" / "adapter" / ADAPTER_WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert [p for p in verify_run(run).problems if ADAPTER_WEIGHTS in p]
