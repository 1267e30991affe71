"""The listener through which a jailed program reaches its one server, where the orchestrator opens or gets it."""

import socket
from collections.abc import Callable, Mapping

from sia.jail.protocol import GATEWAY_PLACEHOLDER, Command


def as_descriptor(command: Command) -> Callable[[int], None] | None:
    """What to do with the listener that the stage program opened in the jail's own network; None: none is wanted."""
    on_listener = command.on_listener
    return (lambda descriptor: on_listener(socket.socket(fileno=descriptor))) if on_listener else None


def open_listener(command: Command) -> Mapping[str, str]:
    """Where the jail shares the machine's network: opens the listener, gives it away, returns the environment."""
    if command.on_listener is None:
        return command.environment
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    command.on_listener(listener)
    return {name: value.replace(GATEWAY_PLACEHOLDER, address) for name, value in command.environment.items()}
