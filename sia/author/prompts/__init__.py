"""Prompts as templates beside this module; a file of the same name in `prompts/` beside `sia.toml` replaces one."""

import difflib
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined, TemplateError
from jinja2.exceptions import TemplateSyntaxError

from sia.author.brief import Brief
from sia.errors import UsageError

OVERRIDES = Path("prompts")
SUFFIX = ".md.j2"
MAX_DESCRIPTION = 20_000
MAX_SAMPLES = 8_000
MAX_SEED_CODE = 16_000


def render_prompt(
    brief: Brief, description: str, context: str, evidence: str, seed_code: str = "", samples: str = ""
) -> str:
    """The brief in words: the meta-agent's without a parent, else the feedback agent's. Bounded in length.

    Raises UsageError when a template of the user's own cannot be rendered.
    """
    return _render(
        "meta" if brief.parent is None else "feedback",
        brief=brief,
        task=brief.task,
        description=description[:MAX_DESCRIPTION].strip(),
        context=context.strip(),
        evidence=evidence.strip(),
        # Half a program is no seed: a longer one is read where it lies.
        seed_code=seed_code.strip() if len(seed_code) <= MAX_SEED_CODE else "",
        samples=samples[:MAX_SAMPLES].strip(),
    )


def render_system() -> str:
    """Who an author is, whatever its task."""
    return _render("system")


def render_repair(problem: str) -> str:
    """What an author is told whose files cannot be used."""
    return _render("repair", problem=problem)


def check_overrides() -> tuple[str, ...]:
    """Names of the templates that the user replaced. Raises UsageError for a bad or an unknown one."""
    ours = sorted(p.name for p in Path(__file__).parent.glob(f"*{SUFFIX}"))
    found = sorted(p.name for p in OVERRIDES.glob(f"*{SUFFIX}"))
    for name in found:
        if name not in ours:
            near = difflib.get_close_matches(name, ours, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"{OVERRIDES / name} replaces no prompt", f"{hint}prompts: {', '.join(ours)}")
        try:
            _environment().get_template(name)
        except TemplateSyntaxError as error:
            raise UsageError(f"{OVERRIDES / name} line {error.lineno}: {error.message}", "correct the line") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{OVERRIDES / name} cannot be read: {error}", "save it as UTF-8") from None
    return tuple(found)


def _render(name: str, **values: object) -> str:
    try:
        text = _environment().get_template(name + SUFFIX).render(**values)
    except TemplateError as error:
        raise UsageError(f"prompt {name}{SUFFIX}: {error.message}", f"correct it in {OVERRIDES}/") from None
    return text.rstrip() + "\n"


def _environment() -> Environment:
    return Environment(
        loader=ChoiceLoader([FileSystemLoader(OVERRIDES), PackageLoader("sia.author", "prompts")]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
