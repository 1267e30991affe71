"""A comparison in the terminal."""

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sia.report import words
from sia.report.compare import Compared, Comparison
from sia.score.model import Score

WIDE = 240


def comparison_lines(comparison: Comparison) -> None:
    """Prints the table: each run's best, and its paired difference to the first run's best."""
    reference = comparison.runs[0].story.run_id
    table = Table(box=None, pad_edge=False)
    for name in ("run", "task", "best", "score", "sealed", f"against {reference}", "verdict", "p", "time", "cost"):
        table.add_column(name, justify="left" if name in ("run", "task", "verdict") else "right", no_wrap=True)
    for run in comparison.runs:
        table.add_row(*_cells(run))
    # Into a file or a pipe every column goes in full.
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
    for run in comparison.runs:
        if run.reason:
            print(f"run {run.story.run_id} is not paired: {run.reason}")


def comparison_json(comparison: Comparison) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "run_id": run.story.run_id,
            "task": run.story.record.task,
            "best": run.story.record.best,
            "score": run.score.model_dump(mode="json") if run.score else None,
            "sealed": run.sealed.model_dump(mode="json") if run.sealed else None,
            "verdict": run.pairing.verdict.model_dump(mode="json") if run.pairing else None,
            "interval": run.pairing.interval.model_dump(mode="json") if run.pairing and run.pairing.interval else None,
            "items": run.pairing.part if run.pairing else None,
            "reason": run.reason,
            "seconds": sum(run.story.seconds.values()),
            "cost": run.story.dollars,
        }
        for run in comparison.runs
    ]


def _cells(run: Compared) -> tuple[Text, ...]:
    pairing = run.pairing
    difference = verdict = p_value = ""
    style = ""
    if pairing is not None:
        difference = words.signed(pairing.verdict.difference)
        if pairing.interval is not None:
            difference += f" [{pairing.interval.low:+.4f}, {pairing.interval.high:+.4f}]"
        outcome = pairing.verdict.outcome
        verdict = {"improved": "better", "regressed": "worse"}.get(outcome, words.CERTAINTY[outcome])
        style = {"improved": "green", "regressed": "red"}.get(outcome, "")
        p_value = f"{pairing.verdict.p_value:.3g}" if pairing.verdict.p_value is not None else "–"
    story = run.story
    return (
        Text(story.run_id),
        Text(story.record.task),
        Text(f"{story.record.best or '–'} of {story.record.generations}"),
        Text(_score(run.score)),
        Text(_score(run.sealed)),
        Text(difference),
        Text(verdict, style=style),
        Text(p_value),
        Text(words.duration(sum(story.seconds.values()))),
        Text(words.dollars(story.dollars)),
    )


def _score(score: Score | None) -> str:
    return f"{words.number(score.value)} {words.interval(score)}" if score else "–"
