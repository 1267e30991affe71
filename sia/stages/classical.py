"""The classical figure: what an agent without a language model scores where only the model's answers count.

It is measured once, at the end of such a run, on the same items, and stands beside the run's figures.
"""

import ast
import shutil
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import Requirement

from sia.author.brief import AGENT_FILE, BRIEF_FILE
from sia.author.program import AuthorProgram
from sia.environment import agent_environment
from sia.errors import HostError
from sia.gateway.access import Access
from sia.jail.program import program_environment
from sia.jail.protocol import Command, Mount, OnLine
from sia.score.model import ScoreFailure
from sia.stages.beside import score_beside
from sia.stages.limits import limits_of
from sia.stages.measured import measure_results
from sia.stages.session import Session, own_mounts
from sia.stages.workspace import make_brief
from sia.store.records import Classical
from sia.store.run_directory import AUTHOR_LOG, RESULTS_FILE
from sia.task.manifest import LimitsTable

CLASSICAL_DIR = "classical"
PACKAGES = ("pandas>=2.2", "scikit-learn>=1.5")
WRITER = AuthorProgram("classical", "sia.author.offline.classical")


def measure_classical(session: Session, on_progress: Callable[[str], None]) -> Classical | None:
    """The figure; None where any answer counts, nothing was scored, or no classical agent is known for the task."""
    if session.task.manifest.agent.answers == "any" or session.progress.best is None:
        return None
    folder = session.run.path / CLASSICAL_DIR
    if not (folder / RESULTS_FILE).is_file():
        on_progress("the classical figure: an agent without a language model, on the same items")
        with session.run.staging(0, "classical") as staging:
            workspace = staging / "workspace"
            agent = _write(session, staging, workspace, on_progress)
            if agent is None:
                return None
            shutil.copyfile(agent, staging / AGENT_FILE)
            failure = _score(session, agent, staging, folder, on_progress)
            if failure:
                return Classical(how=_how(staging / AGENT_FILE), score=None, failure=failure)
            shutil.copyfile(staging / AGENT_FILE, folder / AGENT_FILE)
    measured = measure_results(session, folder / RESULTS_FILE)
    if isinstance(measured, ScoreFailure):
        return Classical(how=_how(folder / AGENT_FILE), score=None, failure=measured.reason)
    return Classical(how=_how(folder / AGENT_FILE), score=measured.all)


def _score(session: Session, agent: Path, staging: Path, folder: Path, on_line: OnLine) -> str | None:
    """Why it could not be scored, if so. A task whose answers are a model's may lack the packages."""
    packages = session.task.manifest.agent.packages
    named = {Requirement(package).name.lower() for package in packages}
    missing = [package for package in PACKAGES if Requirement(package).name not in named]
    try:
        python = agent_environment((*packages, *missing), on_line) if missing else session.python
    except HostError as error:
        return error.problem
    return score_beside(session, agent, python, Access(), staging, folder, on_line)


def _write(session: Session, staging: Path, workspace: Path, on_line: OnLine) -> Path | None:
    """The agent's file; None when none is known for the kind of task."""
    workspace.mkdir(parents=True)
    (workspace / BRIEF_FILE).write_text(make_brief(session).model_dump_json(), encoding="utf-8")
    command = Command(
        argv=WRITER.argv(workspace),
        cwd=workspace,
        log=staging / AUTHOR_LOG,
        limits=limits_of(session.settings, LimitsTable(), WRITER.seconds),
        mounts=(
            Mount(workspace, writable=True),
            Mount(session.task.public_dir),
            *own_mounts(WRITER.python),
        ),
        protected=(session.task.private_dir,),
        environment=program_environment(workspace, WRITER.python),
    )
    outcome = session.jail.run(command, on_line)
    file = workspace / AGENT_FILE
    return file if outcome.succeeded and file.is_file() and not file.is_symlink() else None


def _how(agent: Path) -> str:
    """The first line of the agent's own description."""
    return (ast.get_docstring(ast.parse(agent.read_text(encoding="utf-8"))) or "").partition("\n")[0]
