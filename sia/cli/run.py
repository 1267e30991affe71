"""`sia run`: the main job."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer


def run(
    task: Annotated[str | None, typer.Option(help="Bundled task, see `sia tasks`.")] = None,
    task_dir: Annotated[Path | None, typer.Option(help="Folder of a task of your own.")] = None,
    max_gen: Annotated[int | None, typer.Option(help="Number of generations.  [default: 3]")] = None,
    run_id: Annotated[str | None, typer.Option(help="Integer or name.  [default: next free integer]")] = None,
    backend: Annotated[
        str | None, typer.Option(help="claude, openhands or offline (no key).  [default: claude]")
    ] = None,
    max_turns: Annotated[
        int | None, typer.Option(help="Answers of the model that writes one agent.  [default: 20]")
    ] = None,
    focus: Annotated[str | None, typer.Option(help="harness, weights or auto.  [default: harness]")] = None,
    trainer: Annotated[
        str | None, typer.Option(help="Where weights are trained: local or tinker.  [default: local]")
    ] = None,
    machine_cost: Annotated[float | None, typer.Option(help="US dollars for an hour of training here.")] = None,
    answers: Annotated[
        str | None, typer.Option(help="model: only the target model may answer; any.  [default: of the task]")
    ] = None,
    parent: Annotated[str | None, typer.Option(help="Build on the best or the latest.  [default: best]")] = None,
    candidates: Annotated[
        int | None, typer.Option(help="Agents on one parent before the next is chosen.  [default: 1]")
    ] = None,
    meta_model: Annotated[
        str | None, typer.Option(help="Of the author: haiku, PROVIDER/MODEL, ...  [default: haiku]")
    ] = None,
    task_model: Annotated[
        str | None, typer.Option(help="Of the target agent.  [default: claude-haiku-4-5-20251001]")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(help="US dollars that model calls may cost.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens that model calls may use.")] = None,
    max_gen_cost: Annotated[float | None, typer.Option(help="US dollars that a generation may cost.")] = None,
    max_gen_tokens: Annotated[int | None, typer.Option(help="Tokens that a generation may use.")] = None,
    calls_per_minute: Annotated[
        int | None, typer.Option(help="Model calls that a program may start in a minute.  [default: 600]")
    ] = None,
    cache: Annotated[bool | None, typer.Option("--cache", help="Answer model calls from earlier ones.")] = None,
    bodies: Annotated[
        bool | None, typer.Option(help="Keep what models were asked and answered, for `sia replay`.  [default: yes]")
    ] = None,
    max_time: Annotated[str | None, typer.Option(help="Stop after e.g. 90s, 30m, 2h.")] = None,
    target_score: Annotated[float | None, typer.Option(help="Stop at this dev score.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after N generations without a new best.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of item split and offline author.  [default: 0]")] = None,
    sealed_fraction: Annotated[
        float | None, typer.Option(help="Share of items kept back until the end.  [default: 0.3]")
    ] = None,
    sandbox: Annotated[
        str | None,
        typer.Option(help="bubblewrap, namespaces, landlock, docker, podman, seatbelt, none.  [default: auto]"),
    ] = None,
    limit_seconds: Annotated[
        str | None, typer.Option(help="Wall clock of a target agent, e.g. 10m.  [default: of the task, else 600s]")
    ] = None,
    limit_cpu: Annotated[str | None, typer.Option(help="CPU time of each.  [default: wall clock x processors]")] = None,
    limit_memory: Annotated[str | None, typer.Option(help="Memory of each, e.g. 4GB.  [default: half of all]")] = None,
    limit_processes: Annotated[int | None, typer.Option(help="Processes of each.  [default: 256]")] = None,
    limit_file: Annotated[str | None, typer.Option(help="Length of any one file.  [default: 2GB]")] = None,
    limit_disk: Annotated[str | None, typer.Option(help="Disk space of each.  [default: 4GB]")] = None,
    limit_output: Annotated[str | None, typer.Option(help="Output that a log keeps.  [default: 16MB]")] = None,
    gpu: Annotated[
        bool | None, typer.Option("--gpu", help="Let target agents and the evaluator see the CUDA devices.")
    ] = None,
    force: Annotated[bool | None, typer.Option("--force", help="Run a task that `sia tasks check` refuses.")] = None,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the run directories.  [default: runs]")] = None,
    resume: Annotated[bool | None, typer.Option("--resume", help="Go on with the run --run-id.")] = None,
    web: Annotated[bool | None, typer.Option("--web", help="Serve the dashboard while the run goes on.")] = None,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object an event, on stdout.")] = False,
    quiet: Annotated[bool, typer.Option(help="Only how it ended.")] = False,
) -> None:
    """Runs generations of a target agent on a task: author, run, score, decide.

    Every option can also stand in sia.toml under [run], or in a variable such as SIA_MAX_GEN.

    Example: sia --task spaceship-titanic --backend offline --max-gen 5
    """
    from sia.cli.live import json_view, plain_view, terminal_view
    from sia.cli.web import beside
    from sia.launch import launch
    from sia.loop import run_generations
    from sia.settings import load_settings
    from sia.store.run_directory import resume_command

    flags = {
        "task": task,
        "task_dir": task_dir,
        "max_gen": max_gen,
        "run_id": run_id,
        "backend": backend,
        "max_turns": max_turns,
        "focus": focus,
        "trainer": trainer,
        "machine_cost": machine_cost,
        "answers": answers,
        "parent": parent,
        "candidates": candidates,
        "meta_model": meta_model,
        "task_model": task_model,
        "max_cost": max_cost,
        "max_tokens": max_tokens,
        "max_gen_cost": max_gen_cost,
        "max_gen_tokens": max_gen_tokens,
        "calls_per_minute": calls_per_minute,
        "cache": cache or None,
        "bodies": bodies,
        "max_time": max_time,
        "target_score": target_score,
        "patience": patience,
        "seed": seed,
        "sealed_fraction": sealed_fraction,
        "sandbox": sandbox,
        "limit_seconds": limit_seconds,
        "limit_cpu": limit_cpu,
        "limit_memory": limit_memory,
        "limit_processes": limit_processes,
        "limit_file": limit_file,
        "limit_disk": limit_disk,
        "limit_output": limit_output,
        "gpu": gpu or None,
        "force": force or None,
        "runs_dir": runs_dir,
        "resume": resume or None,
        "web": web or None,
    }
    signal.signal(signal.SIGINT, _interrupt_once)
    settings = load_settings(flags)
    view = json_view if json_output else terminal_view if sys.stdout.isatty() and not quiet else plain_view
    with beside(settings), view(quiet) as emit:
        session, record = launch(settings, emit)
        try:
            final = run_generations(session, record, emit)
        except KeyboardInterrupt:
            print(
                f"sia: interrupted; `{resume_command(session.run.path)}` goes on",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None
        finally:
            session.close()
    raise typer.Exit(0 if final.best is not None else 1)


def _interrupt_once(signum: int, frame: FrameType | None) -> None:
    """Ends the run at the first Ctrl-C; those that follow must not cut short what makes it resumable."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
