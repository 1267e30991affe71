"""A gateway with a scripted provider behind it, and programs that reach it through a jail."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sia.gateway.access import Access
from sia.gateway.gateway import Gateway, Rules
from sia.gateway.providers import KNOWN, Model
from sia.gateway.recording import Recording
from sia.gateway.trace import Role
from sia.jail.protocol import GATEWAY_PLACEHOLDER

KEY = "sk-real-0123456789-never-seen"
MODELS = {"anthropic": "claude-haiku-4-5-20251001", "openai": "gpt-4o-mini", "gemini": "gemini-2.5-flash"}


def model_at(url: str, provider: str, name: str | None = None) -> Model:
    """A model of a known provider, moved to the scripted one."""
    known = KNOWN[provider]
    base = f"{url}/v1" if known.dialect == "openai" else url
    return Model(replace(known, base_url=base), name or MODELS[known.dialect])


def keys() -> dict[str, str]:
    """Every known provider's key variable with the same secret."""
    return {name: KEY for provider in KNOWN.values() for name in provider.key_variables}


@contextmanager
def gateway_at(
    folder: Path, models: Mapping[Role, Model], rules: Rules | None = None, replay: Recording | None = None
) -> Iterator[Gateway]:
    """A gateway whose calls are written to `folder`."""
    gateway = Gateway(folder, models, keys(), rules, replay)
    try:
        yield gateway
    finally:
        gateway.close()


@contextmanager
def opened(gateway: Gateway, role: Role = "target", generation: int = 1) -> Iterator[tuple[Access, dict[str, str]]]:
    """An access with its variables as a program outside any jail gets them, address included."""
    with gateway.access(role, generation) as access:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert access.on_listener is not None
        access.on_listener(listener)
        yield access, {k: v.replace(GATEWAY_PLACEHOLDER, address) for k, v in access.variables.items()}
