"""The configured meta model, through the gateway, as the writer of descriptions of similar tasks."""

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from sia.gateway.keys import demand_key, known_variables
from sia.gateway.plan import ModelPlan
from sia.gateway.providers import load_providers, resolve_model
from sia.prepare.samples import Endpoint, write_similar_tasks
from sia.settings import load_settings


def sample_writer() -> Callable[[str, Callable[[str], None]], str]:
    """What turns a description into descriptions of similar tasks. Raises UsageError: no such model, no key for it."""
    settings = load_settings({})
    model, variables = resolve_model(settings.meta_model, load_providers()), known_variables()
    demand_key(model.provider, variables, "--samples")

    def write(description: str, tell: Callable[[str], None]) -> str:
        tell(f"asking {model.full_name} for descriptions of similar tasks")
        with tempfile.TemporaryDirectory() as folder:
            gateway = ModelPlan(settings, {"author": model}, variables, None, tell).open(Path(folder))
            try:
                with gateway.access("author", 1) as access:
                    listener = socket.create_server(("127.0.0.1", 0))
                    assert access.on_listener is not None
                    access.on_listener(listener)
                    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
                    token = access.variables["OPENAI_API_KEY"]
                    text = write_similar_tasks(
                        Endpoint(address, token, model.name, model.provider.dialect), description
                    )
            finally:
                gateway.close()
        return text

    return write
