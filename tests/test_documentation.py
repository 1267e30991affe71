"""The documents say what is there."""

from pathlib import Path

import pytest

from sia.author.program import AUTHORS
from sia.gateway.providers import KNOWN
from sia.settings import RunSettings

CONFIGURATION = (Path(__file__).parents[1] / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize("name", RunSettings.model_fields)
def test_every_setting_is_documented(name: str) -> None:
    assert f"`--{name.replace('_', '-')}" in CONFIGURATION


@pytest.mark.parametrize("name", KNOWN)
def test_every_provider_is_documented(name: str) -> None:
    provider = KNOWN[name]
    for word in (f"`{name}`", *provider.key_variables, provider.base_url, provider.url_variable or ""):
        assert word in CONFIGURATION


@pytest.mark.parametrize("name", AUTHORS)
def test_every_backend_is_documented(name: str) -> None:
    assert f"| `{name}` |" in CONFIGURATION
