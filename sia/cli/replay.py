"""`sia verify` and `sia replay`: whether a run is as it was written, and whether it comes out the same again."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sia.cli.inspect import Json, RunsDir


def verify(
    run: Annotated[str, typer.Argument(help="Run id.")],
    runs_dir: RunsDir = Path("runs"),
    json_output: Json = False,
) -> None:
    """Checks that nothing in a run's folder was changed: the chain of the ledger, every file, every recorded call.

    One changed byte is found and named. Exit code 1 when something is wrong.
    """
    from sia.store.run_directory import run_path
    from sia.verify import verify_run

    found = verify_run(run_path(runs_dir, run))
    if json_output:
        print(json.dumps(asdict(found)))
    else:
        for problem in found.problems:
            print(problem)
        for extra in found.extra:
            print(f"(not of this run: {extra})")
        checked = f"{found.stages} stages, {found.files} files, {found.calls} model calls, {found.bodies} bodies"
        print(f"run {run}: {f'{len(found.problems)} problems' if found.problems else 'as it was written'} ({checked})")
    raise typer.Exit(1 if found.problems else 0)


def replay(
    run: Annotated[str, typer.Argument(help="Run id.")],
    runs_dir: RunsDir = Path("runs"),
    sandbox: Annotated[str | None, typer.Option(help="As of `sia run`.  [default: auto]")] = None,
    json_output: Json = False,
) -> None:
    """Runs a run again from its recording, without any model and any key, and compares all that it leaves.

    Works in a temporary folder. Exit code 1 when something differs; the first difference is named.
    """
    from sia.replay import open_replay, replay_run
    from sia.settings import load_settings
    from sia.store.ledger import LedgerLine

    def on_stage(line: LedgerLine) -> None:
        if not json_output and sys.stdout.isatty():
            print(f"generation {line.generation}: {line.record.stage}", flush=True)

    settings = load_settings({"runs_dir": runs_dir, "sandbox": sandbox})
    session, record = open_replay(settings, run, lambda text: print(text, file=sys.stderr))
    try:
        done = replay_run(session, record, on_stage)
    finally:
        session.close()
    if json_output:
        print(json.dumps(asdict(done)))
    else:
        for strayed in done.strayed:
            print(f"asked otherwise than then: {strayed}")
        for name in done.taken_over:
            print(f"taken over, not trained again: {name}")
        for name in done.timed:
            print(f"equal but for times: {name}")
        told = f"{done.stages} stages, {done.files} files, {done.calls} model calls"
        print(f"run {run}: {f'differs: {done.difference}' if done.difference else 'comes out the same'} ({told})")
    raise typer.Exit(1 if done.difference else 0)
