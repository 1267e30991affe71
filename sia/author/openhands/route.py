"""Which address a model is called at, in the words of LiteLLM: each provider in its own dialect."""

from collections.abc import Mapping
from dataclasses import dataclass

from sia.author.start import fail


@dataclass(frozen=True)
class Route:
    """A model as LiteLLM knows it."""

    model: str
    base_url: str
    key: str


def route(model: str, environment: Mapping[str, str]) -> Route:
    """The route of `PROVIDER/NAME`; whatever is not Anthropic's or Gemini's speaks the dialect of OpenAI."""
    provider, _, name = model.partition("/")
    if provider == "anthropic":
        return Route(model, *_found(environment, "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"))
    if provider == "gemini":
        return Route(model, *_found(environment, "GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"))
    spelled = model if provider == "openai" and name else f"openai/{model}"
    return Route(spelled, *_found(environment, "OPENAI_BASE_URL", "OPENAI_API_KEY"))


def _found(environment: Mapping[str, str], *names: str) -> list[str]:
    for name in names:
        if not environment.get(name):
            fail(f"{name} is not set: there is no model to talk to")
    return [environment[name] for name in names]
