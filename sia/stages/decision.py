"""The decide stage: the verdict against the best generation, and which one is the best from now on."""

from pathlib import Path

from sia.evidence.context import render_context
from sia.gateway.trace import TRACE_FILE
from sia.score.model import Verdict
from sia.score.verdict import is_promoted, judge
from sia.stages.measured import measured_again
from sia.stages.session import Session
from sia.store.durable import point_link, write_whole
from sia.store.records import Decided
from sia.store.run_directory import BEST_LINK, CONTEXT_FILE, GENERATION_FILE, RESULTS_FILE


def decide_stage(session: Session) -> None:
    """Compares, records, and brings `best` and `context.md` up to date."""
    progress = session.progress
    number = progress.open.number
    verdict = reach_verdict(session)
    promoted = progress.open.failure is None and is_promoted(verdict)
    decided = Decided(verdict=verdict, best=number if promoted else progress.best)
    with session.run.staging(number, "decide") as staging:
        file = staging / GENERATION_FILE
        file.write_text(progress.open.record(decided).model_dump_json(indent=2) + "\n", encoding="utf-8")
        compared = [number] if progress.best is None else [progress.best, number]
        read = [session.run.generation_dir(one) / RESULTS_FILE for one in compared]
        session.run.commit(number, decided, [file, *_trace(session, staging)], read)
    progress.add(decided)
    refresh_views(session)


def _trace(session: Session, staging: Path) -> list[Path]:
    """The generation's `trace.jsonl`, when it called a model."""
    calls = session.gateway.calls_of(session.progress.open.number) if session.gateway else []
    if not calls:
        return []
    file = staging / TRACE_FILE
    file.write_text("".join(call.model_dump_json() + "\n" for call in calls), encoding="utf-8")
    return [file]


def reach_verdict(session: Session) -> Verdict:
    """The open generation against the best one, on their dev items."""
    progress = session.progress
    if progress.open.failure:
        return Verdict(outcome="failed", looks=progress.looks)
    candidate = measured_again(session, progress.open.number)
    if progress.best is None:
        return judge(candidate, None, progress.looks)
    return judge(
        candidate, measured_again(session, progress.best), progress.looks + 1, progress.best, session.settings.seed
    )


def refresh_views(session: Session) -> None:
    """Rewrites what is derived from the ledger: `context.md` and the link `best`."""
    progress = session.progress
    context = render_context(session.task.name, progress.generations, progress.best)
    write_whole(session.run.path / CONTEXT_FILE, context.encode())
    if progress.best is not None:
        point_link(session.run.path / BEST_LINK, f"gen_{progress.best}")
