"""The dashboard as an ASGI application over one runs folder. It reads only; what it shows is text."""

from functools import lru_cache
from importlib import resources
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from sia.report.pages import stylesheet
from sia.web.events import run_events, shelf_events
from sia.web.generation import generation_page, raw_file
from sia.web.guard import Access, Guard
from sia.web.render import page
from sia.web.views import compare_page, run_page, runs_page


def create_app(runs_dir: Path, access: Access | None = None) -> ASGIApp:
    """The application over `runs_dir`."""
    static = StaticFiles(directory=str(resources.files("sia.web").joinpath("static")))
    app = Starlette(
        routes=[
            Route("/", runs_page),
            Route("/runs/{run}", run_page),
            Route("/runs/{run}/{generation}", generation_page),
            Route("/runs/{run}/{generation}/raw", raw_file),
            Route("/runs/{run}/{generation}/{section}", generation_page),
            Route("/compare", compare_page),
            Route("/events", shelf_events),
            Route("/events/{run}", run_events),
            Route("/style.css", style),
            Mount("/static", static),
        ],
        exception_handlers={HTTPException: refused},
    )
    app.router.redirect_slashes = False
    app.state.runs_dir = runs_dir.absolute()
    return Guard(app, access or Access())


def style(_: Request) -> Response:
    """The style sheet, that of the charts included: one request before the first paint."""
    return Response(_style(), media_type="text/css", headers={"Cache-Control": "max-age=300"})


@lru_cache(maxsize=1)
def _style() -> str:
    charts = resources.files("sia.web").joinpath("static", "vendor", "uPlot.min.css").read_text(encoding="utf-8")
    return f"{charts}\n{stylesheet()}"


def refused(request: Request, error: Exception) -> Response:
    """An error as a page of its own."""
    assert isinstance(error, HTTPException)
    return page(request, "error.html", {"reason": error.detail}, error.status_code)
