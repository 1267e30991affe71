"""Looks at what an author left before a generation is spent on it: parses, imports, and a start on the real data."""

import json
from pathlib import Path

from sia.author.agent_file import imported_packages, source_problem
from sia.author.brief import AGENT_FILE, REQUIREMENTS_FILE
from sia.evidence.digest import digest_log
from sia.gateway.budget import Cap
from sia.jail.program import program_environment, python_mounts
from sia.jail.protocol import Command, Limits, Mount, OnLine, Outcome
from sia.plainfile import read_text
from sia.stages.session import Session, model_access, raise_if_cap_reached
from sia.stages.target import agent_command, agent_python

TRIAL_SECONDS = 15.0
TRIAL_CAP = Cap.of(cost=0.20, tokens=200_000)
IMPORT_SECONDS = 60.0
LOG_CHARS = 3_000
_FIND = """
import importlib.util, json, sys
print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))
"""


def agent_problem(session: Session, folder: Path, on_line: OnLine) -> str | None:
    """Why the agent in `folder` cannot be used, in words for its author; None when it can.

    A trial that is still busy when its time or its money is up has passed: it was a start on a tiny budget, not a run.
    """
    source = read_text(folder / AGENT_FILE)
    if problem := source_problem(source):
        return f"{AGENT_FILE}: {problem}"
    try:
        python = agent_python(session, folder, on_line)
    except ValueError as error:
        return str(error)
    missing = _missing(session, python, imported_packages(source), folder)
    if missing:
        return (
            f"{AGENT_FILE} imports {', '.join(missing)}, which its environment does not hold: do without, or name the "
            f"package in {REQUIREMENTS_FILE}"
        )
    return _trial_problem(session, python, folder, on_line)


def _missing(session: Session, python: Path, names: tuple[str, ...], folder: Path) -> list[str]:
    """Those of `names` that the environment of `python` does not hold."""
    log = folder / "imports.log"
    empty = folder / "imports"
    empty.mkdir(exist_ok=True)
    outcome = session.jail.run(
        Command(
            argv=(str(python), "-c", _FIND, *names),
            cwd=empty,
            log=log,
            limits=Limits(seconds=IMPORT_SECONDS),
            mounts=(Mount(empty, writable=True), *python_mounts(python)),
            protected=(session.task.private_dir,),
            environment=program_environment(empty, python),
        )
    )
    if not outcome.succeeded:
        return []
    return [str(name) for name in json.loads(log.read_text(encoding="utf-8"))]


def _trial_problem(session: Session, python: Path, folder: Path, on_line: OnLine) -> str | None:
    work, log = folder / "trial", folder / "trial.log"
    work.mkdir(exist_ok=True)
    with model_access(session, "trial", TRIAL_CAP) as access:
        command = agent_command(session, folder / AGENT_FILE, python, work, log, access, TRIAL_SECONDS)
        outcome = session.jail.run(command, lambda line: on_line(f"trial: {line}"))
    raise_if_cap_reached(access)
    if access.own_cap or outcome.succeeded or (outcome.stopped_by and outcome.stopped_by.startswith("wall-clock")):
        return None
    return f"{AGENT_FILE} {_ending(outcome)} when it was started on the real data. Its output:\n\n" + digest_log(
        log, LOG_CHARS
    )


def _ending(outcome: Outcome) -> str:
    if outcome.stopped_by:
        return f"was stopped by its {outcome.stopped_by}"
    return f"ended with exit status {outcome.exit_status}"
