"""`sia report`, `sia compare`, `sia export`: what a run leaves for others."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sia.cli.inspect import Json, RunsDir

Output = Annotated[Path | None, typer.Option("--out", "-o", help="File to write.")]


def report(
    run: Annotated[str, typer.Argument(help="Run id.")],
    runs_dir: RunsDir = Path("runs"),
    out: Output = None,
    markdown: Annotated[bool, typer.Option("--md", help="Markdown with the figure as SVG beside it.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="The figure alone.")] = False,
) -> None:
    """Writes the story of a run into one HTML file: figure, tables, changes, settings, how to run and check it again.

    Example: sia report 1 --out report.html
    """
    from sia.errors import UsageError
    from sia.report.build import report_html, report_markdown, run_figure
    from sia.report.story import read_story
    from sia.store.run_directory import run_path

    if markdown and svg:
        raise UsageError("both --md and --svg are given", "--md writes the figure as well")
    story = read_story(run_path(runs_dir, run))
    if svg:
        print(f"wrote {_write(out or Path(f'sia-report-{run}.svg'), run_figure(story))}")
    elif markdown:
        file = out or Path(f"sia-report-{run}.md")
        figure = _write(file.with_suffix(".svg"), run_figure(story))
        print(f"wrote {_write(file, report_markdown(story, figure.name))} and {figure}")
    else:
        print(f"wrote {_write(out or Path(f'sia-report-{run}.html'), report_html(story))}")


def compare(
    runs: Annotated[list[str], typer.Argument(help="Run ids; the first is the reference.")],
    runs_dir: RunsDir = Path("runs"),
    html: Annotated[Path | None, typer.Option(help="Write an HTML file instead.")] = None,
    json_output: Json = False,
) -> None:
    """Compares the best generations of runs on the items that both were scored on.

    Example: sia compare 1 2 3
    """
    from sia.cli.compared import comparison_json, comparison_lines
    from sia.errors import UsageError
    from sia.report.build import comparison_html
    from sia.report.compare import compare_stories
    from sia.report.story import read_story
    from sia.store.run_directory import run_path

    names = list(dict.fromkeys(runs))
    if len(names) < 2:
        raise UsageError("a comparison needs two runs", "name another one; `sia runs` lists them")
    stories = [read_story(run_path(runs_dir, name)) for name in names]
    if html is not None:
        print(f"wrote {_write(html, comparison_html(stories))}")
    elif json_output:
        print(json.dumps(comparison_json(compare_stories(stories))))
    else:
        comparison_lines(compare_stories(stories))


def export(
    run: Annotated[str, typer.Argument(help="Run id.")],
    runs_dir: RunsDir = Path("runs"),
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to make.  [default: sia-export-RUN]")] = None,
    generation: Annotated[int | None, typer.Option(help="Another generation than the best.")] = None,
) -> None:
    """Makes a folder with the best agent that runs alone: code, requirements, adapter, its measured score.

    Example: sia export 1 --out my-agent
    """
    from sia.export import export_generation
    from sia.report.story import read_story
    from sia.store.run_directory import run_path

    story = read_story(run_path(runs_dir, run))
    folder = export_generation(story, generation, out or Path(f"sia-export-{run}"))
    number = generation or story.record.best
    print(f"exported generation {number} of run {run} to {folder}; {folder}/README.md tells more")


def _write(file: Path, content: str) -> Path:
    from sia.errors import HostError

    try:
        file.write_text(content, encoding="utf-8", errors="replace")
    except OSError as error:
        raise HostError(f"cannot write {file}: {error.strerror}", "choose another place with --out") from None
    return file
