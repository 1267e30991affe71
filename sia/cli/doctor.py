"""`sia doctor`: what this machine gives, tried, with the remedy for what it lacks."""

import json
from pathlib import Path
from typing import Annotated

import typer


def doctor(
    runs_dir: Annotated[Path, typer.Option(help="Folder of the run directories.")] = Path("runs"),
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object, on stdout.")] = False,
) -> None:
    """Tries sandboxes, Python, disk, keys and GPU; says what to do about what is missing.

    Each sandbox runs a small program that goes for a private file, an environment, TCP and UDP, and must not get them.
    Exit code 0 when runs work here, 1 when something is missing that they cannot do without.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from sia.doctor.report import examine

    console = Console(highlight=False)
    if json_output:
        report = examine(runs_dir)
        print(json.dumps(report.to_json()))
        raise typer.Exit(0 if report.healthy else 1)
    with console.status("trying what this machine gives"):
        report = examine(runs_dir)
    table = Table(box=None, pad_edge=False)
    for name in ("", "what", "found", "remedy"):
        table.add_column(name)
    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "fail": "[bold red]FAIL[/]"}
    for finding in report.findings:
        table.add_row(marks[finding.level], *map(escape, (finding.subject, finding.told, finding.remedy)))
    console.print(table)
    if report.sandbox is None:
        console.print("\n[bold red]no sandbox works here[/]: runs are refused, unless with `--sandbox none`")
    else:
        console.print(f"\n`--sandbox auto` takes [bold]{report.sandbox}[/]; what stays open:")
        for gap in report.gaps:
            console.print(f"  - {gap}", markup=False)
    raise typer.Exit(0 if report.healthy else 1)
