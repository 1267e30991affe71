"""`sia prepare`, also `python -m sia.prepare`: tasks from elsewhere."""

import json
from pathlib import Path
from typing import Annotated

import typer

prepare_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@prepare_app.callback()
def _root() -> None:
    """Makes task packages from competitions."""


@prepare_app.command("mlebench-dataset")
def mlebench_dataset(
    competition: Annotated[
        list[str], typer.Option("--competition", "-c", help="Name on Kaggle, or the address of its page. Repeatable.")
    ],
    tasks_dir: Annotated[Path, typer.Option(help="Where the tasks go, each in a folder of its name.")] = Path("tasks"),
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder or zip of the competition's files: nothing is downloaded.")
    ] = None,
    holdout: Annotated[
        float, typer.Option(min=0.01, max=0.9, help="Share of the labelled rows that is held out.")
    ] = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    metric: Annotated[str | None, typer.Option(help="Instead of the competition's own, e.g. rmse or map@5.")] = None,
    samples: Annotated[
        bool, typer.Option(help="Let the meta model (SIA_META_MODEL) describe similar tasks; costs one call.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Make a task anew that is there already.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object a task, on stdout.")] = False,
) -> None:
    """Makes a task of each Kaggle competition.

    With MLE-bench installed its split, grader and leaderboard are used; else rows of the labelled table are held out.
    Data come through Kaggle's own client (pip install 'sia-agent[mlebench]'), or from --data-dir.

    Example: python -m sia.prepare mlebench-dataset -c spaceship-titanic

    Then: sia --task-dir ./tasks/spaceship-titanic --backend offline --max-gen 5
    """
    from sia.errors import UsageError
    from sia.prepare.build import Wish, prepare_competition
    from sia.prepare.competition import slug_of

    slugs = [slug_of(name) for name in dict.fromkeys(competition)]
    if data_dir and len(slugs) > 1:
        raise UsageError("--data-dir holds one competition's files", "name one with -c")

    writer = None
    if samples:
        from sia.prepare.meta_model import sample_writer

        writer = sample_writer()

    def tell(text: str) -> None:
        typer.echo(text, err=json_output)

    for slug in slugs:
        wish = Wish(slug, tasks_dir, data_dir, holdout, seed, metric, force)
        try:
            place = prepare_competition(wish, tell, writer)
        except KeyboardInterrupt:
            typer.echo(f"sia: interrupted; no task of {slug} was made, and the same command goes on", err=True)
            raise typer.Exit(130) from None
        if json_output:
            print(json.dumps({"competition": slug, "task_dir": str(place)}), flush=True)
        else:
            print(f"{slug}: ready; run it with `sia --task-dir {place} --backend offline --max-gen 5`", flush=True)
