"""Small real tasks and sessions for tests."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sia.author.program import AuthorProgram
from sia.events import Event
from sia.evidence.guard import LeakGuard
from sia.jail.process import ProcessJail
from sia.loop import run_generations
from sia.settings import RunSettings
from sia.stages.session import Session
from sia.store.progress import fold
from sia.store.records import RunRecord
from sia.store.run_directory import create_run, read_run_record, reopen_run
from sia.task.package import TaskPackage, load_task, task_digest

SCRIPTED = AuthorProgram("scripted", "tests.scripted_author")

EVALUATOR = """
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--gen-dir", type=pathlib.Path)
folder = parser.parse_args().gen_dir
truth = json.loads((pathlib.Path(__file__).parent / "answers.json").read_text())
given = json.loads((folder / "answers.json").read_text())
items = [{"id": k, "status": "CORRECT" if given.get(k) == v else "WRONG"} for k, v in truth.items()]
accuracy = sum(i["status"] == "CORRECT" for i in items) / len(items)
(folder / "results.json").write_text(json.dumps({"accuracy": accuracy, "items": items}))
"""


def agent_with_accuracy(right: int) -> str:
    """An agent that answers the first `right` of 100 questions well: the answer to question k is k modulo 7."""
    return f"""
import argparse, json, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--dataset_dir", type=pathlib.Path)
parser.add_argument("--working_dir", type=pathlib.Path)
arguments = parser.parse_args()
questions = json.loads((arguments.dataset_dir / "questions.json").read_text())
answers = {{q: int(q) % 7 if i < {right} else -1 for i, q in enumerate(questions)}}
(arguments.working_dir / "answers.json").write_text(json.dumps(answers))
(arguments.working_dir / "agent_execution.json").write_text(json.dumps({{"answered": len(answers)}}))
print("answered", len(answers))
"""


def make_task(root: Path, agents: Mapping[int, str | bytes], evaluator: str = EVALUATOR, seconds: float = 60) -> Path:
    """A task of 100 questions whose author leaves `agents`; an empty one means that it leaves nothing."""
    public, private = root / "data" / "public", root / "data" / "private"
    (public / "scripts").mkdir(parents=True)
    private.mkdir(parents=True)
    (root / "task.toml").write_text(f"[limits]\nseconds = {seconds}\n[metric]\nname = 'accuracy'\ndirection = 'max'\n")
    (public / "task.md").write_text("Answer every question.\n")
    (public / "questions.json").write_text(json.dumps([str(k) for k in range(100)]))
    (private / "answers.json").write_text(json.dumps({str(k): k % 7 for k in range(100)}))
    (private / "evaluate.py").write_text(evaluator)
    for number, agent in agents.items():
        path = public / "scripts" / f"gen_{number}.py"
        path.write_bytes(agent.encode() if isinstance(agent, str) else agent)
    return root


def describe_run(settings: RunSettings, task: TaskPackage | None = None) -> Callable[[str], RunRecord]:
    """What `run.json` says of a run with the scripted author, for each id that it may get."""
    return lambda run_id: RunRecord(
        run_id=run_id,
        status="running",
        task=task.name if task else "none",
        task_dir=str(task.root) if task else "",
        task_digest=task_digest(task) if task else "",
        backend="scripted",
        focus=settings.focus,
        parent=settings.parent,
        seed=settings.seed,
        sealed_fraction=settings.sealed_fraction,
        max_gen=settings.max_gen,
        versions={},
        jail="none",
        jail_gaps=(),
    )


def make_session(task_root: Path, settings: RunSettings) -> tuple[Session, RunRecord]:
    """A session with the scripted author, the plain jail and this interpreter; reopens with `resume`."""
    task = load_task(task_root)
    if settings.resume:
        assert settings.run_id
        run = reopen_run(settings.runs_dir, settings.run_id)
    else:
        run = create_run(settings.runs_dir, settings.run_id, describe_run(settings, task))
    session = Session(
        task=task,
        run=run,
        settings=settings,
        author=SCRIPTED,
        jail=ProcessJail(),
        guard=LeakGuard(task.private_dir, task.public_dir),
        python=Path(sys.executable),
        progress=fold(run.ledger.lines),
    )
    return session, read_run_record(run.path)


def play(task_root: Path, settings: RunSettings) -> tuple[RunRecord, list[Event]]:
    """Runs a whole run; returns its final record and its events."""
    session, record = make_session(task_root, settings)
    events: list[Event] = []
    try:
        return run_generations(session, record, events.append), events
    finally:
        session.run.close()


def fill(hog: Path) -> None:
    """Takes what is left of the disk that `hog` lies on."""
    with hog.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
