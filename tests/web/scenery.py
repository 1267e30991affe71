"""Run folders as real runs leave them, for the tests and benchmarks of what shows them."""

import hashlib
import json
import random
import shutil
from pathlib import Path

from sia.gateway.bodies import BODIES, Bodies
from sia.settings import RunSettings
from sia.store.ledger import read_ledger
from sia.store.records import Authored, Decided, Scored, StageRecord
from tests.support import agent_with_accuracy, make_task, play

GROUPED_EVALUATOR = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
truth = json.loads((pathlib.Path(__file__).parent / "answers.json").read_text())
given = json.loads((folder / "answers.json").read_text())
items = [
    {
        "id": k,
        "status": "CORRECT" if given.get(k) == v else "WRONG",
        "group": ("algebra", "geometry", "logic")[int(k) % 3],
        "input": f"What is {k} modulo 7?",
        "output": str(given.get(k)),
    }
    for k, v in truth.items()
]
accuracy = sum(i["status"] == "CORRECT" for i in items) / len(items)
print("measured", len(items), "items")
(folder / "results.json").write_text(json.dumps({"accuracy": accuracy, "items": items}))
"""
LOSS_EVALUATOR = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
given = json.loads((folder / "answers.json").read_text())
items = [{"id": k, "score": 0.2 + (v < 0) + int(k) % 5 / 10} for k, v in given.items()]
loss = sum(i["score"] for i in items) / len(items)
(folder / "results.json").write_text(json.dumps({"mae": loss, "items": items}))
"""
TRACE_MODELS = ("anthropic/claude-haiku-4-5", "local/smollm2-135m")


def talking_agent(right: int, print_lines: int = 1) -> str:
    """An agent that also leaves a conversation for each of its first questions, and prints."""
    return (
        agent_with_accuracy(right)
        + f"""
(arguments.working_dir / "agent_execution").mkdir()
for q in range(12):
    turns = [
        {{"role": "system", "content": "Answer with a number."}},
        {{"role": "user", "content": f"What is {{q}} modulo 7?"}},
        {{"role": "assistant", "content": [{{"type": "text", "text": str(q % 7)}}]}},
    ]
    (arguments.working_dir / "agent_execution" / f"execution_q{{q}}.json").write_text(json.dumps(turns))
for k in range({print_lines}):
    print("line", k, "of the agent")
"""
    )


def play_run(folder: Path, run_id: str, rights: list[int], evaluator: str = GROUPED_EVALUATOR, **more: object) -> Path:
    """A finished run whose generations answer so many of 100 questions; 0 crashes. Returns its directory."""
    agents: dict[int, str | bytes] = {
        number: talking_agent(right) if right else "raise SystemExit('it broke')"
        for number, right in enumerate(rights, 1)
    }
    root = folder / "tasks" / run_id
    make_task(root, agents, evaluator)
    if evaluator is LOSS_EVALUATOR:
        (root / "task.toml").write_text("[metric]\nname = 'mae'\ndirection = 'min'\n")
    settings = {"runs_dir": folder / "runs", "run_id": run_id, "backend": "offline", "max_gen": len(rights), **more}
    play(root, RunSettings.model_validate(settings))
    return folder / "runs" / f"run_{run_id}"


def add_trace(run: Path, number: int, calls: int = 40) -> None:
    """A `trace.jsonl` as the gateway writes it, with what the first call asked and got."""
    bodies = Bodies(run / BODIES)
    question = bodies.keep(b'{"messages": [{"role": "user", "content": "<b>Which agent?</b>"}]}')
    answer = bodies.keep(b'{"content": "This one."}')
    rng = random.Random(number)
    lines = []
    for k in range(1, calls + 1):
        author = k <= 5
        line = {
            "id": k,
            "time": f"2026-11-25T00:{k // 60:02}:{k % 60:02}Z",
            "generation": number,
            "role": "author" if author else "target",
            "attempt": 1,
            "provider": "anthropic" if author else "local",
            "model": TRACE_MODELS[0 if author else 1],
            "endpoint": "/v1/messages",
            "parameters": {"max_tokens": 1024, "temperature": 0.2},
            "key": f"{k:064x}",
            "request": question if k == 1 else f"{k:064x}",
            "answer": answer if k == 1 else f"{k + 1:064x}",
            "status": 529 if k == 9 else 200,
            "input_tokens": rng.randrange(200, 9000),
            "cached_tokens": rng.randrange(0, 200),
            "output_tokens": rng.randrange(5, 900),
            "cost": rng.random() / 100 if author else 0.0,
            "seconds": rng.random() * 8,
            "first_byte_seconds": rng.random(),
            "retries": 2 if k == 9 else 0,
            "source": "upstream",
            "error": "overloaded_error: try again later" if k == 9 else None,
        }
        lines.append(json.dumps(line))
    (run / f"gen_{number}" / "trace.jsonl").write_text("\n".join(lines) + "\n")


def add_training(run: Path, number: int) -> None:
    """An adapter's plan and log."""
    folder = run / f"gen_{number}" / "adapter"
    folder.mkdir()
    (folder / "training.json").write_text(json.dumps({"algorithm": "grpo", "lora": {"rank": 16}, "steps": 60}))
    rows = [{"step": k, "loss": 2 / (1 + k / 10), "reward": 1 - 1 / (1 + k / 20), "kl": k / 500} for k in range(60)]
    (folder / "training.log").write_text("loading the model\n" + "\n".join(json.dumps(row) for row in rows) + "\n")


def grow_run(run: Path, generations: int) -> None:
    """Makes a run of a few generations as long as asked for: its stages again and again, each on an earlier one."""
    lines, _, previous = read_ledger(run / "ledger.jsonl")
    rounds = lines[-1].generation
    stages = {number: [line for line in lines if line.generation == number] for number in range(1, rounds + 1)}
    rng = random.Random(0)
    best = 1
    with (run / "ledger.jsonl").open("ab") as ledger:
        for number in range(rounds + 1, generations + 1):
            origin = 2 + number % (rounds - 1)
            best = number if number % 40 == 0 else best
            for line in stages[origin]:
                grown = line.model_copy(
                    update={
                        "generation": number,
                        "record": _grown(line.record, number, best, rng),
                        "wrote": {
                            name.replace(f"gen_{origin}/", f"gen_{number}/"): d for name, d in line.wrote.items()
                        },
                        "previous": previous,
                    }
                )
                raw = grown.model_dump_json().encode() + b"\n"
                previous = hashlib.sha256(raw).hexdigest()
                ledger.write(raw)
            folder = run / f"gen_{number}"
            shutil.copytree(run / f"gen_{origin}", folder, ignore=shutil.ignore_patterns("agent_execution"))
            text = (run / f"gen_{origin}" / "generation.json").read_text()
            (folder / "generation.json").write_text(
                text.replace(f'"generation": {origin},', f'"generation": {number},', 1)
            )
    content = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(
        json.dumps(content | {"generations": generations, "max_gen": generations, "best": best})
    )


def _grown(record: StageRecord, number: int, best: int, rng: random.Random) -> StageRecord:
    if isinstance(record, Authored):
        return record.model_copy(update={"parent": max(1, number - rng.randrange(1, 6))})
    if isinstance(record, Scored) and record.dev is not None and record.dev.interval is not None:
        shift = min(0.3, number / 3000) + rng.gauss(0, 0.01)
        interval = record.dev.interval
        moved = interval.model_copy(update={"low": interval.low - 0.2 + shift, "high": interval.high - 0.2 + shift})
        return record.model_copy(
            update={"dev": record.dev.model_copy(update={"value": record.dev.value - 0.2 + shift, "interval": moved})}
        )
    return record.model_copy(update={"best": best}) if isinstance(record, Decided) else record


def copy_run(run: Path, run_id: str) -> Path:
    """Another run with the same content."""
    copy = run.parent / f"run_{run_id}"
    shutil.copytree(run, copy, symlinks=True)
    content = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps(content | {"run_id": run_id}))
    return copy


def unfinish(run: Path) -> None:
    """Makes a finished run look as it did before its end."""
    content = json.loads((run / "run.json").read_text())
    content |= {"status": "running", "stopped_because": None, "first_scored": None, "best_scores": None}
    (run / "run.json").write_text(json.dumps(content | {"sealed_verdict": None}))
