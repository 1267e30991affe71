"""The author stage: a workspace with a brief goes in, the next target agent comes out."""

import shutil
from pathlib import Path

from sia.author import brief as contract
from sia.author.brief import Brief, PastGeneration, TaskBrief
from sia.author.prompts import render_prompt
from sia.evidence.context import render_context
from sia.evidence.latest import render_evidence
from sia.jail.protocol import Command, Mount, OnLine
from sia.plainfile import read_text
from sia.stages.limits import limits_of
from sia.stages.measured import measured_again
from sia.stages.session import (
    Session,
    model_access,
    own_environment,
    own_mounts,
    raise_if_cap_reached,
    raise_if_disk_full,
)
from sia.store.records import Authored, GenerationRecord
from sia.store.run_directory import AUTHOR_LOG

HISTORY_LENGTH = 12
META_PROMPT = "meta_agent_prompt.txt"
FEEDBACK_PROMPT = "feedback_agent_prompt.txt"
HANDED_ON = (
    contract.AGENT_FILE,
    contract.REQUIREMENTS_FILE,
    contract.IMPROVEMENT_FILE,
    contract.DECISION_FILE,
    contract.STATE_FILE,
)
"""What an author leaves, and what a later author sees of a generation beside its execution record."""


def author_stage(session: Session, on_line: OnLine) -> None:
    """Runs the author and records what it wrote."""
    number = session.progress.open.number
    brief = make_brief(session)
    with session.run.staging(number, "author") as staging:
        workspace = staging / "workspace"
        prompt = prepare_workspace(session, brief, workspace)
        log = staging / AUTHOR_LOG
        with model_access(session, "author") as access:
            outcome = session.jail.run(
                Command(
                    argv=session.author.argv(workspace),
                    cwd=workspace,
                    log=log,
                    limits=limits_of(session.settings, session.task.manifest.limits, session.author.seconds),
                    mounts=(
                        Mount(workspace, writable=True),
                        Mount(session.task.public_dir),
                        *((Mount(session.task.reference_dir),) if session.task.reference_dir else ()),
                        *own_mounts(),
                    ),
                    environment=own_environment(workspace) | dict(access.variables),
                    on_listener=access.on_listener,
                    stopped=access.stopped,
                    protected=(session.task.private_dir,),
                ),
                on_line,
            )
        raise_if_cap_reached(access)
        failure = None
        if not outcome.succeeded:
            failure = outcome.stopped_by or f"exit status {outcome.exit_status}: {outcome.last_line}"
            raise_if_disk_full(session, failure)
        files = [log, staging / (META_PROMPT if brief.parent is None else FEEDBACK_PROMPT)]
        files[1].write_text(prompt, encoding="utf-8")
        left, problem = take_files(workspace, staging)
        record = Authored(
            author=session.author.name,
            parent=brief.parent,
            seconds=outcome.seconds,
            events=(*outcome.events, *access.events),
            spending=access.spending,
            failure=failure or problem,
        )
        session.progress.add(session.run.commit(number, record, files + left))


def make_brief(session: Session) -> Brief:
    """The brief of the open generation."""
    progress, task, settings = session.progress, session.task, session.settings
    return Brief(
        generation=progress.open.number,
        max_generations=settings.max_gen,
        seed=settings.seed,
        focus=settings.focus,
        task=TaskBrief(
            name=task.name,
            kind=task.manifest.task.kind,
            public_dir=task.public_dir,
            reference_dir=task.reference_dir,
            metric=task.manifest.metric.name,
            direction=task.manifest.metric.direction,
            seconds=task.manifest.limits.seconds,
            packages=tuple(task.manifest.agent.packages),
            answers=task.manifest.agent.answers,
        ),
        parent=parent_of_next(session),
        history=tuple(_past(record) for record in _recent_and_best(session)),
    )


def parent_of_next(session: Session) -> int | None:
    """The generation to build on: the best, or with `--parent latest` the latest that was scored."""
    progress = session.progress
    if session.settings.parent == "latest":
        return max(progress.scored, default=None)
    return progress.best


def prepare_workspace(session: Session, brief: Brief, workspace: Path) -> str:
    """Fills the workspace; returns the prompt."""
    workspace.mkdir()
    generations = session.progress.generations
    context = render_context(session.task.name, generations, session.progress.best)
    evidence = _evidence(session) if generations else ""
    prompt = render_prompt(brief, session.task.description, context, evidence)
    (workspace / contract.BRIEF_FILE).write_text(brief.model_dump_json(indent=2), encoding="utf-8")
    (workspace / contract.PROMPT_FILE).write_text(prompt, encoding="utf-8")
    (workspace / contract.CONTEXT_FILE).write_text(context, encoding="utf-8")
    (workspace / contract.EVIDENCE_FILE).write_text(evidence, encoding="utf-8")
    if brief.parent is not None:
        _show_generation(session, brief.parent, workspace / contract.PARENT_DIR)
    if generations and generations[-1].generation != brief.parent:
        _show_generation(session, generations[-1].generation, workspace / contract.PREVIOUS_DIR)
    return prompt


def take_files(workspace: Path, staging: Path) -> tuple[list[Path], str | None]:
    """Moves what the author may leave to the staging folder; says what is wrong with it, if anything."""
    files: list[Path] = []
    problem = None
    for name in HANDED_ON:
        try:
            text = read_text(workspace / name)
        except ValueError as error:
            if name == contract.AGENT_FILE:
                problem = f"{name} {error}: the author wrote no agent"
            elif str(error) != "is missing":
                problem = problem or f"{name} {error}"
            continue
        target = staging / name
        target.write_text(text, encoding="utf-8")
        files.append(target)
    return files, problem


def _show_generation(session: Session, number: int, folder: Path) -> None:
    """Copies what later authors may see. The execution record passes the leak guard or stays behind."""
    folder.mkdir()
    source = session.run.generation_dir(number)
    for name in HANDED_ON:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    try:
        execution = read_text(source / "agent_execution.json")
    except ValueError:
        return
    if not session.guard.leaks(execution):
        (folder / "agent_execution.json").write_text(execution, encoding="utf-8")


def _evidence(session: Session) -> str:
    progress = session.progress
    latest = progress.generations[-1]
    best = latest.verdict.against
    return render_evidence(
        latest,
        session.run.generation_dir(latest.generation),
        measured_again(session, latest.generation).dev_items if latest.status == "scored" else (),
        measured_again(session, best).dev_items if best is not None else (),
        session.guard,
    )


def _recent_and_best(session: Session) -> list[GenerationRecord]:
    progress = session.progress
    recent = progress.generations[-HISTORY_LENGTH:]
    if progress.best is not None and progress.best < recent[0].generation:
        return [progress.generation(progress.best), *recent]
    return recent


def _past(record: GenerationRecord) -> PastGeneration:
    return PastGeneration(
        generation=record.generation,
        parent=record.parent,
        lever=record.lever,
        score=record.score,
        verdict=record.verdict,
        failure=record.failure,
        seconds=record.seconds.get("run", 0.0),
    )
