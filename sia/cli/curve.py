"""The score curve of a run in the terminal, drawn by plotext."""

import shutil

import plotext

from sia.report.charts import score_chart
from sia.report.story import RunStory

MAX_WIDTH, HEIGHT = 100, 16
MAX_WHISKERS = 40


def score_curve(story: RunStory) -> str:
    """Dev scores (●) with their intervals (│) by generation, and the best so far; empty with fewer than two scores."""
    chart = score_chart(story)
    known = [k for k, value in enumerate(chart.dev) if value is not None]
    if len(known) < 2:
        return ""
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(MAX_WIDTH, shutil.get_terminal_size((80, 24)).columns), HEIGHT)
    generations = [chart.generation[k] for k in known]
    best = [chart.best[k] if chart.best[k] is not None else chart.dev[k] for k in known]
    figure.draw(figure.signal(generations, best, marker="braille").lines())
    for k in known if len(known) <= MAX_WHISKERS else ():
        if chart.low[k] is not None:
            number = chart.generation[k]
            figure.draw(figure.signal([number, number], [chart.low[k], chart.high[k]], marker="│").lines())
    figure.draw(figure.signal(generations, [chart.dev[k] for k in known], marker="●"))
    ticks = generations[:: max(1, -(-len(generations) // 12))]
    figure.ruler("x").ticks(ticks, [str(tick) for tick in ticks])
    return str(plotext.uncolorize(str(figure.build())))
