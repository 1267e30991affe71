"""Source code for a page: highlighted by Pygments, compared by difflib. Hostile text stays text."""

import difflib
from functools import lru_cache

from markupsafe import Markup
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers.diff import DiffLexer
from pygments.lexers.python import PythonLexer

MAX_HIGHLIGHTED_CHARS = 200_000
MAX_COMPARED_LINES = 6_000
LIGHT, DARK = "default", "github-dark"


@lru_cache(maxsize=64)
def highlighted(code: str) -> Markup:
    """Python code as markup with a number for each line; plain when it is long."""
    if len(code) > MAX_HIGHLIGHTED_CHARS:
        return Markup('<div class="highlight"><pre>{}</pre></div>').format(code)
    formatter = HtmlFormatter(linenos="table", anchorlinenos=False, wrapcode=True)
    return Markup(highlight(code, PythonLexer(stripnl=False), formatter))


@lru_cache(maxsize=64)
def difference(before: str, after: str, names: tuple[str, str]) -> Markup:
    """A unified diff as markup; says so when nothing differs, or when the files are too long to be compared."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > MAX_COMPARED_LINES:
        return Markup("<p>Longer than {:,} lines: not compared.</p>").format(MAX_COMPARED_LINES)
    lines = list(difflib.unified_diff(old, new, *names, lineterm=""))
    if not lines:
        return Markup("<p>No line differs.</p>")
    text = "\n".join(line[:2000] for line in lines)
    if len(text) > MAX_HIGHLIGHTED_CHARS:
        return Markup('<div class="highlight"><pre>{}</pre></div>').format(text)
    return Markup(highlight(text, DiffLexer(stripnl=False), HtmlFormatter()))


@lru_cache(maxsize=1)
def code_styles() -> str:
    """The style sheet of highlighted code in both colour schemes."""
    light = HtmlFormatter(style=LIGHT).get_style_defs(".highlight")  # type: ignore[no-untyped-call]
    dark = HtmlFormatter(style=DARK).get_style_defs(".highlight")  # type: ignore[no-untyped-call]
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"
