"""The report of a run, and a comparison, each as one file that needs nothing else."""

import html
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from jinja2 import Environment
from markupsafe import Markup

import sia
from sia.author.brief import AGENT_FILE, IMPROVEMENT_FILE
from sia.report.charts import Curve, score_chart, training_chart
from sia.report.code import difference, highlighted
from sia.report.compare import compare_stories
from sia.report.figure import draw_curves, draw_scores, draw_training
from sia.report.files import Shown, read_shown
from sia.report.lineage import flattened, lineage
from sia.report.pages import make_environment, stylesheet
from sia.report.story import Chapter, RunStory
from sia.report.text import shortened
from sia.report.training import read_training
from sia.settings import RunSettings
from sia.verify import verify_run

MAX_STEPS = 40
MAX_TEXT_CHARS = 3_000
MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Change:
    """One step on the way to the best generation: what its author wrote of it, and the difference in the code."""

    chapter: Chapter
    told: str
    difference: Markup | None


@dataclass(frozen=True)
class Drawn:
    """One training, and its curves as SVG; empty when its steps left none."""

    chapter: Chapter
    figure: Markup


def report_html(story: RunStory) -> str:
    """The report as one HTML file: figure, tables, changes, code, settings, how to run and check it again."""
    best = story.best
    return (
        _environment()
        .get_template("report.html")
        .render(
            story=story,
            figure=Markup(run_figure(story)),
            tree=lineage(story),
            flattened=flattened,
            trainings=_trainings(story),
            changes=_changes(story),
            code=highlighted(_agent(story, best.number).text) if best else None,
            integrity=_integrity(story),
            command=rerun_command(story),
            style=Markup(stylesheet()),
            links=None,
        )
    )


def report_markdown(story: RunStory, figure: str) -> str:
    """The same in Markdown, for a paper; `figure` is the name of the SVG file beside it."""
    template = _environment().get_template("report.md")
    return template.render(
        story=story,
        figure=figure,
        changes=_changes(story),
        integrity=_integrity(story),
        command=rerun_command(story),
    )


def run_figure(story: RunStory) -> str:
    """The score curve of a run as SVG."""
    backend = f"backend {story.record.backend}, {len(story.chapters)} generations"
    return draw_scores(score_chart(story), f"{story.record.task}: {backend}")


def comparison_html(stories: Sequence[RunStory]) -> str:
    """A comparison as one HTML file."""
    curves = [Curve(story.run_id, score_chart(story)) for story in stories if story.chapters]
    return (
        _environment()
        .get_template("compare_report.html")
        .render(
            comparison=compare_stories(stories),
            figure=Markup(draw_curves(curves, "Best so far by generation")) if curves else None,
            style=Markup(stylesheet()),
            links=None,
        )
    )


def rerun_command(story: RunStory) -> str:
    """The command line that starts a run with the same settings."""
    record = story.record
    words = ["sia"]
    for name, field in RunSettings.model_fields.items():
        value = getattr(record, name, None)
        if name != "run_id" and value not in (None, "", field.default):
            words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _integrity(story: RunStory) -> str:
    """What `sia verify` finds, in words."""
    found = verify_run(story.path)
    checked = f"{found.stages} stages, {found.files} files, {found.calls} model calls"
    if not found.problems:
        return f"as they were written: {checked}"
    return f"{len(found.problems)} problems in {checked}: " + "; ".join(found.problems[:MAX_PROBLEMS])


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = make_environment()
    environment.globals["version"] = sia.__version__
    environment.filters |= {"fenced": _fenced, "cell": _cell}
    return environment


def _changes(story: RunStory) -> list[Change]:
    chapters = [step.chapter for step in lineage(story).main][-MAX_STEPS:]
    return [_change(story, chapter) for chapter in chapters if chapter.record.parent in story.by_number]


def _trainings(story: RunStory) -> list[Drawn]:
    """The training of each generation that had one, as its steps tell it."""
    drawn = []
    for chapter in story.chapters:
        if chapter.record.trained is None:
            continue
        title = f"Generation {chapter.number}: training by {chapter.record.trained.algorithm}"
        chart = training_chart(read_training(story.path, chapter.number))
        drawn.append(Drawn(chapter, Markup(draw_training(chart, title, f"training-{chapter.number}"))))
    return drawn[-MAX_STEPS:]


def _change(story: RunStory, chapter: Chapter) -> Change:
    parent = chapter.record.parent
    told = read_shown(story.path, f"gen_{chapter.number}/{IMPROVEMENT_FILE}").text
    assert parent is not None
    before, after = _agent(story, parent), _agent(story, chapter.number)
    names = (f"gen_{parent}", f"gen_{chapter.number}")
    known = before.text and after.text
    return Change(
        chapter, shortened(told, MAX_TEXT_CHARS), difference(before.text, after.text, names) if known else None
    )


def _agent(story: RunStory, number: int) -> Shown:
    return read_shown(story.path, f"gen_{number}/{AGENT_FILE}")


def _fenced(text: str) -> Markup:
    """A Markdown block of `text`, its fence longer than any inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markup(f"{fence}\n{text.rstrip()}\n{fence}")


def _cell(value: object) -> Markup:
    """`value` in a cell of a Markdown table: on one line, no markup."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return Markup(re.sub(r"([\\`*_|\[\]#])", r"\\\1", text))
