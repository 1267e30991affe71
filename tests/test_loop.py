"""The loop through its public face: real subprocesses, real files."""

import json
from pathlib import Path

import pytest

from sia.events import GenerationFinished
from sia.settings import RunSettings
from sia.store.catalog import generations_of, read_generation
from sia.store.ledger import read_ledger
from tests.support import agent_with_accuracy, make_task, play

HANGS = "import time\ntime.sleep(600)\n"


def settings(tmp_path: Path, **more: object) -> RunSettings:
    return RunSettings.model_validate({"runs_dir": tmp_path / "runs", "backend": "offline", **more})


def test_best_generation_is_kept_and_built_on(tmp_path: Path) -> None:
    agents = {
        1: agent_with_accuracy(40),
        2: agent_with_accuracy(90),
        3: agent_with_accuracy(10),
        4: agent_with_accuracy(95),
    }
    final, events = play(make_task(tmp_path / "task", agents), settings(tmp_path, max_gen=4))
    run = tmp_path / "runs" / "run_1"
    records = generations_of(run)
    assert [r.parent for r in records] == [None, 1, 2, 2]
    assert [r.verdict.outcome for r in records][:3] == ["first", "improved", "regressed"]
    assert final.status == "finished"
    assert final.best == 4
    assert (run / "best").resolve() == (run / "gen_4").resolve()
    assert final.best_scores is not None
    assert final.best_scores.all.value == 0.95
    assert final.best_scores.all.n == 100
    assert final.sealed_verdict is not None
    assert sum(isinstance(e, GenerationFinished) for e in events) == 4


def test_candidates_share_a_parent_and_the_best_of_them_is_the_next(tmp_path: Path) -> None:
    agents = {n: agent_with_accuracy(value) for n, value in enumerate((40, 90, 60, 30, 95, 20), start=1)}
    task = make_task(tmp_path / "task", agents)
    play(task, settings(tmp_path, max_gen=3, candidates=3))
    # A resume goes on with the round that was cut short.
    final, _ = play(task, settings(tmp_path, max_gen=6, run_id="1", resume=True, candidates=3))
    records = generations_of(tmp_path / "runs" / "run_1")
    assert [r.parent for r in records] == [None, 1, 1, 1, 2, 2]
    assert final.best == 5


def test_candidates_on_the_latest_share_it_too(tmp_path: Path) -> None:
    agents = {n: agent_with_accuracy(value) for n, value in enumerate((40, 90, 30, 60, 20), start=1)}
    play(make_task(tmp_path / "task", agents), settings(tmp_path, max_gen=5, candidates=2, parent="latest"))
    assert [r.parent for r in generations_of(tmp_path / "runs" / "run_1")] == [None, 1, 1, 3, 3]


def test_ledger_names_every_stage_once_in_order(tmp_path: Path) -> None:
    play(make_task(tmp_path / "task", {1: agent_with_accuracy(50)}), settings(tmp_path, max_gen=2))
    lines, _, _ = read_ledger(tmp_path / "runs" / "run_1" / "ledger.jsonl")
    assert [(line.generation, line.record.stage) for line in lines] == [
        (n, stage) for n in (1, 2) for stage in ("author", "run", "score", "decide")
    ]


@pytest.mark.parametrize(
    ("bad", "stage", "words"),
    [
        ("def f(:\n", "run", "SyntaxError"),
        ("", "author", "wrote no agent"),
        (b"print('\xff')", "author", "not UTF-8"),
        ("import sys; sys.exit(3)", "run", "exit status 3"),
        ("pass", "score", "evaluator"),
    ],
)
def test_failed_generation_is_recorded_and_the_loop_goes_on(
    tmp_path: Path, bad: str | bytes, stage: str, words: str
) -> None:
    agents = {1: agent_with_accuracy(50), 2: bad, 3: agent_with_accuracy(90)}
    final, _ = play(make_task(tmp_path / "task", agents), settings(tmp_path, max_gen=3))
    failed = read_generation(tmp_path / "runs" / "run_1", 2)
    assert failed.status == "failed"
    assert failed.failure is not None
    assert failed.failure.startswith(f"{stage}: ")
    assert words in failed.failure
    assert final.best == 3
    assert read_generation(tmp_path / "runs" / "run_1", 3).parent == 1


def test_hanging_agent_is_stopped_by_its_limit(tmp_path: Path) -> None:
    final, _ = play(make_task(tmp_path / "task", {1: HANGS}, seconds=1), settings(tmp_path, max_gen=1))
    assert final.status == "failed"
    failure = read_generation(tmp_path / "runs" / "run_1", 1).failure
    assert failure is not None
    assert "limit of 1 s" in failure


@pytest.mark.parametrize(
    "written",
    ['{"accuracy": NaN}', '{"accuracy": "0.9"}', '{"accuracy": [1]}', "{}", "[]", "garbage", '{"accuracy": 1e999}'],
)
def test_invalid_results_are_a_failed_score(tmp_path: Path, written: str) -> None:
    evaluator = f"import sys, pathlib\npathlib.Path(sys.argv[2], 'results.json').write_text({written!r})\n"
    agents = {1: agent_with_accuracy(50)}
    final, _ = play(make_task(tmp_path / "task", agents, evaluator), settings(tmp_path, max_gen=1))
    assert final.status == "failed"
    failure = read_generation(tmp_path / "runs" / "run_1", 1).failure
    assert failure is not None
    assert failure.startswith("score: ")


def test_results_that_the_agent_wrote_are_never_used(tmp_path: Path) -> None:
    cheat = agent_with_accuracy(10) + (
        "\n(arguments.working_dir / 'results.json').write_text(json.dumps({'accuracy': 1.0}))\n"
    )
    evaluator = "print('wrote nothing')\n"
    final, _ = play(make_task(tmp_path / "task", {1: cheat}, evaluator), settings(tmp_path, max_gen=1))
    assert final.status == "failed"
    events = read_generation(tmp_path / "runs" / "run_1", 1).jail_events
    assert any("results.json" in event for event in events)


def test_stops_at_target_score(tmp_path: Path) -> None:
    final, _ = play(
        make_task(tmp_path / "task", {1: agent_with_accuracy(99)}), settings(tmp_path, max_gen=5, target_score=0.9)
    )
    assert final.generations == 1
    assert final.stopped_because == "score target 0.9 reached"


def test_stops_without_improvement(tmp_path: Path) -> None:
    final, _ = play(
        make_task(tmp_path / "task", {1: agent_with_accuracy(50)}), settings(tmp_path, max_gen=9, patience=2)
    )
    assert final.generations == 3
    assert final.stopped_because == "no new best in 2 generations"


def test_stops_at_time_limit_after_a_whole_generation(tmp_path: Path) -> None:
    final, _ = play(
        make_task(tmp_path / "task", {1: agent_with_accuracy(50)}), settings(tmp_path, max_gen=9, max_time="0.01s")
    )
    assert final.generations == 1


def test_authors_see_dev_scores_only(tmp_path: Path) -> None:
    play(make_task(tmp_path / "task", {1: agent_with_accuracy(50)}), settings(tmp_path, max_gen=2))
    prompt = (tmp_path / "runs" / "run_1" / "gen_2" / "feedback_agent_prompt.txt").read_text()
    record = json.loads((tmp_path / "runs" / "run_1" / "gen_1" / "generation.json").read_text())
    assert record["score"]["n"] < 100
    assert f"n={record['score']['n']}" in prompt
    assert "n=100" not in prompt


def test_ledger_tells_what_scores_and_verdicts_were_read_from(tmp_path: Path) -> None:
    play(make_task(tmp_path / "task", {1: agent_with_accuracy(50)}), settings(tmp_path, max_gen=2))
    lines, _, _ = read_ledger(tmp_path / "runs" / "run_1" / "ledger.jsonl")
    read = {(line.generation, line.record.stage): set(line.read) for line in lines}
    evaluator = str(tmp_path / "task" / "data" / "private" / "evaluate.py")
    assert read[1, "score"] == {evaluator, "gen_1/answers.json", "gen_1/agent_execution.json"}
    assert read[2, "decide"] == {"gen_1/results.json", "gen_2/results.json"}
