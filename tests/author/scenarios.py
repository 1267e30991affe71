"""What both authors that are language models have to go through, with their real software."""

import time
from pathlib import Path

import psutil

from sia.store.catalog import generations_of, read_generation
from sia.store.ledger import read_ledger
from sia.store.run_directory import read_run_record
from tests.author.runs import KEY, agents, dev_scores, finish, kill_in, stage_lines, start
from tests.scripted_model import serve
from tests.scripted_model.cheat import cheating
from tests.scripted_model.titanic import write_agents
from tests.support import agent_with_accuracy, make_task

TITANIC = ("--task", "spaceship-titanic", "--max-gen", "3")
KILLS = ((1, "author"), (2, "run"), (2, "score"), (3, "author"), (3, "decide"))


def improve_and_survive_kills(backend: str, folder: Path) -> str:
    """Three generations on spaceship-titanic, and the same killed in every stage; returns what the first said."""
    runs = folder / "runs"
    with serve(write_agents) as model:
        output = finish(start(folder, model, backend, *TITANIC, "--run-id", "calm"))
        for kill in KILLS:
            going_on = ("--resume", "--run-id", "killed") if (runs / "run_killed").exists() else ("--run-id", "killed")
            kill_in(start(folder, model, backend, *TITANIC, *going_on), *kill)
        finish(start(folder, model, backend, "--resume", "--run-id", "killed"))
        assert model.keys == {KEY}
    calm, killed = runs / "run_calm", runs / "run_killed"
    poor, better, best = dev_scores(calm)
    assert poor < 0.6 < better < 0.75 < best
    assert [r.verdict.outcome for r in generations_of(calm)] == ["first", "improved", "improved"]
    assert read_run_record(calm).best == 3
    assert agents(killed) == agents(calm)
    assert dev_scores(killed) == dev_scores(calm)
    lines, _, _ = read_ledger(killed / "ledger.jsonl")
    stages = ("author", "run", "score", "decide")
    assert [(line.generation, line.record.stage) for line in lines] == [(n, s) for n in (1, 2, 3) for s in stages]
    for number in (1, 2, 3):
        folder = calm / f"gen_{number}"
        assert (folder / "author_transcript.jsonl").read_text().count('"kind":"call"') >= 3
        assert read_generation(calm, number).tokens > 0
        assert any("target_agent.py" in line for line in stage_lines(output, number, "author"))
    assert "scored 0.4" in (calm / "gen_2" / "improvement.md").read_text()
    return output


def cheat_in_vain(backend: str, folder: Path) -> None:
    """Everything that a cheating author tries fails and is recorded, and the run goes on."""
    task = make_task(folder / "task", {})
    secret = task / "data" / "private" / "secret.txt"
    secret.write_text("the canary in the private data\n")
    outside, marker = folder / "outside" / "file.txt", f"sleep 98765.{backend == 'claude':d}"
    outside.parent.mkdir()
    with serve(lambda _: policy(_)) as model:
        policy = cheating(secret, outside, marker, model.url, agent_with_accuracy(60))
        finish(start(folder, model, backend, "--task-dir", str(task), "--max-gen", "2", "--run-id", "1"))
        heard = "\n".join(turn.text for conversation in model.asked for turn in conversation.turns)
        assert {conversation.model for conversation in model.asked} == {model.asked[0].model}
    assert "canary in the private" not in heard
    assert KEY not in heard
    assert "REACHED" not in heard
    assert "refused 403" in heard
    assert "no way" in heard
    assert not outside.exists()
    deadline = time.monotonic() + 5
    while sleeping(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not sleeping(marker)
    records = generations_of(folder / "runs" / "run_1")
    assert [r.status for r in records] == ["scored", "scored"]
    events = "\n".join(records[0].jail_events)
    for attempt in ("private data", "outside its reach", "at the environment", "in the background", "gateway: model"):
        assert attempt in events, (attempt, events)


def sleeping(command: str) -> bool:
    """Whether a process with this command line lives."""
    found = (p.info["cmdline"] or () for p in psutil.process_iter(["cmdline"]))
    return any(" ".join(words) == command for words in found)
