"""The listener through which a jailed program reaches its one server, where the orchestrator opens or gets it."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from sia.jail.protocol import GATEWAY_PLACEHOLDER, Command, OnListener


def as_descriptor(command: Command) -> Callable[[int], None] | None:
    """What to do with the listener that the stage program opened in the jail's own network; None: none is wanted."""
    on_listener = command.on_listener
    return (lambda descriptor: on_listener(socket.socket(fileno=descriptor))) if on_listener else None


def open_listener(command: Command) -> tuple[Mapping[str, str], tuple[str, int] | None]:
    """Where the jail shares the machine's network: opens the listener and gives it away.

    Returns the command's environment with its address, and the address.
    """
    if command.on_listener is None:
        return command.environment, None
    listener = socket.create_server(("127.0.0.1", 0))
    port = int(listener.getsockname()[1])
    command.on_listener(listener)
    url = f"http://127.0.0.1:{port}"
    environment = {name: value.replace(GATEWAY_PLACEHOLDER, url) for name, value in command.environment.items()}
    return environment, ("127.0.0.1", port)


@contextmanager
def door(path: Path, on_listener: OnListener) -> Iterator[None]:
    """Where no descriptor can be inherited: a socket at `path` to which the stage program brings its listener, once."""
    entrance = socket.socket(socket.AF_UNIX)
    entrance.bind(str(path))
    entrance.listen(1)

    def serve() -> None:
        # Closed when the program ended without having come.
        with suppress(OSError), entrance.accept()[0] as visitor:
            _, descriptors, _, _ = socket.recv_fds(visitor, 1, 1)
            entrance.close()
            if descriptors:
                on_listener(socket.socket(fileno=descriptors[0]))
                visitor.sendall(b"\0")

    serving = threading.Thread(target=serve, name="jail-door", daemon=True)
    serving.start()
    try:
        yield
    finally:
        with suppress(OSError):
            # close() alone would leave the thread waiting.
            entrance.shutdown(socket.SHUT_RDWR)
        entrance.close()
        serving.join(1.0)
