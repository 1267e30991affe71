"""`evidence.md`: what the next author may know of the latest generation. Bounded, and past the leak guard."""

from pathlib import Path

from sia.evidence.digest import digest_execution, digest_log, digest_scores
from sia.evidence.guard import LeakGuard
from sia.score.model import Item, describe_score
from sia.store.records import GenerationRecord, Trained
from sia.store.run_directory import AGENT_LOG

LOG_CHARS = 6_000
EXECUTION_CHARS = 6_000


def render_evidence(
    record: GenerationRecord, folder: Path, dev_items: tuple[Item, ...], best_items: tuple[Item, ...], guard: LeakGuard
) -> str:
    """The latest generation in words; a section with a private value in it is left out, and its place says so."""
    sections = {
        "Result": _result(record),
        "Training": _training(record.trained) if record.trained else "",
        "Scores by group": digest_scores(dev_items, best_items) if dev_items else "",
        "Execution record": digest_execution(folder, EXECUTION_CHARS),
        "Log of the target agent": digest_log(folder / AGENT_LOG, LOG_CHARS),
    }
    parts = [f"Generation {record.generation}."]
    for title, text in sections.items():
        if not text:
            continue
        leaks = guard.leaks(text)
        if leaks:
            text = f"(left out: it holds {len(leaks)} value(s) of the private data)"
        parts.append(f"## {title}\n\n{text}")
    return "\n\n".join(parts) + "\n"


def _result(record: GenerationRecord) -> str:
    if record.failure:
        return f"It failed. {record.failure}"
    verdict = record.verdict
    text = f"Score on the dev items: {describe_score(record.score)}. Verdict: {verdict.outcome}"
    if verdict.against is not None and verdict.difference is not None:
        text += f", mean paired difference {verdict.difference:+.4f} against generation {verdict.against}"
        if verdict.p_value is not None and verdict.alpha is not None:
            text += f" (p = {verdict.p_value:.3g}, level of this look {verdict.alpha:.3g})"
    return text + "."


def _training(trained: Trained) -> str:
    """How the weights were updated, with the digest that a later plan can go on from."""
    told = f"{trained.algorithm}: {trained.ended} after {trained.steps} steps, {trained.seconds:.0f} s"
    if trained.before is not None and trained.after is not None:
        told += f"; reward on public validation rows {trained.before:.3f} before, {trained.after:.3f} after"
    told += f". {trained.reason}." if trained.reason else "."
    return told + (f" Its adapter is {trained.adapter}." if trained.adapter else " It left no adapter.")
