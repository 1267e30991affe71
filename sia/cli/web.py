"""`sia web`: the dashboard."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sia.settings import RunSettings
    from sia.web.serve import Dashboard


def web(
    runs_dir: Annotated[Path, typer.Option(envvar="SIA_RUNS_DIR", help="Folder of the run directories.")] = Path(
        "runs"
    ),
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine need a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8321,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name that it is asked under, e.g. of a proxy; needs a token.")
    ] = None,
    root_path: Annotated[
        str, typer.Option(help="Path that a proxy leaves in front, e.g. /sia; none is needed where it is cut off.")
    ] = "",
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Shows the runs of a folder in the browser, live while they run. Ctrl-C ends it.

    Only this machine is answered. `--host 0.0.0.0` answers others too, to those who know the token in the address that
    is printed.

    Example: sia web --runs-dir runs --open
    """
    dashboard = dashboard_for(runs_dir, host, port, tuple(allow_host or ()), root_path)
    print(f"dashboard of {runs_dir} at {dashboard.url}  (Ctrl-C ends it)", flush=True)
    if open_browser:
        import threading
        import webbrowser

        threading.Timer(0.5, webbrowser.open, [dashboard.url]).start()
    dashboard.serve()


@contextmanager
def beside(settings: "RunSettings") -> Iterator[None]:
    """Serves the dashboard during a run that asks for it; on any free port when the usual one is taken."""
    if not settings.web:
        yield
        return
    from sia.errors import HostError

    try:
        dashboard = dashboard_for(settings.runs_dir)
    except HostError:
        dashboard = dashboard_for(settings.runs_dir, port=0)
    print(f"dashboard at {dashboard.url}", file=sys.stderr, flush=True)
    dashboard.serve_beside()
    try:
        yield
    finally:
        dashboard.stop()


def dashboard_for(
    runs_dir: Path, host: str = "127.0.0.1", port: int = 8321, allowed: tuple[str, ...] = (), prefix: str = ""
) -> "Dashboard":
    """The dashboard, bound to its port. Raises UsageError when the extra is not installed."""
    from sia.errors import UsageError

    try:
        from sia.web.serve import Place, open_dashboard
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the dashboard needs the package {error.name}", "install it with `pip install 'sia-agent[web]'`"
        ) from None
    return open_dashboard(Place(runs_dir, host, port, allowed, prefix))
