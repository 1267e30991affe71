"""What an author gets: the brief of the open generation, in fields and in words, and the files that it may know."""

import shutil
from pathlib import Path

from sia.author import brief as contract
from sia.author.brief import (
    AuthorLimits,
    Brief,
    Budget,
    CalledModel,
    EarlierTry,
    PastGeneration,
    PastTraining,
    TaskBrief,
)
from sia.author.prompts import render_prompt, render_system
from sia.environment import resolved_packages
from sia.evidence.context import render_context
from sia.evidence.failure import as_told
from sia.evidence.latest import render_evidence
from sia.gateway.trace import Role
from sia.plainfile import read_text
from sia.stages.measured import measured_again
from sia.stages.session import Session
from sia.store.records import GenerationRecord, Trained
from sia.store.run_directory import AGENT_LOG, RESULTS_FILE
from sia.task.package import REFERENCE_AGENT, REFERENCE_SAMPLES

HISTORY_LENGTH = 12
TRIES_LENGTH = 5
CHANGE_CHARS = 400
ENDING_SECONDS = 30.0
"""Of an author's time, kept for writing down how it ended."""


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
            installed=resolved_packages(session.python),
            answers=task.manifest.agent.answers,
        ),
        parent=parent_of_next(session),
        history=tuple(_past(record) for record in _recent_and_best(session)),
        best=progress.best,
        rejected=_rejected(session),
        candidate=len(progress.generations) - _chosen_after(session) + 1,
        candidates=settings.candidates,
        siblings=_tries(session, _chosen_after(session)) if settings.candidates > 1 else (),
        budget=_budget(session),
        task_model=_model(session, "target"),
        trainable=session.base is not None and settings.focus != "harness",
        limits=AuthorLimits(
            model=_model(session, "author"),
            max_turns=settings.max_turns,
            seconds=session.author.seconds - ENDING_SECONDS,
        ),
    )


def _model(session: Session, role: Role) -> CalledModel | None:
    """The model that the program of `role` can call."""
    model = session.gateway.models.get(role) if session.gateway else None
    if model is None:
        return None
    return CalledModel(name=model.name, dialect=model.provider.dialect, provider=model.provider.name)


def parent_of_next(session: Session) -> int | None:
    """The generation to build on: the best, or with `--parent latest` the latest that was scored.

    With `--candidates` so many generations in turn build on the same one.
    """
    progress, chosen_after = session.progress, _chosen_after(session)
    if session.settings.parent == "latest":
        known = [number for number in progress.scored if number <= chosen_after]
        return max(known or progress.scored, default=None)
    return (progress.bests[chosen_after - 1] if chosen_after else None) or progress.best


def _chosen_after(session: Session) -> int:
    """How many generations were decided when the open one's parent was chosen."""
    done = len(session.progress.generations)
    return done - (done - 1) % session.settings.candidates if done else 0


def prepare_workspace(session: Session, brief: Brief, workspace: Path) -> str:
    """Fills the workspace; returns the prompt."""
    workspace.mkdir()
    generations = _told(session)
    context = render_context(session.task.name, generations, session.progress.best)
    evidence = _evidence(session) if generations else ""
    prompt = render_prompt(
        brief,
        session.task.description,
        context,
        evidence,
        seed_code=_reference(session, REFERENCE_AGENT),
        samples=_reference(session, REFERENCE_SAMPLES),
    )
    (workspace / contract.BRIEF_FILE).write_text(brief.model_dump_json(indent=2), encoding="utf-8")
    (workspace / contract.PROMPT_FILE).write_text(prompt, encoding="utf-8")
    (workspace / contract.SYSTEM_FILE).write_text(render_system(), encoding="utf-8")
    (workspace / contract.CONTEXT_FILE).write_text(context, encoding="utf-8")
    (workspace / contract.EVIDENCE_FILE).write_text(evidence, encoding="utf-8")
    if brief.parent is not None:
        _show_generation(session, brief.parent, workspace / contract.PARENT_DIR)
    if generations and generations[-1].generation != brief.parent:
        _show_generation(session, generations[-1].generation, workspace / contract.PREVIOUS_DIR)
    return prompt


def _reference(session: Session, name: str) -> str:
    """The text of a reference file; empty when there is none that can be read."""
    if session.task.reference_dir is None:
        return ""
    try:
        return (session.task.reference_dir / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _budget(session: Session) -> Budget:
    progress, settings, done = session.progress, session.settings, session.progress.generations
    return Budget(
        generations=settings.max_gen - len(done),
        seconds=None if settings.max_time is None else max(0.0, settings.max_time - progress.seconds),
        cost=None if settings.max_cost is None else max(0.0, settings.max_cost - sum(g.cost for g in done)),
        tokens=None if settings.max_tokens is None else max(0, settings.max_tokens - sum(g.tokens for g in done)),
    )


def shown_files(session: Session, brief: Brief) -> list[Path]:
    """The files of earlier generations that the author was shown, whole or as a digest."""
    latest = session.progress.generations[-1].generation if session.progress.generations else None
    folders = [session.run.generation_dir(n) for n in {brief.parent, latest} if n is not None]
    names = (*contract.HANDED_ON, "agent_execution.json", AGENT_LOG, RESULTS_FILE)
    return [folder / name for folder in folders for name in names]


def _show_generation(session: Session, number: int, folder: Path) -> None:
    """Copies what later authors may see. The execution record passes the leak guard or stays behind."""
    folder.mkdir()
    source = session.run.generation_dir(number)
    for name in contract.HANDED_ON:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    try:
        execution = read_text(source / "agent_execution.json")
    except ValueError:
        return
    if not session.guard.leaks(execution):
        (folder / "agent_execution.json").write_text(execution, encoding="utf-8")


def _evidence(session: Session) -> str:
    latest = _told(session)[-1]
    best = latest.verdict.against
    return render_evidence(
        latest,
        session.run.generation_dir(latest.generation),
        measured_again(session, latest.generation).dev_items if latest.status == "scored" else (),
        measured_again(session, best).dev_items if best is not None else (),
        session.guard,
    )


def _rejected(session: Session) -> tuple[EarlierTry, ...]:
    """What was tried since the best generation and did not replace it."""
    tries = _tries(session, session.progress.best or 0)
    if session.settings.candidates > 1:
        tries = tuple(one for one in tries if one.generation <= _chosen_after(session))
    return tries


def _tries(session: Session, after: int) -> tuple[EarlierTry, ...]:
    """The latest generations after the one with this number."""
    since = [record for record in _told(session) if record.generation > after][-TRIES_LENGTH:]
    return tuple(
        EarlierTry(generation=record.generation, reason=_reason(record), change=_change(session, record.generation))
        for record in since
    )


def _reason(record: GenerationRecord) -> str:
    verdict = record.verdict
    if record.failure:
        return f"failed, {record.failure[:200]}"
    if verdict.difference is None:
        return verdict.outcome
    chance = f", p = {verdict.p_value:.3g}" if verdict.p_value is not None else ""
    return f"{verdict.outcome}, difference {verdict.difference:+.4f}{chance}"


def _change(session: Session, number: int) -> str:
    """The section `Change` of a generation's improvement.md in one line, bounded and past the leak guard."""
    try:
        text = read_text(session.run.generation_dir(number) / contract.IMPROVEMENT_FILE)
    except ValueError:
        return ""
    _, _, after = text.partition("# Change\n")
    change = " ".join((after or text).partition("\n# ")[0].split())[:CHANGE_CHARS]
    return "" if session.guard.leaks(change) else change


def _recent_and_best(session: Session) -> list[GenerationRecord]:
    told, best = _told(session), session.progress.best
    recent = told[-HISTORY_LENGTH:]
    if best is not None and best < recent[0].generation:
        return [told[best - 1], *recent]
    return recent


def _told(session: Session) -> list[GenerationRecord]:
    """The decided generations as authors may know them: none of their failures tells a private value."""
    return [as_told(record, session.guard) for record in session.progress.generations]


def _past(record: GenerationRecord) -> PastGeneration:
    return PastGeneration(
        generation=record.generation,
        parent=record.parent,
        lever=record.lever,
        score=record.score,
        verdict=record.verdict,
        failure=record.failure,
        seconds=record.seconds.get("run", 0.0),
        whole_seconds=sum(record.seconds.values()),
        cost=record.cost,
        adapter=record.adapter,
        training=_past_training(record.trained) if record.trained else None,
    )


def _past_training(trained: Trained) -> PastTraining:
    return PastTraining.model_validate(trained.model_dump(include=set(PastTraining.model_fields)))
