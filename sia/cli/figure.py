"""Draws a run as the SVG that the README shows: the dev score of each generation with its interval, and the best."""

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from sia.errors import HostError
from sia.store.records import GenerationRecord, RunRecord

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 60, 70
COLOURS = {"first": "#0969da", "improved": "#1a7f37", "regressed": "#cf222e", "failed": "#cf222e"}
Scale = Callable[[float], float]
STYLE = "text{font:13px sans-serif;fill:#57606a}.t{font-size:16px;font-weight:600}.s{font-size:11px}"


def draw_run(record: RunRecord, generations: Sequence[GenerationRecord], file: Path) -> None:
    """Writes the figure. Raises HostError when the file cannot be written."""
    try:
        file.write_text(render_run(record, generations), encoding="utf-8")
    except OSError as error:
        raise HostError(f"cannot write {file}: {error.strerror}", "choose another file") from None


def render_run(record: RunRecord, generations: Sequence[GenerationRecord]) -> str:
    """The figure as SVG text: x is the generation, y the score on the dev items, whiskers the 95 % interval."""
    low, high = _range(generations)
    step = (WIDTH - LEFT - RIGHT) / max(len(generations), 1)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<style>{STYLE}</style><rect width="100%" height="100%" fill="#ffffff"/>',
        _text(LEFT, 26, f"{record.task}: {len(generations)} generations, backend {record.backend}", "t", "start"),
        _text(LEFT, 45, _subtitle(record), "s", "start"),
    ]
    for k in range(5):
        value = low + (high - low) * k / 4
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>')
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:.3f}", "", "end"))
    places = {g.generation: LEFT + (k + 0.5) * step for k, g in enumerate(generations)}
    parts += [_parent_line(g, generations, places, y) for g in generations]
    for generation in generations:
        parts += _mark(generation, generation.generation == record.best, places[generation.generation], y)
    return "\n".join([*parts, "</svg>", ""])


def _range(generations: Sequence[GenerationRecord]) -> tuple[float, float]:
    values = [v for g in generations if g.score for v in (g.score.value, *_whiskers(g))]
    if not values:
        return 0.0, 1.0
    margin = (max(values) - min(values)) * 0.08 or 0.5
    return min(values) - margin, max(values) + margin


def _whiskers(generation: GenerationRecord) -> tuple[float, ...]:
    interval = generation.score.interval if generation.score else None
    return (interval.low, interval.high) if interval else ()


def _subtitle(record: RunRecord) -> str:
    if record.best_scores is None:
        return "no generation was scored"
    scores = record.best_scores
    told = f"dev {scores.all.metric} with 95 % intervals; best: generation {scores.generation}, {scores.all.value:.4f}"
    told += f" on all {scores.all.n} items" if scores.all.n else ""
    return told + (f", {scores.sealed.value:.4f} on the sealed ones" if scores.sealed else "")


def _parent_line(
    generation: GenerationRecord, generations: Sequence[GenerationRecord], places: dict[int, float], y: Scale
) -> str:
    parent = next((g for g in generations if g.generation == generation.parent), None)
    if parent is None or not (parent.score and generation.score):
        return ""
    start = f"{places[parent.generation]:.1f} {y(parent.score.value):.1f}"
    end = f"{places[generation.generation]:.1f} {y(generation.score.value):.1f}"
    return f'<path d="M{start}L{end}" stroke="#8c959f" stroke-dasharray="4 3" fill="none"/>'


def _mark(generation: GenerationRecord, best: bool, x: float, y: Scale) -> list[str]:
    outcome = generation.verdict.outcome
    colour = COLOURS.get(outcome, "#6e7781")
    name = f"{'★ ' if best else ''}gen {generation.generation}"
    parts = [
        _text(x, HEIGHT - 44, name),
        _text(x, HEIGHT - 28, generation.lever, "s"),
        _text(x, HEIGHT - 13, outcome, "s"),
    ]
    if generation.score is None:
        return [*parts, _text(x, HEIGHT - BOTTOM - 8, "✕")]
    whiskers = _whiskers(generation)
    if whiskers:
        span = f"M{x:.1f} {y(whiskers[0]):.1f}V{y(whiskers[1]):.1f}"
        parts.append(f'<path d="{span}" stroke="{colour}" stroke-width="2"/>')
    middle = y(generation.score.value)
    parts.append(f'<circle cx="{x:.1f}" cy="{middle:.1f}" r="{7 if best else 5}" fill="{colour}"/>')
    return [*parts, _text(x + 12, middle + 4, f"{generation.score.value:.4f}", "s", "start")]


def _text(x: float, y: float, text: str, css: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>'
