"""Prompts of the meta-agent and the feedback agent, as templates beside this module."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from sia.author.brief import Brief

MAX_DESCRIPTION = 20_000


def render_prompt(brief: Brief, description: str, context: str, evidence: str) -> str:
    """The brief in words: the meta-agent's without a parent, else the feedback agent's. Bounded in length."""
    environment = Environment(
        loader=PackageLoader("sia.author", "prompts"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    template = environment.get_template("meta.md.j2" if brief.parent is None else "feedback.md.j2")
    return template.render(
        brief=brief, task=brief.task, description=description[:MAX_DESCRIPTION], context=context, evidence=evidence
    )
