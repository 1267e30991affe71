"""API keys: from the environment, else from `.env` beside where the command runs. They stay in this process."""

import os
from collections.abc import Mapping
from pathlib import Path

from sia.errors import UsageError
from sia.gateway.providers import Provider


def known_variables(file: Path = Path(".env"), environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables of `.env`, overridden by those of the environment. Raises UsageError when it is not UTF-8."""
    variables: dict[str, str] = {}
    if file.is_file():
        from dotenv import dotenv_values

        try:
            variables = {name: value for name, value in dotenv_values(file).items() if value}
        except UnicodeDecodeError as error:
            raise UsageError(f"{file} is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    return variables | {name: value for name, value in environment.items() if value}


def key_of(provider: Provider, variables: Mapping[str, str]) -> str | None:
    """The provider's key; None when there is none or none is needed."""
    return next((variables[name] for name in provider.key_variables if variables.get(name)), None)


def demand_key(provider: Provider, variables: Mapping[str, str], needed_for: str) -> None:
    """Raises UsageError, naming variable, provider and the ways on, when the key that is needed is not there."""
    if provider.key_variables and key_of(provider, variables) is None:
        name = provider.key_variables[0]
        raise UsageError(
            f"{needed_for} needs an API key of {provider.name} and {name} is not set",
            f"three ways on: `export {name}=...` or write it into .env; take a model of another provider, with its "
            "own key or none (`--meta-model`, `--task-model`, e.g. ollama/NAME); or run without any model, "
            "`--backend offline` (every bundled task, and tasks of their kinds)",
        )
