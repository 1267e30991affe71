"""`context.md`: the evolution of a run for people and agents, of bounded length."""

from collections.abc import Sequence

from sia.evidence.failure import told_failure
from sia.score.model import describe_score
from sia.store.records import GenerationRecord

ROWS = 20


def render_context(task: str, generations: Sequence[GenerationRecord], best: int | None) -> str:
    """A table of the latest generations and the best one. Dev scores only."""
    lines = [f"# Evolution on {task}", ""]
    if not generations:
        return "\n".join([*lines, "No generation has been decided yet.", ""])
    shown = list(generations[-ROWS:])
    if best is not None and best < shown[0].generation:
        shown.insert(0, generations[best - 1])
    failed = sum(record.status == "failed" for record in generations)
    lines.append(
        f"{len(generations)} generations so far, {failed} of them failed. "
        + (f"The best is generation {best}." if best is not None else "None was scored.")
    )
    if len(shown) < len(generations):
        lines.append(f"Shown are the latest {ROWS} and the best.")
    lines += [
        "",
        "Scores are of the dev items; a verdict is against the best generation before.",
        "",
        "| generation | parent | lever | score | verdict | what went wrong |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_row(record) for record in shown]
    return "\n".join([*lines, ""])


def _row(record: GenerationRecord) -> str:
    wrong = told_failure(record.failure or "").replace("|", "/")[:160]
    parent = record.parent if record.parent is not None else "-"
    return (
        f"| {record.generation} | {parent} | {record.lever} | {describe_score(record.score)} "
        f"| {record.verdict.outcome} | {wrong} |"
    )
