"""Runs and scores an agent that belongs to no generation, and was fed back to no author."""

from pathlib import Path

from sia.gateway.access import Access
from sia.jail.protocol import OnLine
from sia.score.model import ScoreFailure
from sia.stages.evaluation import evaluate
from sia.stages.session import Session
from sia.stages.target import RESERVED, agent_command, failure_of
from sia.store.outputs import collect_outputs
from sia.store.run_directory import AGENT_LOG, EVALUATION_LOG, RESULTS_FILE, remove


def score_beside(
    session: Session, agent: Path, python: Path, access: Access, staging: Path, folder: Path, on_line: OnLine
) -> str | None:
    """Leaves outputs, logs and results in `folder`, whole or not at all; why it could not be scored, if so."""
    work, outputs = staging / "work", staging / folder.name
    work.mkdir()
    outputs.mkdir()
    outcome = session.jail.run(agent_command(session, agent, python, work, staging / AGENT_LOG, access), on_line)
    if failure := failure_of(outcome):
        return failure
    collect_outputs(work, outputs, RESERVED)
    evaluation = evaluate(session, outputs, staging, on_line)
    if isinstance(evaluation.measured, ScoreFailure):
        return evaluation.measured.reason
    for file in (staging / AGENT_LOG, staging / EVALUATION_LOG, staging / RESULTS_FILE):
        file.replace(outputs / file.name)
    folder.parent.mkdir(exist_ok=True)
    remove(folder)
    outputs.rename(folder)
    return None
