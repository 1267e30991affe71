"""Renders a page of the dashboard."""

from collections.abc import Mapping
from functools import lru_cache

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse

import sia
from sia.report.pages import make_environment
from sia.web.links import links_of


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = make_environment("sia.web")
    environment.globals["version"] = sia.__version__
    return environment


def page(request: Request, template: str, context: Mapping[str, object], status: int = 200) -> HTMLResponse:
    """The page that `template` makes of `context`."""
    html = (
        _environment()
        .get_template(template)
        .render(links=links_of(request), query=request.query_params, status=status, **context)
    )
    return HTMLResponse(html.encode("utf-8", "replace"), status)
