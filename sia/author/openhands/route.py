"""At which address a model is called, in the words of LiteLLM: each provider in its own dialect."""

from collections.abc import Mapping
from dataclasses import dataclass

from sia.author.brief import CalledModel
from sia.author.start import required

VARIABLES = {
    "anthropic": ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
    "gemini": ("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_KEY"),
}


@dataclass(frozen=True)
class Route:
    """A model as LiteLLM knows it."""

    model: str
    base_url: str
    key: str


def route(model: CalledModel, environment: Mapping[str, str]) -> Route:
    """The route of `model`. Ends the program when the environment has none."""
    address, key = VARIABLES[model.dialect]
    return Route(f"{model.dialect}/{model.name}", required(address, environment), required(key, environment))
