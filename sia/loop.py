"""The generation loop: author, run, score, decide, again. It knows stages and protocols, not products."""

import errno
import time
from collections.abc import Callable

from sia.errors import HostError
from sia.events import Emit, GenerationFinished, Progress, RunFinished, RunStarted, StageOutput, StageStarted
from sia.gateway.trace import spending_of
from sia.jail.protocol import OnLine
from sia.score.verdict import compare
from sia.stages.attribution import attribute
from sia.stages.author import author_stage
from sia.stages.classical import measure_classical
from sia.stages.decision import decide_stage, refresh_views
from sia.stages.evaluation import score_stage
from sia.stages.measured import measured_again
from sia.stages.session import CapReachedError, Session
from sia.stages.target import run_stage
from sia.stages.training import train_stage
from sia.store.records import FinalScores, RunRecord, Spending, Stage
from sia.store.run_directory import resume_command

STAGES: dict[Stage, Callable[[Session, OnLine], None]] = {
    "author": author_stage,
    "train": train_stage,
    "run": run_stage,
    "score": score_stage,
    "decide": lambda session, _: decide_stage(session),
}


def run_generations(session: Session, record: RunRecord, emit: Emit) -> RunRecord:
    """Runs until the last generation or a stop condition; returns the final `run.json`.

    A failed generation is recorded and the loop goes on from the best one. Raises KeyboardInterrupt after recording
    that the run was interrupted, and HostError when the disk is full; both leave a run that can be resumed.
    """
    try:
        return _run(session, record, emit)
    except KeyboardInterrupt:
        emit(RunFinished(record=_write(session, record, "interrupted")))
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        raise HostError(
            f"cannot write {session.run.path}: {error.strerror}",
            f"free some space, then `{resume_command(session.run.path)}` goes on where it stopped",
        ) from None


def _run(session: Session, record: RunRecord, emit: Emit) -> RunRecord:
    progress = session.progress
    refresh_views(session)
    record = _write(session, record, "running")
    emit(
        RunStarted(
            run_id=record.run_id,
            path=str(session.run.path),
            task=record.task,
            metric=session.task.manifest.metric.name,
            max_gen=session.settings.max_gen,
            seed=record.seed,
            jail=session.jail.name,
            jail_gaps=session.jail.gaps,
            done=tuple(progress.generations),
            best=progress.best,
        )
    )
    session_start = time.monotonic()
    before = progress.seconds
    while True:
        reason = stop_reason(session, before + time.monotonic() - session_start)
        if reason:
            break
        try:
            run_generation(session, emit)
        except CapReachedError as reached:
            reason = f"{reached}; `--resume` with a larger one goes on"
            break
        record = _write(session, record, "running")
    record = record.model_copy(update=_beside(session, lambda text: emit(Progress(text=text))))
    final = _write(session, record, "finished" if progress.best is not None else "failed", reason)
    emit(RunFinished(record=final))
    return final


def _beside(session: Session, on_progress: Callable[[str], None]) -> dict[str, object]:
    """What is measured at the end, beside the generations."""
    return {
        "attribution": attribute(session, on_progress),
        "classical": measure_classical(session, on_progress),
    }


def run_generation(session: Session, emit: Emit) -> None:
    """Runs the stages that the open generation still lacks."""
    number = session.progress.open.number
    while session.progress.open.number == number:
        stage = session.progress.open.next_stage
        emit(StageStarted(generation=number, stage=stage))

        def on_line(line: str, stage: Stage = stage) -> None:
            emit(StageOutput(generation=number, stage=stage, line=line))

        STAGES[stage](session, on_line)
    done = session.progress.generation(number)
    emit(GenerationFinished(record=done, best=session.progress.best))


def stop_reason(session: Session, seconds: float) -> str | None:
    """Why no further generation begins. An open generation is always finished first."""
    progress, settings = session.progress, session.settings
    if progress.open.authored is not None:
        return None
    if len(progress.generations) >= settings.max_gen:
        return "all generations done"
    if settings.max_time is not None and seconds >= settings.max_time:
        return f"time limit of {settings.max_time:g} s reached"
    target = settings.target_score if settings.target_score is not None else session.task.manifest.metric.target
    best = progress.scored[progress.best].dev if progress.best is not None else None
    if target is not None and best is not None:
        reached = best.value >= target if best.direction == "max" else best.value <= target
        if reached:
            return f"score target {target:g} reached"
    if settings.patience is not None and progress.best_since >= settings.patience:
        return f"no new best in {progress.best_since} generations"
    return None


def _write(session: Session, record: RunRecord, status: str, reason: str | None = None) -> RunRecord:
    """Brings `run.json` up to date. Sealed scores are opened at the end only."""
    progress = session.progress
    # Of the agents that are scored beside the generations, to tell what each lever is worth.
    beside = spending_of(session.gateway.calls_of(0)) if session.gateway else Spending()
    update: dict[str, object] = {
        "status": status,
        "generations": len(progress.generations),
        "best": progress.best,
        "cost": round(beside.cost + sum(generation.cost for generation in progress.generations), 9),
        "tokens": beside.tokens + sum(generation.tokens for generation in progress.generations),
        "unpriced_calls": beside.unpriced + sum(generation.unpriced_calls for generation in progress.generations),
        "max_gen": session.settings.max_gen,
        "max_turns": session.settings.max_turns,
        "max_cost": session.settings.max_cost,
        "max_tokens": session.settings.max_tokens,
        "max_gen_cost": session.settings.max_gen_cost,
        "max_gen_tokens": session.settings.max_gen_tokens,
        "stopped_because": reason,
    }
    if status == "finished" and progress.best is not None:
        first = min(progress.scored)
        best = progress.best
        update["first_scored"] = _final(session, first)
        update["best_scores"] = _final(session, best)
        if best != first:
            a, b = measured_again(session, best), measured_again(session, first)
            if a.sealed and b.sealed:
                update["sealed_verdict"] = compare(
                    a.sealed_items, b.sealed_items, a.sealed.direction, 1, first, session.settings.seed
                )
    if session.gateway is not None:
        update["calls"] = session.gateway.head
    return session.run.write_record(RunRecord.model_validate(record.model_dump() | update))


def _final(session: Session, number: int) -> FinalScores:
    scored = session.progress.scored[number]
    assert scored.all is not None
    assert scored.dev is not None
    return FinalScores(generation=number, all=scored.all, dev=scored.dev, sealed=scored.sealed)
