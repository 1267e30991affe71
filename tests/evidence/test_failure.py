"""Failures as authors read them: the evaluator's words, which may hold answers, reach none of their files."""

import json
from pathlib import Path

import pytest

from sia.evidence.failure import told_failure
from sia.loop import run_generations
from sia.settings import RunSettings
from sia.stages.workspace import make_brief, prepare_workspace
from sia.store.catalog import read_generation
from tests.support import EVALUATOR, agent_with_accuracy, make_session, make_task

TELLS = EVALUATOR.replace(
    "items = [", "for k, v in truth.items():\n    assert given[k] == v, f'question {k} wants {v}'\nitems = [", 1
)
SCORES_A_TEXT = EVALUATOR.replace('"accuracy": accuracy', '"accuracy": truth["0"]')


@pytest.mark.parametrize(
    ("evaluator", "told"),
    [
        (TELLS, "score: the evaluator ended with exit status 1"),
        (SCORES_A_TEXT, "score: the evaluator left a results.json that cannot be used"),
    ],
)
def test_words_of_the_evaluator_reach_no_author(tmp_path: Path, evaluator: str, told: str) -> None:
    task = make_task(tmp_path / "task", {1: agent_with_accuracy(0)}, evaluator)
    (task / "data" / "private" / "answers.json").write_text(json.dumps({str(k): f"secret-{k}" for k in range(100)}))
    session, record = make_session(task, RunSettings(max_gen=2, runs_dir=tmp_path / "runs"))
    try:
        run_generations(session, record, lambda _: None)
        prepare_workspace(session, make_brief(session), tmp_path / "workspace")
    finally:
        session.run.close()
    assert "secret-0" in str(read_generation(session.run.path, 2).failure)
    files = [p for p in (tmp_path / "workspace").rglob("*") if p.is_file()]
    texts = {p.name: p.read_text() for p in [*files, session.run.path / "context.md"]}
    assert told in texts["prompt.txt"]
    assert told in texts["brief.json"]
    assert told in texts["context.md"]
    assert not [name for name, text in texts.items() if "secret" in text]


def test_an_agent_that_tells_a_private_value_is_not_quoted(tmp_path: Path) -> None:
    agent = agent_with_accuracy(0) + "\nraise SystemExit('the answer is chrysanthemum-blue')\n"
    task = make_task(tmp_path / "task", {1: agent})
    (task / "data" / "private" / "answers.json").write_text(json.dumps({"0": "chrysanthemum-blue"}))
    session, record = make_session(task, RunSettings(max_gen=1, runs_dir=tmp_path / "runs"))
    try:
        run_generations(session, record, lambda _: None)
        brief = make_brief(session)
    finally:
        session.run.close()
    assert brief.history[0].failure == "run: the reason is left out: it holds a value of the private data"
    assert "chrysanthemum" not in brief.model_dump_json()


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        ("run: exit status 1: KeyError", "run: exit status 1: KeyError"),
        ("score: the evaluator was stopped by its time limit of 1 s", None),
        ("score: the evaluator ended with exit status -9: x", "score: the evaluator ended with exit status -9"),
        ("score: the evaluator wrote no results.json", None),
    ],
)
def test_what_sia_says_itself_stays(failure: str, told: str | None) -> None:
    assert told_failure(failure) == (told or failure)
    assert told_failure(told_failure(failure)) == (told or failure)
