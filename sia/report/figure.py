"""Figures as SVG, drawn by pygal: for the report, for a paper, for the README. They follow the colour scheme."""

import itertools
from collections.abc import Sequence
from typing import Any

import pygal
from pygal.style import Style

from sia.report.charts import Curve, Numbers, ScoreChart, TrainingChart
from sia.report.words import CERTAINTY

MAX_WHISKERS = 150
TRAINING_POINTS = 60
WIDTH, HEIGHT = 860, 420
LEGEND_COLUMNS = 4
OUTCOMES = {
    "first": "var(--best)",
    "improved": "var(--good)",
    "indistinguishable": "var(--dim)",
    "regressed": "var(--bad)",
    "untested": "var(--warn)",
}
CURVES = tuple(f"var(--curve-{k})" for k in range(1, 7))
PALETTE = """
.pygal-chart {
  --ink: #1c2330; --dim: #5b6675; --line: #d9dee5; --card: #ffffff;
  --best: #0b5fc2; --good: #157a3d; --bad: #c02636; --warn: #8f5a00; --sealed: #8a3fc7;
  --curve-1: #3f74d8; --curve-2: #1f8a66; --curve-3: #b97a12; --curve-4: #9647c0;
  --curve-5: #c04a62; --curve-6: #5b6675;
}
@media (prefers-color-scheme: dark) {
  .pygal-chart {
    --ink: #e4e9f0; --dim: #97a3b3; --line: #2c3542; --card: #181e27;
    --best: #76b0ff; --good: #4cc47c; --bad: #ff7b86; --warn: #e3b04b; --sealed: #c792ea;
    --curve-1: #7aa5ff; --curve-2: #4fc49b; --curve-3: #e5b453; --curve-4: #c58be6;
    --curve-5: #ef8a9c; --curve-6: #93a0b1;
  }
}
"""


def draw_scores(chart: ScoreChart, title: str, name: str = "scores") -> str:
    """The scores of a run by generation: dev with intervals, coloured by verdict, sealed, and the best so far.

    `name` tells figures on one page apart.
    """
    many = len(chart.generation) > MAX_WHISKERS
    layers: list[tuple[str, str, list[Any], dict[str, Any]]] = [
        (
            "best so far",
            "var(--best)",
            list(chart.best),
            {"stroke": True, "show_dots": False, "stroke_style": {"width": 2}},
        )
    ]
    if many:
        thin = {"stroke": True, "show_dots": False, "stroke_style": {"width": 0.6}}
        layers += [
            ("95 % low", "var(--dim)", list(chart.low), thin),
            ("95 % high", "var(--dim)", list(chart.high), thin),
        ]
    for outcome, colour in OUTCOMES.items():
        values = [
            _point(chart, k, many) if chart.outcome[k] == outcome and chart.dev[k] is not None else None
            for k in range(len(chart.generation))
        ]
        if any(value is not None for value in values):
            layers.append((f"dev: {CERTAINTY[outcome]}", colour, values, {"dots_size": 2 if many else 5}))
    if any(value is not None for value in chart.sealed):
        layers.append(("sealed", "var(--sealed)", list(chart.sealed), {"dots_size": 1.5 if many else 4}))
    better = "↓" if chart.lower_is_better else "↑"
    return _render(
        name,
        layers,
        chart.generation,
        _span([chart.dev, chart.low, chart.high, chart.sealed]),
        title,
        f"{chart.metric}, {better} better",
    )


def draw_curves(curves: Sequence[Curve], title: str, name: str = "curves") -> str:
    """The best so far of several runs, with the dev score of each generation as dots."""
    longest = max((curve.chart.generation for curve in curves), key=len)
    layers: list[tuple[str, str, list[Any], dict[str, Any]]] = []
    for curve, colour in zip(curves, itertools.cycle(CURVES), strict=False):
        layers.append(
            (
                f"run {curve.name}: best so far",
                colour,
                list(curve.chart.best),
                {"stroke": True, "show_dots": False, "stroke_style": {"width": 2}},
            )
        )
        layers.append((f"run {curve.name}: dev", colour, list(curve.chart.dev), {"dots_size": 3}))
    metrics = " / ".join(dict.fromkeys(curve.chart.metric for curve in curves))
    return _render(name, layers, longest, _span([c.chart.dev for c in curves]), title, metrics)


def draw_training(chart: TrainingChart, title: str, name: str) -> str:
    """Loss, and on a scale of its own the reward, by step; many steps as means of a few each. Empty without either."""
    each = max(1, -(-len(chart.step) // TRAINING_POINTS))
    starts = range(0, len(chart.step), each)
    found = {
        quantity: [_mean(chart.curves[quantity][start : start + each]) for start in starts]
        for quantity in ("loss", "reward")
        if quantity in chart.curves
    }
    layers: list[tuple[str, str, list[Any], dict[str, Any]]] = [
        (
            quantity if second == 0 else f"{quantity}, scale on the right",
            CURVES[second],
            values,
            {"stroke": True, "show_dots": False, "stroke_style": {"width": 2}, "secondary": second > 0},
        )
        for second, (quantity, values) in enumerate(found.items())
    ]
    spans = [_span([tuple(values)]) for values in found.values()]
    steps = [int(chart.step[min(start + each, len(chart.step)) - 1]) for start in starts]
    return _render(name, layers, steps, spans[0], title, "", x_title="step", second=spans[-1]) if spans else ""


def _mean(values: Numbers) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _render(
    uuid: str,
    layers: Sequence[tuple[str, str, list[Any], dict[str, Any]]],
    labels: Sequence[int],
    span: tuple[float, float],
    title: str,
    y_title: str,
    x_title: str = "generation",
    second: tuple[float, float] | None = None,
) -> str:
    """`labels` stand along the x axis, of that title; `second` is the span of layers that are `secondary`."""
    chart = pygal.Line(
        width=WIDTH,
        height=HEIGHT,
        style=_style([colour for _, colour, _, _ in layers]),
        css=("file://style.css", "file://graph.css", f"inline:{PALETTE}"),
        js=(),
        title=title,
        x_title=x_title,
        y_title=y_title,
        range=span,
        secondary_range=second,
        stroke=False,
        legend_at_bottom=True,
        legend_at_bottom_columns=LEGEND_COLUMNS,
        legend_box_size=11,
        margin=14,
        # pygal leaves room for one row of the legend, and for none of a second scale.
        margin_bottom=14 + 18 * ((len(layers) - 1) // LEGEND_COLUMNS) + (22 if second else 0),
        **({"value_formatter": lambda value: f"{value:.3g}"} if second else {}),
        show_minor_x_labels=len(labels) <= 30,
        x_labels_major_every=max(1, -(-len(labels) // 20)),
        truncate_legend=-1,
        truncate_label=-1,
        spacing=12,
        disable_xml_declaration=True,
    )
    chart.uuid = f"figure-{uuid}"
    chart.add_xml_filter(_without_scripts)
    chart.x_labels = [str(number) for number in labels]
    for label, _, values, options in layers:
        chart.add(label, values, **options)
    return str(chart.render(is_unicode=True))


def _without_scripts(root: Any) -> Any:  # noqa: ANN401 (an element of whichever etree pygal found)
    """A figure that lies still: pygal's own script only shows tooltips."""
    for parent in list(root.iter()):
        for child in list(parent):
            if str(child.tag).endswith("script"):
                parent.remove(child)
    return root


def _point(chart: ScoreChart, k: int, many: bool) -> dict[str, Any]:
    point: dict[str, Any] = {"value": chart.dev[k]}
    if not many and chart.low[k] is not None:
        point["ci"] = {"low": chart.low[k], "high": chart.high[k]}
    return point


def _span(columns: Sequence[Numbers]) -> tuple[float, float]:
    values = [value for column in columns for value in column if value is not None]
    if not values:
        return 0.0, 1.0
    margin = (max(values) - min(values)) * 0.05 or 0.5
    return min(values) - margin, max(values) + margin


def _style(colours: Sequence[str]) -> Style:
    return Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--dim)",
        foreground_strong="var(--ink)",
        foreground_subtle="var(--dim)",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        guide_stroke_dasharray="",
        major_guide_stroke_dasharray="",
        colors=tuple(colours),
        ci_colors=tuple(colours),
        opacity="1",
        font_family="system-ui, sans-serif",
        title_font_size=15,
        label_font_size=12,
        major_label_font_size=12,
        legend_font_size=13,
    )
