"""The command line's entry: the commands, and how errors are told."""

import sys
from typing import cast

import typer

from sia.errors import HostError, SiaError, UsageError

MisspeltError = cast(type[typer.BadParameter], typer.BadParameter.__mro__[1])
"""What a command line that cannot be parsed raises; versions of typer keep the class in different places."""

app = typer.Typer(
    name="sia",
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Makes an AI agent better at a benchmark task by itself.\n\n"
    "`sia --task spaceship-titanic --backend offline --max-gen 5` runs five generations without any key. "
    "Everything that a run does lands in runs/run_{id}/.",
)


@app.callback()
def _root() -> None:
    """Options of single commands are told by `sia COMMAND --help`."""


def _register() -> None:
    from sia.cli.doctor import doctor
    from sia.cli.inspect import diff, runs, show
    from sia.cli.models import models_app
    from sia.cli.prepare import prepare_app
    from sia.cli.replay import replay, verify
    from sia.cli.report import compare, export, report
    from sia.cli.run import run
    from sia.cli.tasks import tasks_app
    from sia.cli.web import web

    app.command("run")(run)
    app.command("runs")(runs)
    app.command("show")(show)
    app.command("diff")(diff)
    app.command("doctor")(doctor)
    app.command("verify")(verify)
    app.command("replay")(replay)
    app.command("compare")(compare)
    app.command("report")(report)
    app.command("export")(export)
    app.command("web")(web)
    app.add_typer(tasks_app, name="tasks", help="List, show, fetch and check tasks.")
    app.add_typer(prepare_app, name="prepare", help="Make tasks of MLE-Bench competitions.")
    app.add_typer(models_app, name="models", help="List, show and fetch models that run on this machine.")


_register()


def normalise(arguments: list[str]) -> list[str]:
    """Makes `run` the default command and lets options be spelled with underscores."""
    spelled = [_hyphens(a) if a.startswith("--") else a for a in arguments]
    if spelled and spelled[0].startswith("-") and spelled[0] not in ("--help", "-h", "--version"):
        return ["run", *spelled]
    return spelled


def _hyphens(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def main(given: list[str] | None = None) -> None:
    """Runs the command line, on the program's arguments unless others are given.

    Exit codes: 0 scored, 1 nothing scored, 2 bad usage or machine, 130 interrupted.
    """
    arguments = normalise(sys.argv[1:] if given is None else given)
    if arguments == ["--version"]:
        from sia import __version__

        print(f"sia {__version__}")
        return
    try:
        sys.exit(app(args=arguments, prog_name="sia", standalone_mode=False))
    except SiaError as error:
        _fail(error)
    except MisspeltError as error:
        _fail(_explained(error))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        _fail(
            HostError(
                f"cannot use {error.filename or 'a file'}: {error.strerror or error}",
                "check that it is there, is what it should be, and may be read and written",
            )
        )


def _fail(error: SiaError) -> None:
    from sia.plainfile import on_one_line

    print(f"sia: {on_one_line(' '.join(str(error).split()))}", file=sys.stderr)
    sys.exit(2)


def _explained(error: typer.BadParameter) -> UsageError:
    """The parser's error in one line with a remedy; the help of a command that was called without anything is shown."""
    if error.ctx is None:
        return UsageError(error.format_message(), "`sia --help` lists the commands")
    if error.message == error.ctx.get_help():
        print(error.message, file=sys.stderr)
        sys.exit(2)
    return UsageError(error.format_message().rstrip("."), f"`{error.ctx.command_path} --help` tells what there is")
