"""Shows a run as it happens: a live table on a terminal, lines elsewhere, JSON events with `--json`."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sia.events import (
    Emit,
    Event,
    GenerationFinished,
    Progress,
    RunFinished,
    RunStarted,
    StageOutput,
    StageStarted,
)
from sia.plainfile import on_one_line
from sia.score.model import describe_score
from sia.store.records import Attribution, GenerationRecord, RunRecord

STEPS = 6
"""Of an author, that are shown."""
BARS = "▁▂▃▄▅▆▇█"
VERDICT_STYLE = {"improved": "green", "first": "cyan", "regressed": "red", "failed": "bold red"}
STAGE_WORDS = {
    "author": "the author writes the agent",
    "train": "the trainer updates the weights",
    "run": "the agent works",
    "score": "the evaluator measures",
    "decide": "deciding",
}


@contextmanager
def json_view(quiet: bool) -> Iterator[Emit]:
    """One JSON object a line; with `quiet` the last one only."""

    def emit(event: Event) -> None:
        if not quiet or isinstance(event, RunFinished):
            print(event.model_dump_json(), flush=True)

    yield emit


@contextmanager
def plain_view(quiet: bool) -> Iterator[Emit]:
    """Lines without colour or movement."""

    def emit(event: Event) -> None:
        if isinstance(event, RunFinished):
            print("\n".join(summary(event.record)), flush=True)
        elif quiet:
            return
        elif isinstance(event, Progress):
            print(event.text, flush=True)
        elif isinstance(event, RunStarted):
            print(f"run {event.run_id} on {event.task}, {event.max_gen} generations, in {event.path}", flush=True)
            print(f"sandbox {event.jail}; open: {'; '.join(event.jail_gaps)}", flush=True)
        elif isinstance(event, StageOutput) and event.stage == "author":
            print(f"gen {event.generation}  author  {event.line}", flush=True)
        elif isinstance(event, GenerationFinished):
            print(generation_line(event.record, event.best), flush=True)

    yield emit


@contextmanager
def terminal_view(quiet: bool) -> Iterator[Emit]:
    """A table that grows by a line a generation, with the current stage, its last line and a sparkline below."""
    console = Console()
    screen = _Screen()
    with Live(screen, console=console, refresh_per_second=8, redirect_stderr=False) as live:

        def emit(event: Event) -> None:
            if isinstance(event, RunFinished):
                screen.now = None
                live.update(screen, refresh=True)
                live.stop()
                console.print("\n".join(summary(event.record)), highlight=False, markup=False)
            else:
                screen.take(event)

        yield emit


class _Screen:
    """The state that the live view draws."""

    def __init__(self) -> None:
        self.title = ""
        self.sandbox = Text("")
        self.rows: list[GenerationRecord] = []
        self.best: int | None = None
        self.now: Spinner | None = Spinner("dots", "preparing")
        self.what = "preparing"
        self.since = time.monotonic()
        self.steps: deque[str] = deque(maxlen=STEPS)

    def take(self, event: Event) -> None:
        if isinstance(event, Progress):
            self._say(event.text)
        elif isinstance(event, RunStarted):
            self.title = f"run {event.run_id} · {event.task} · {event.path}"
            self.sandbox = Text(
                f"sandbox {event.jail}; open: {'; '.join(event.jail_gaps)}",
                style="bold red" if event.jail == "none" else "dim",
            )
            self.rows = list(event.done)
            self.best = event.best
        elif isinstance(event, StageStarted):
            self.what = f"generation {event.generation}: {STAGE_WORDS[event.stage]}"
            self.since = time.monotonic()
            self.steps.clear()
            self._say("")
        elif isinstance(event, StageOutput):
            if event.stage == "author":
                self.steps.append(event.line)
            self._say(event.line)
        elif isinstance(event, GenerationFinished):
            self.rows.append(event.record)
            self.best = event.best

    def _say(self, line: str) -> None:
        if self.now is not None:
            self.now.update(text=Text(f"{self.what}  {line}"[:160], overflow="ellipsis", no_wrap=True))

    def __rich__(self) -> Group:
        parts: list[Table | Text | Spinner] = []
        if self.sandbox:
            parts.append(self.sandbox)
        if self.rows:
            parts.append(_table(self.title, self.rows[-30:], self.best))
            parts.append(Text(f" dev score  {sparkline(self.rows)}", style="dim"))
        parts += [Text(f"   {step}"[:160], style="dim", overflow="ellipsis", no_wrap=True) for step in self.steps]
        if self.now is not None:
            parts.append(self.now)
        return Group(*parts)


def _table(title: str, rows: list[GenerationRecord], best: int | None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("gen", "dev score", "verdict", "lever", "time", "cost"):
        table.add_column(
            name, justify="right" if name in ("gen", "time", "cost") else "left", no_wrap=name != "verdict"
        )
    for record in rows:
        verdict = record.failure or record.verdict.outcome
        table.add_row(
            f"{'★' if record.generation == best else ''}{record.generation}",
            describe_score(record.score),
            Text(verdict[:80], style=VERDICT_STYLE.get(record.verdict.outcome, "")),
            record.lever,
            f"{sum(record.seconds.values()):.1f} s",
            describe_cost(record),
        )
    return table


def sparkline(rows: list[GenerationRecord]) -> str:
    """The dev scores of the generations as bars; a failed one is a dot."""
    values = [r.score.value for r in rows if r.score]
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BARS[round((r.score.value - low) / span * 7)] if r.score else "·" for r in rows[-60:])


def describe_cost(record: GenerationRecord | RunRecord) -> str:
    """`$0.12`, and how many calls are not in it because nobody knows their price."""
    text = f"${record.cost:.2f}"
    return text + (f" + {record.unpriced_calls} calls of unknown price" if record.unpriced_calls else "")


def generation_line(record: GenerationRecord, best: int | None) -> str:
    """One generation in one line."""
    star = " (best)" if record.generation == best else ""
    score = (
        f"failed: {record.failure}" if record.failure else f"{describe_score(record.score)} {record.verdict.outcome}"
    )
    seconds = sum(record.seconds.values())
    line = f"gen {record.generation}  {score}{star}  {record.lever}  {seconds:.1f} s  {describe_cost(record)}"
    return on_one_line(line)


def summary(record: RunRecord) -> list[str]:
    """How the run ended, with the sealed scores that were kept back until now."""
    if record.status == "interrupted":
        return [f"run {record.run_id} interrupted after {record.generations} generations"]
    if record.best_scores is None:
        return [f"run {record.run_id}: none of {record.generations} generations was scored ({record.stopped_because})"]
    best = record.best_scores
    lines = [
        f"run {record.run_id}: best is generation {best.generation} of {record.generations} ({record.stopped_because})"
    ]
    lines.append(f"  {best.all.metric}, all items    {describe_score(best.all)}")
    if best.sealed:
        lines.append(f"  dev items (selected on)    {describe_score(best.dev)}")
        lines.append(f"  sealed items (never seen)  {describe_score(best.sealed)}")
    if record.tokens:
        lines.append(f"  models                     {describe_cost(record)}, {record.tokens} tokens")
    if record.attribution:
        lines += attribution_lines(record.attribution)
    if record.classical:
        lines.append(
            f"  without a language model   {record.classical.failure or describe_score(record.classical.score)}"
        )
    first, verdict = record.first_scored, record.sealed_verdict
    if first and verdict and verdict.difference is not None:
        lines.append(
            f"  against generation {first.generation} on sealed items: {verdict.outcome}, "
            f"difference {verdict.difference:+.4f}"
            + (f", p = {verdict.p_value:.3g}" if verdict.p_value is not None else "")
        )
    return lines


def attribution_lines(attribution: Attribution) -> list[str]:
    """The 2 x 2 of the levers, with the paired verdicts against the first harness on the base model."""
    lines = ["  what each lever is worth, all items:"]
    for cell in attribution.cells:
        model = f"adapter {cell.adapter[:12]}" if cell.adapter else "base model"
        lines.append(f"    generation {cell.harness}, {model:<20}  {cell.failure or describe_score(cell.score)}")
    for name, verdict in attribution.verdicts.items():
        if verdict.difference is not None:
            chance = f", p = {verdict.p_value:.3g}" if verdict.p_value is not None else ""
            lines.append(f"    {name:<26}  {verdict.difference:+.4f} ({verdict.outcome}{chance})")
    return lines
