"""What is known of a competition besides its data."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser

from sia.errors import UsageError

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]*")
_ADDRESS = re.compile(r"^(?:https?://)?(?:www\.)?kaggle\.com/(?:competitions|c)/([^/?#]+).*$")
_BLOCKS = frozenset({"p", "div", "li", "br", "tr", "h1", "h2", "h3", "h4", "pre", "ul", "ol", "table"})


@dataclass(frozen=True)
class Competition:
    """A Kaggle competition in words."""

    slug: str
    title: str = ""
    description: str = ""
    evaluation: str = ""
    """How it is measured, in the competition's own words."""
    metric: str = ""
    """The metric as Kaggle names it."""
    license: str = ""

    @property
    def address(self) -> str:
        """Its page on Kaggle."""
        return f"https://www.kaggle.com/competitions/{self.slug}"


def slug_of(text: str) -> str:
    """The competition's name, from itself or from the address of its page. Raises UsageError for anything else."""
    match = _ADDRESS.match(text.strip())
    slug = match[1] if match else text.strip()
    if not _SLUG.fullmatch(slug.lower()):
        raise UsageError(
            f"{text!r} is not the name of a competition",
            "take it from its address, kaggle.com/competitions/NAME",
        )
    return slug


def plain_text(page: str) -> str:
    """A page without its HTML, if it has any; Markdown stays as it is."""
    if not re.search(r"</?[a-zA-Z][^>]*>", page):
        return page.strip()
    parser = _Text()
    parser.feed(page)
    parser.close()
    lines = [" ".join(line.split()) for line in "".join(parser.parts).splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        if tag in _BLOCKS:
            self.parts.append("\n* " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)
