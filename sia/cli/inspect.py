"""`sia runs`, `sia show`, `sia diff`: looking at what runs left."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

RunsDir = Annotated[Path, typer.Option(envvar="SIA_RUNS_DIR", help="Folder of the run directories.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def runs(runs_dir: RunsDir = Path("runs"), json_output: Json = False) -> None:
    """Lists the runs of a folder, newest last."""
    from sia.plainfile import on_one_line
    from sia.score.model import describe_score
    from sia.store.catalog import list_runs

    found = list_runs(runs_dir)
    if json_output:
        print(json.dumps([record.model_dump(mode="json") for record in found.records]))
    else:
        rows = [
            (
                r.run_id,
                r.task,
                r.backend,
                r.status,
                str(r.generations),
                str(r.best or "-"),
                describe_score(r.best_scores.all if r.best_scores else None),
            )
            for r in found.records
        ]
        _print_table(("run", "task", "backend", "status", "generations", "best", "score (all items)"), rows)
        if not rows:
            print(f"no runs in {runs_dir}")
    for problem in found.problems:
        print(f"sia: {on_one_line(problem)}", file=sys.stderr)


def show(
    run: Annotated[str, typer.Argument(help="Run id.")],
    generation: Annotated[int | None, typer.Argument(help="Generation.")] = None,
    runs_dir: RunsDir = Path("runs"),
    json_output: Json = False,
) -> None:
    """Shows a run, or one of its generations."""
    from sia.cli.curve import score_curve
    from sia.cli.live import generation_line, summary
    from sia.plainfile import on_one_line
    from sia.report.story import read_story
    from sia.store.catalog import read_generation
    from sia.store.run_directory import resume_command, run_path

    path = run_path(runs_dir, run)
    story = read_story(path)
    record = story.record
    if generation is not None:
        one = read_generation(path, generation)
        if json_output:
            print(one.model_dump_json())
            return
        print(generation_line(one, record.best))
        for file in sorted((path / f"gen_{generation}").iterdir()):
            print(f"  {on_one_line(str(file))}")
        return
    if json_output:
        by_generation = [chapter.record.model_dump(mode="json") for chapter in story.chapters]
        print(json.dumps(record.model_dump(mode="json") | {"by_generation": by_generation}))
        return
    for problem in story.problems:
        print(f"sia: {on_one_line(problem)}", file=sys.stderr)
    for chapter in story.chapters:
        print(generation_line(chapter.record, record.best))
    if curve := score_curve(story):
        print(f"\ndev {story.metric} by generation: ● score, │ its 95 % interval, the line is the best so far")
        print(f"{curve}\n")
    if story.now is not None:
        print(f"generation {story.now.generation} is being made: stage {story.now.stage}")
    elif story.status == "stopped":
        print(f"run {run} was stopped: `{resume_command(path.absolute())}` goes on")
    else:
        print("\n".join(summary(record)))


def diff(
    run: Annotated[str, typer.Argument(help="Run id.")],
    first: Annotated[int, typer.Argument(help="Generation.")],
    second: Annotated[int, typer.Argument(help="Generation to compare it with.")],
    runs_dir: RunsDir = Path("runs"),
    json_output: Json = False,
) -> None:
    """Shows what changed in the target agent between two generations."""
    import difflib

    from sia.author.brief import AGENT_FILE
    from sia.errors import StoreError
    from sia.plainfile import read_text, without_escapes
    from sia.score.model import describe_score
    from sia.store.catalog import read_generation
    from sia.store.run_directory import run_path

    path = run_path(runs_dir, run)
    a, b = read_generation(path, first), read_generation(path, second)
    texts = []
    for number in (first, second):
        file = path / f"gen_{number}" / AGENT_FILE
        try:
            texts.append(read_text(file))
        except ValueError as error:
            raise StoreError(f"{file} {error}", "this generation has no agent to compare") from None
    lines = list(
        difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), f"gen_{first}", f"gen_{second}", lineterm="")
    )
    if json_output:
        print(
            json.dumps(
                {"a": a.model_dump(mode="json"), "b": b.model_dump(mode="json"), "diff": "\n".join(lines)},
            )
        )
        return
    print(f"gen {first}: {describe_score(a.score)}   gen {second}: {describe_score(b.score)}")
    colour = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
    for line in lines:
        typer.secho(without_escapes(line), fg=colour.get(line[:1]))


def _print_table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    for row in (header, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
