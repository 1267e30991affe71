"""Starts the dashboard: in the foreground for `sia web`, beside a run for `--web`."""

import secrets
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from sia.errors import HostError, UsageError
from sia.web.app import create_app
from sia.web.guard import LOOPBACK_NAMES, Access, host_name

GRACE_SECONDS = 2


@dataclass(frozen=True)
class Place:
    """Where the dashboard is served, and to whom."""

    runs_dir: Path
    host: str = "127.0.0.1"
    port: int = 8321
    """0: any free one."""
    allowed: tuple[str, ...] = ()
    """More names that it may be asked under, such as that of a proxy."""
    prefix: str = ""
    """Path that a proxy leaves in front of every request."""


@dataclass
class Dashboard:
    """A dashboard that is bound to its port and not yet serving."""

    server: uvicorn.Server
    socket: socket.socket
    url: str
    """What to open; holds the token where one is needed."""
    thread: threading.Thread | None = field(default=None)

    def serve(self) -> None:
        """Serves until Ctrl-C."""
        self.server.run(sockets=[self.socket])

    def serve_beside(self) -> None:
        """Serves in a thread that ends with this process."""
        self.thread = threading.Thread(target=self.serve, name="dashboard", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Ends what `serve_beside` began."""
        self.server.should_exit = True
        if self.thread is not None:
            self.thread.join(GRACE_SECONDS + 1)


def open_dashboard(place: Place) -> Dashboard:
    """Binds the port. Raises UsageError or HostError with the remedy when that does not work."""
    if place.prefix and (not place.prefix.startswith("/") or place.prefix.endswith("/")):
        raise UsageError(f"--root-path {place.prefix!r} is not a path", "write it like /sia")
    listening = _bind(place)
    port = listening.getsockname()[1]
    access = access_of(place)
    app = create_app(place.runs_dir, access)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    host = f"[{place.host}]" if ":" in place.host else place.host
    url = f"http://{host}:{port}/" + (f"?token={access.token}" if access.token else "")
    return Dashboard(uvicorn.Server(config), listening, url)


def access_of(place: Place) -> Access:
    """Loopback needs no token; any other address, or any other name, does."""
    names = {name.lower() for name in place.allowed}
    if host_name(_bracketed(place.host)) in LOOPBACK_NAMES and not names:
        return Access(prefix=place.prefix)
    own = {place.host.lower(), socket.gethostname().lower()} - {"", "0.0.0.0", "::"}
    token = secrets.token_urlsafe(24)
    return Access(LOOPBACK_NAMES | names | own, addresses=True, token=token, prefix=place.prefix)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _bind(place: Place) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except socket.gaierror:
        raise UsageError(f"--host {place.host!r} is no address of this machine", "try 127.0.0.1") from None
    except OSError as error:
        raise HostError(
            f"cannot listen on {place.host} port {place.port}: {error.strerror}",
            "choose another port with `--port N` (0: any free one), or an address of this machine",
        ) from None
