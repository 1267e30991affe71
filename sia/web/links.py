"""Links between the pages, all relative: they hold behind any sub-path of a proxy, without being told which."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request


@dataclass(frozen=True)
class Links:
    """The links of one page."""

    root: str
    """From the page to the first page, ends with a slash."""
    query: tuple[tuple[str, str], ...] = ()
    """Of the page itself."""

    def to(self, *parts: object, **query: object) -> str:
        """The page at the path `parts`, with a query of those that are not empty."""
        path = self.root + "/".join(quote(str(part), safe="") for part in parts)
        told = urlencode({name: str(value) for name, value in query.items() if value not in (None, "")})
        return f"{path}?{told}" if told else path

    def here(self, **changes: object) -> str:
        """This page with some of its query changed; a change to None or an empty text removes."""
        kept = [(name, value) for name, value in self.query if name not in changes]
        changed = [(name, str(value)) for name, value in changes.items() if value not in (None, "")]
        return "?" + urlencode([*kept, *changed])


def links_of(request: Request) -> Links:
    """The links of the page that `request` asks for."""
    depth = request.scope["path"].count("/") - 1
    query = parse_qsl(request.url.query, max_num_fields=50)
    return Links("../" * depth or "./", tuple(query))
