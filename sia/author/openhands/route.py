"""At which address a model is called, in the words of LiteLLM: each provider in its own dialect."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

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
    api: Literal["auto", "chat"] = "auto"
    """Whether the newer API of OpenAI may be used where the model has it."""


def route(model: CalledModel, environment: Mapping[str, str]) -> Route:
    """The route of `model`. Ends the program when the environment has none."""
    address, key = VARIABLES[model.dialect]
    # Servers that speak OpenAI's dialect know chat completions; of the responses API one cannot be sure.
    api: Literal["auto", "chat"] = "auto" if model.provider in ("openai", "anthropic", "gemini") else "chat"
    base_url = required(address, environment)
    if model.dialect == "gemini":
        # LiteLLM leaves the version out when it is given an address.
        base_url += "/v1beta"
    return Route(f"{model.dialect}/{model.name}", base_url, required(key, environment), api)
