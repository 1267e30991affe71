"""At which address OpenHands calls a model."""

import pytest

from sia.author.brief import CalledModel
from sia.author.openhands.route import Route, route

VARIABLES = {
    "ANTHROPIC_BASE_URL": "http://gateway",
    "ANTHROPIC_API_KEY": "a",
    "OPENAI_BASE_URL": "http://gateway/v1",
    "OPENAI_API_KEY": "o",
    "GOOGLE_GEMINI_BASE_URL": "http://gateway",
    "GEMINI_API_KEY": "g",
}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            CalledModel(name="claude-haiku-4-5", dialect="anthropic", provider="anthropic"),
            Route("anthropic/claude-haiku-4-5", "http://gateway", "a"),
        ),
        (
            CalledModel(name="gpt-5-mini", dialect="openai", provider="openai"),
            Route("openai/gpt-5-mini", "http://gateway/v1", "o"),
        ),
        (
            CalledModel(name="gemini-2.5-flash", dialect="gemini", provider="gemini"),
            Route("gemini/gemini-2.5-flash", "http://gateway/v1beta", "g"),
        ),
        (
            CalledModel(name="qwen3:8b", dialect="openai", provider="ollama"),
            Route("openai/qwen3:8b", "http://gateway/v1", "o", "chat"),
        ),
        (
            CalledModel(name="meta-llama/llama-4", dialect="openai", provider="openrouter"),
            Route("openai/meta-llama/llama-4", "http://gateway/v1", "o", "chat"),
        ),
    ],
)
def test_each_provider_is_called_in_its_dialect(model: CalledModel, expected: Route) -> None:
    assert route(model, VARIABLES) == expected


def test_missing_address_ends_the_program() -> None:
    with pytest.raises(SystemExit, match="OPENAI_BASE_URL is not set"):
        route(CalledModel(name="m", dialect="openai"), {})
