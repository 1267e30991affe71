"""`sia tasks`: the tasks and their data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sia.task.manifest import MetricTable

tasks_app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
Name = Annotated[str | None, typer.Argument(help="Bundled task.")]
TaskDir = Annotated[Path | None, typer.Option(help="Folder of a task of your own.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@tasks_app.callback()
def _default(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_tasks()


@tasks_app.command("list")
def list_tasks(json_output: Json = False) -> None:
    """Lists the bundled tasks."""
    from sia.task.catalog import bundled_names, find_bundled
    from sia.task.manifest import read_manifest

    manifests = {name: read_manifest(find_bundled(name)) for name in bundled_names()}
    if json_output:
        print(json.dumps({name: manifest.task.model_dump() for name, manifest in manifests.items()}))
        return
    for name, manifest in manifests.items():
        print(f"{name}  {manifest.task.kind}  {manifest.task.title}")


@tasks_app.command("show")
def show_task(name: Name = None, task_dir: TaskDir = None, json_output: Json = False) -> None:
    """Shows manifest and description of a task."""
    from sia.task.manifest import read_manifest

    folder = _folder(name, task_dir)
    manifest = read_manifest(folder)
    if json_output:
        print(manifest.model_dump_json())
        return
    print(f"{folder.name}: {manifest.task.title}\nsource: {manifest.task.source}\nlicense: {manifest.task.license}")
    print(f"metric: {_metric_words(manifest.metric)}\n")
    print((folder / "data" / "public" / "task.md").read_text(encoding="utf-8", errors="replace"))


def _metric_words(metric: "MetricTable") -> str:
    """`accuracy, max, baseline 0.25, target 0.9`, as far as the manifest says."""
    words = [metric.name or "the first known one of results.json", metric.direction]
    words += [
        f"{what} {x:g}" for what, x in (("baseline", metric.baseline), ("target", metric.target)) if x is not None
    ]
    return ", ".join(word for word in words if word)


@tasks_app.command("fetch")
def fetch_task(name: Annotated[str, typer.Argument(help="Bundled task.")]) -> None:
    """Fetches the data of a bundled task into the cache."""
    from sia.task.catalog import find_bundled
    from sia.task.fetch import prepare_task

    task = prepare_task(find_bundled(name), print)
    print(f"{name} is ready in {task.root}")


@tasks_app.command("check")
def check(
    name: Name = None,
    task_dir: TaskDir = None,
    sandbox: Annotated[str, typer.Option(help="How the evaluator is shut in, as for runs.")] = "auto",
    json_output: Json = False,
) -> None:
    """Looks for what would spoil a run, before anything is spent. Exit code 1 on errors.

    Missing parts, private answers in public files, and a crash-test of the evaluator: some forty submissions that
    deserve nothing are made from the public files and must get nothing.
    """
    from dataclasses import asdict

    from sia.environment import agent_environment
    from sia.jail.choose import choose_jail
    from sia.task.check.gate import check_whole
    from sia.task.fetch import prepare_task

    def progress(text: str) -> None:
        typer.echo(text, err=json_output)

    jail = choose_jail(sandbox)
    task = prepare_task(_folder(name, task_dir), progress)
    python = agent_environment(task.manifest.agent.packages, progress)
    findings = check_whole(task, python, jail, progress)
    failed = any(finding.level == "error" for finding in findings)
    if json_output:
        print(json.dumps([asdict(finding) for finding in findings]))
        raise typer.Exit(1 if failed else 0)
    colours = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "error": typer.colors.RED}
    for finding in findings:
        typer.secho(f"{finding.level:8}", fg=colours[finding.level], nl=False)
        print(f"{finding.subject}: {finding.told}")
        if finding.remedy:
            print(f"{'':8}-> {finding.remedy}")
    print(f"{task.name}: {'not fit for a run' if failed else 'fit for a run'}")
    raise typer.Exit(1 if failed else 0)


def _folder(name: str | None, task_dir: Path | None) -> Path:
    from sia.errors import UsageError
    from sia.task.catalog import find_bundled

    if (name is None) == (task_dir is None):
        raise UsageError("name one task", "give NAME or `--task-dir PATH`")
    return find_bundled(name) if name else (task_dir or Path()).absolute()
