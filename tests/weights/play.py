"""A toy task that the toy model answers, and runs on it through the whole loop with the real model server."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from sia.author.program import AuthorProgram
from sia.events import Event
from sia.evidence.guard import LeakGuard
from sia.gateway.plan import plan_models
from sia.jail.process import ProcessJail
from sia.jail.protocol import Command, OnLine, Outcome
from sia.loop import run_generations
from sia.settings import RunSettings
from sia.stages.session import Session
from sia.stages.training import TRAINER
from sia.store.progress import fold
from sia.store.records import RunRecord
from sia.store.run_directory import create_run, read_run_record, reopen_run
from sia.task.package import load_task
from sia.weights.base import base_folder
from tests.support import EVALUATOR, describe_run
from tests.weights.toy import ANSWERS, WORDS, make_public

AUTHOR = AuthorProgram("scripted", "tests.weights.scripted_author")
REPEATS = 10

AGENT = '''
"""Asks the model which answer is likelier, item by item."""
import argparse, json, os, pathlib, urllib.request
parser = argparse.ArgumentParser()
parser.add_argument("--dataset_dir", type=pathlib.Path)
parser.add_argument("--working_dir", type=pathlib.Path)
arguments = parser.parse_args()
items = json.loads((arguments.dataset_dir / "items.json").read_text())
known, answers = {}, {}
for item, word in items.items():
    if word not in known:
        body = {"model": os.environ["SIA_TASK_MODEL"], "prompt": f"{word} is it :", "continuations": ["yes", "no"]}
        request = urllib.request.Request(
            os.environ["OPENAI_BASE_URL"] + "/score",
            json.dumps(body).encode(),
            {"content-type": "application/json", "authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
        )
        scores = [s["logprob"] for s in json.load(urllib.request.urlopen(request, timeout=60))["scores"]]
        known[word] = ["yes", "no"][scores.index(max(scores))]
    answers[item] = known[word]
(arguments.working_dir / "answers.json").write_text(json.dumps(answers))
(arguments.working_dir / "agent_execution.json").write_text(json.dumps(known))
'''


class SpyJail(ProcessJail):
    """The plain jail; remembers every command, and what lay before a trainer's eyes when it started."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = []
        self.shown: dict[Path, bytes] = {}

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """Runs it."""
        self.commands.append(command)
        if TRAINER in command.argv:
            folders = [m.path for m in command.mounts if not Path(sys.prefix).is_relative_to(m.path)]
            files = [file for folder in folders for file in [folder, *folder.rglob("*")] if file.is_file()]
            self.shown |= {file: file.read_bytes() for file in files if not file.is_relative_to(sys.prefix)}
        return super().run(command, on_line)


def make_toy_task(root: Path, scripts: Mapping[int, Mapping[str, str]], canary: str = "") -> Path:
    """Sixty items, each a word; the label of a word is the toy's. `scripts` are the files of each generation."""
    public, private = make_public(root / "data" / "public"), root / "data" / "private"
    private.mkdir(parents=True)
    items = {str(i): WORDS[i % len(WORDS)] for i in range(REPEATS * len(WORDS))}
    truth = {i: ANSWERS[WORDS.index(word) >= len(WORDS) // 2] for i, word in items.items()}
    (root / "task.toml").write_text(
        "[limits]\nseconds = 120\n[metric]\nname = 'accuracy'\ndirection = 'max'\n[agent]\nanswers = 'model'\n"
    )
    (public / "task.md").write_text("Say of each word whether it is one: yes or no.\n")
    (public / "items.json").write_text(json.dumps(items))
    (private / "answers.json").write_text(json.dumps(truth))
    (private / "evaluate.py").write_text(EVALUATOR + (f"\n# {canary}\n" if canary else ""))
    if canary:
        (private / "notes.txt").write_text(f"{canary}\n")
    for number, files in scripts.items():
        folder = public / "scripts" / f"gen_{number}"
        folder.mkdir(parents=True)
        for name, text in files.items():
            (folder / name).write_text(text)
    return root


def decision(lever: str, plan: Mapping[str, object] | None = None, reason: str = "to see") -> str:
    """A `decision.json`."""
    return json.dumps({"lever": lever, "reason": reason} | ({"training": plan} if plan is not None else {}))


def make_settings(tmp_path: Path, base: Path, **more: object) -> RunSettings:
    """Settings of a run on the toy model."""
    given = {"runs_dir": tmp_path / "runs", "run_id": "1", "backend": "offline", "focus": "auto"}
    return RunSettings.model_validate(given | {"task_model": f"local/{base}", "sealed_fraction": 0.0} | more)


def make_toy_session(
    task_root: Path, settings: RunSettings, author: AuthorProgram = AUTHOR
) -> tuple[Session, RunRecord, SpyJail]:
    """A session with the scripted author or another, the real gateway and model server; reopens with `resume`."""
    task, jail = load_task(task_root), SpyJail()
    assert settings.run_id
    if settings.resume:
        run = reopen_run(settings.runs_dir, settings.run_id)
    else:
        run = create_run(settings.runs_dir, settings.run_id, describe_run(settings, task))
    plan = plan_models(settings, False, task.manifest, lambda line: None)
    assert plan is not None
    session = Session(
        task=task,
        run=run,
        settings=settings,
        author=author,
        jail=jail,
        guard=LeakGuard(task.private_dir, task.public_dir),
        python=Path(sys.executable),
        progress=fold(run.ledger.lines),
        gateway=plan.open(run.path),
        base=base_folder(settings),
    )
    return session, read_run_record(run.path), jail


def play_toy(
    task_root: Path, settings: RunSettings, author: AuthorProgram = AUTHOR
) -> tuple[RunRecord, list[Event], SpyJail]:
    """Runs a whole run; its final record, its events, and the jail with all commands."""
    session, record, jail = make_toy_session(task_root, settings, author)
    events: list[Event] = []
    try:
        return run_generations(session, record, events.append), events, jail
    finally:
        session.close()


def main() -> None:
    """`python -m tests.weights.play TASK RUNS BASE MAX_GEN [resume]`: a run in a process that can be killed."""
    task, runs, base, count = sys.argv[1:5]
    more = {"resume": True} if sys.argv[5:] == ["resume"] else {}
    settings = make_settings(Path(runs).parent, Path(base), max_gen=int(count), **more)
    session, record, _ = make_toy_session(Path(task), settings)
    try:
        run_generations(session, record, lambda event: print(event.model_dump_json(), flush=True))
    finally:
        session.close()


if __name__ == "__main__":
    main()
