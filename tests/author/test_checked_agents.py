"""What an author leaves is checked: it may repair it once, and an agent that stays broken ends a generation only."""

import json
from pathlib import Path

import pytest

from sia.author.transcript import read_transcript
from sia.store.catalog import generations_of, read_generation
from sia.store.ledger import read_ledger
from sia.store.records import Authored
from tests.author.runs import finish, stage_lines, start
from tests.scripted_model import Conversation, Failure, Policy, Reply, serve
from tests.scripted_model.tools import Tools
from tests.support import agent_with_accuracy, make_task

pytestmark = [pytest.mark.slow, pytest.mark.claude]
GOOD = agent_with_accuracy(60)
BROKEN = {
    "does not parse": "def f(:\n",
    "does not take --working_dir": "print('--dataset_dir')\n",
    "imports no_such_package": f"{GOOD}\nimport no_such_package\n",
    "ended with exit status 3": f"{GOOD}\nprint('what the log says')\nimport sys; sys.exit(3)\n",
}


ASKING = (
    GOOD
    + """
import os, urllib.request
request = urllib.request.Request(
    os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages",
    json.dumps({
        "model": os.environ["SIA_TASK_MODEL"],
        "max_tokens": 300_000,
        "messages": [{"role": "user", "content": "What is it?"}],
    }).encode(),
    {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "content-type": "application/json"},
)
print("it is", json.load(urllib.request.urlopen(request))["content"][0]["text"])
"""
)


def writing(first: str, repaired: str | None) -> Policy:
    """Writes `first`, and when it is told what is wrong `repaired`, or nothing at all."""

    def policy(conversation: Conversation) -> Reply:
        if not conversation.tools:
            return Reply("A title")
        tools = Tools.of(conversation)
        told = conversation.said("cannot be used yet")
        if conversation.calls == 0:
            return Reply("", (tools.run("pwd"),))
        first_result = next(t.text for t in conversation.turns if t.role == "tool")
        folder = next(line for line in first_result.splitlines() if line.endswith("/workspace"))
        if conversation.calls == 1:
            return Reply("", (tools.write(f"{folder}/target_agent.py", first),))
        if told and repaired is not None and conversation.calls == 2:
            return Reply("", (tools.run(f"cat > {folder}/target_agent.py <<'END'\n{repaired}\nEND"),))
        return Reply("It is written.")

    return policy


def authored(run: Path, generation: int) -> Authored:
    lines, _, _ = read_ledger(run / "ledger.jsonl")
    (record,) = (x.record for x in lines if x.generation == generation and isinstance(x.record, Authored))
    return record


@pytest.mark.parametrize("words", BROKEN)
def test_author_is_told_once_and_repairs(tmp_path: Path, words: str) -> None:
    task = make_task(tmp_path / "task", {})
    with serve(writing(BROKEN[words], GOOD)) as model:
        finish(start(tmp_path, model, "claude", "--task-dir", str(task), "--max-gen", "1"))
        heard = "\n".join(turn.text for turn in model.asked[-1].turns)
    assert words in heard
    assert ("what the log says" in heard) == ("exit status" in words)
    run = tmp_path / "runs" / "run_1"
    assert authored(run, 1).starts == 2
    assert read_generation(run, 1).status == "scored"
    kinds = [e.kind for e in read_transcript((run / "gen_1" / "author_transcript.jsonl").read_text())]
    assert kinds.count("prompt") == kinds.count("end") == 2


def test_agent_that_stays_broken_ends_its_generation_only(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {})
    good, bad = writing(GOOD, None), writing(BROKEN["does not parse"], None)
    with serve(lambda c: (bad if c.said("Generation 2 of 3") else good)(c)) as model:
        finish(start(tmp_path, model, "claude", "--task-dir", str(task), "--max-gen", "3"))
    run = tmp_path / "runs" / "run_1"
    assert [r.status for r in generations_of(run)] == ["scored", "failed", "scored"]
    assert authored(run, 2).starts == 2
    assert "author: target_agent.py: it does not parse: line 1" in (read_generation(run, 2).failure or "")
    assert read_generation(run, 3).parent == 1
    assert "does not parse" in (run / "gen_3" / "feedback_agent_prompt.txt").read_text()


def test_provider_that_fails_for_one_generation_does_not_end_the_run(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {})
    good = writing(GOOD, None)
    with serve(lambda c: Failure("status", 400) if c.said("Generation 2 of 3") else good(c)) as model:
        finish(start(tmp_path, model, "claude", "--task-dir", str(task), "--max-gen", "3"))
    run = tmp_path / "runs" / "run_1"
    assert [r.status for r in generations_of(run)] == ["scored", "failed", "scored"]
    failure = read_generation(run, 2).failure or ""
    assert "the model failed" in failure
    assert "400" in failure
    assert authored(run, 2).starts == 1


def test_what_an_author_left_before_its_turns_ran_out_is_used(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {})
    with serve(writing(GOOD, None)) as model:
        output = finish(start(tmp_path, model, "claude", "--task-dir", str(task), "--max-gen", "1", "--max-turns", "2"))
    record = read_generation(tmp_path / "runs" / "run_1", 1)
    assert record.status == "scored"
    assert any("limit of 2 turns reached" in event for event in record.jail_events)
    assert "trial: answered 100" in stage_lines(output, 1, "author")


def test_trial_has_a_small_budget_of_its_own_and_an_agent_that_hits_it_is_not_blamed(tmp_path: Path) -> None:
    task = make_task(tmp_path / "task", {})
    author = writing(ASKING, None)
    with serve(lambda c: author(c) if c.tools else Reply("a title")) as model:
        finish(start(tmp_path, model, "claude", "--task-dir", str(task), "--max-gen", "1"))
    run = tmp_path / "runs" / "run_1"
    assert authored(run, 1).starts == 1
    assert "it is a title" in (run / "gen_1" / "target_agent_stdout.log").read_text()
    calls = [json.loads(line) for line in (run / "gen_1" / "trace.jsonl").read_text().splitlines()]
    assert [(call["role"], call["status"]) for call in calls if call["role"] != "author"] == [
        ("trial", 402),
        ("target", 200),
    ]
