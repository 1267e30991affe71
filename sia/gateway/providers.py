"""Who serves models: the known providers, those of `sia.toml`, and what a model's name means."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sia.errors import UsageError

DialectName = Literal["anthropic", "openai", "gemini"]
LOCAL = "local"
TINKER = "tinker"
TINKER_PATH = "/oai/api/v1"
"""Where Tinker answers in OpenAI's protocol (tinker-docs.thinkingmachines.ai, "OpenAI-Compatible API (Beta)")."""
TINKER_URL = "https://tinker.thinkingmachines.dev/services/tinker-prod"
SHORT_NAMES = {
    "haiku": "claude-haiku-4-5-20251001",
    "sonnet": "claude-sonnet-4-5",
    "opus": "claude-opus-4-5",
}
PREFIXES = {"claude-": "anthropic", "gpt-": "openai", "o1": "openai", "o3": "openai", "o4": "openai"} | {
    "chatgpt-": "openai",
    "text-embedding-": "openai",
    "gemini-": "gemini",
}
"""Beginnings of model names that need no provider before them."""


class TokenPrices(BaseModel):
    """[providers.NAME.prices."MODEL"]: US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(default=None, ge=0, description="default: the price of input")
    cache_write: float | None = Field(default=None, ge=0, description="default: the price of input")
    train: float | None = Field(default=None, ge=0, description="of a token that Tinker trains on")


class ProviderTable(BaseModel):
    """[providers.NAME] in sia.toml. For a known provider every field is an override."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    api_key_env: str | None = Field(default=None, description="variable with the key; none: no key is needed")
    dialect: DialectName | None = Field(default=None, description="default for a new provider: openai")
    prices: dict[str, TokenPrices] = Field(default_factory=dict, description="by model name")


@dataclass(frozen=True)
class Provider:
    """Where calls go and what they carry."""

    name: str
    base_url: str
    """With `/v1` in the OpenAI dialect, without a version in the others, as their clients expect it."""
    dialect: DialectName
    key_variables: tuple[str, ...] = ()
    """The first one that is set has the key; none: no key is needed."""
    url_variable: str | None = None
    """Variable that moves `base_url`, the one that the provider's own client reads."""
    price_id: str | None = None
    """Its name in the price library; None: not there."""
    free: bool = False
    """Costs nothing: it runs on the user's machine."""
    prices: Mapping[str, TokenPrices] = field(default_factory=dict)
    url_path: str = ""
    """Where models answer below the address of `url_variable`."""
    adapter_field: str = "adapter"
    """Field of a request that names the LoRA adapter; `model`: it takes the base model's place."""


@dataclass(frozen=True)
class Model:
    """A model at a provider."""

    provider: Provider
    name: str
    """As its provider calls it, and as a client has to send it."""

    @property
    def full_name(self) -> str:
        """`provider/name`."""
        return f"{self.provider.name}/{self.name}"


KNOWN = {
    provider.name: provider
    for provider in (
        Provider(
            "anthropic",
            "https://api.anthropic.com",
            "anthropic",
            ("ANTHROPIC_API_KEY",),
            "ANTHROPIC_BASE_URL",
            "anthropic",
        ),
        Provider("openai", "https://api.openai.com/v1", "openai", ("OPENAI_API_KEY",), "OPENAI_BASE_URL", "openai"),
        Provider(
            "gemini",
            "https://generativelanguage.googleapis.com",
            "gemini",
            ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
            "GOOGLE_GEMINI_BASE_URL",
            "google",
        ),
        Provider(
            "openrouter", "https://openrouter.ai/api/v1", "openai", ("OPENROUTER_API_KEY",), price_id="openrouter"
        ),
        Provider("together", "https://api.together.xyz/v1", "openai", ("TOGETHER_API_KEY",), price_id="together"),
        Provider("nebius", "https://api.tokenfactory.nebius.com/v1", "openai", ("NEBIUS_API_KEY",)),
        Provider("ollama", "http://localhost:11434/v1", "openai", url_variable="OLLAMA_BASE_URL", free=True),
        Provider(LOCAL, "", "openai", free=True),
        Provider(
            TINKER,
            TINKER_URL + TINKER_PATH,
            "openai",
            ("TINKER_API_KEY",),
            "TINKER_BASE_URL",
            url_path=TINKER_PATH,
            adapter_field="model",
        ),
    )
}


def load_providers(file: Path = Path("sia.toml"), environment: Mapping[str, str] = os.environ) -> dict[str, Provider]:
    """The known providers, moved by variables and by the tables of `file`. Raises UsageError naming the field."""
    providers = {name: replace(p, base_url=_moved(p, environment)) for name, p in KNOWN.items()}
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8")).get("providers", {})
    except FileNotFoundError:
        return providers
    for name, table in tables.items():
        try:
            providers[name] = _provider(name, providers.get(name), ProviderTable.model_validate(table))
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(("providers", name, *(str(part) for part in first["loc"])))
            known = ", ".join(ProviderTable.model_fields)
            raise UsageError(f"{file}: {at}: {first['msg']}", f"fields of a provider: {known}") from None
    return providers


def _moved(provider: Provider, environment: Mapping[str, str]) -> str:
    own = environment.get(provider.url_variable or "")
    return own.rstrip("/") + provider.url_path if own else provider.base_url.rstrip("/")


def _provider(name: str, known: Provider | None, table: ProviderTable) -> Provider:
    if known is None:
        if table.base_url is None:
            raise UsageError(f"sia.toml: providers.{name}.base_url is missing", "say where its server is")
        known = Provider(name, table.base_url, table.dialect or "openai")
    return replace(
        known,
        base_url=(table.base_url or known.base_url).rstrip("/"),
        dialect=table.dialect or known.dialect,
        key_variables=(table.api_key_env,) if table.api_key_env else known.key_variables,
        prices={**known.prices, **table.prices},
    )


def resolve_model(text: str, providers: Mapping[str, Provider]) -> Model:
    """The model that a user's `text` means: `haiku`, `gpt-…`, `openrouter/meta-llama/…`. Raises UsageError."""
    name = SHORT_NAMES.get(text, text)
    first, slash, rest = name.partition("/")
    if slash and rest and first in providers:
        return Model(providers[first], rest)
    if not slash:
        for prefix, provider in PREFIXES.items():
            if name.startswith(prefix):
                return Model(providers[provider], name)
    near = difflib.get_close_matches(first, [*providers, *SHORT_NAMES], n=1)
    raise UsageError(
        f"model {text!r} names no provider",
        (f"did you mean {near[0]!r}? " if near else "")
        + f"Write PROVIDER/MODEL with one of {', '.join(providers)}; or {', '.join(SHORT_NAMES)}",
    )
