"""The templates that the dashboard and the report share: one look, one way to say a score."""

from functools import lru_cache
from importlib import resources

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sia.report import words
from sia.report.code import code_styles
from sia.report.text import plain, shortened

STYLE_FILE = "style.css"


def make_environment(*packages: str) -> Environment:
    """Jinja with the shared templates and those of `packages`. Everything is escaped."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (*packages, "sia.report")]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "number": words.number,
        "signed": words.signed,
        "interval": words.interval,
        "dollars": words.dollars,
        "duration": words.duration,
        "size": words.size,
        "moment": words.moment,
        "verdict": words.verdict,
        "plain": plain,
        "shortened": shortened,
        "breakable": _breakable,
    }
    environment.globals |= {
        "headline": words.headline,
        "tone": words.tone,
        "certainty": words.CERTAINTY,
        "settings_of": words.settings,
    }
    return environment


@lru_cache(maxsize=1)
def stylesheet() -> str:
    """The style sheet of every page, highlighted code included."""
    own = resources.files("sia.report").joinpath("templates", STYLE_FILE).read_text(encoding="utf-8")
    return f"{own}\n{code_styles()}"


def _breakable(text: str) -> Markup:
    """`text` that may be broken after a slash, a dot or an underscore."""
    return Markup("<wbr>").join(
        Markup("{}").format(part) for part in text.replace("_", "_\0").replace("/", "/\0").split("\0")
    )
