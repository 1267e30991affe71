"""The way to the one server: reached from every backend, and nothing else is."""

import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sia.errors import HostError
from sia.jail.protocol import GATEWAY_PLACEHOLDER, Command, Jail, Limits, Mount, Outcome

ANSWER = b"the one server"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


class Gateway:
    """Serves on the listener that the jail hands out."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._servers: list[http.server.ThreadingHTTPServer] = []

    def take(self, listener: socket.socket) -> None:
        self.ports.append(listener.getsockname()[1])
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        server.socket.close()
        server.socket = listener
        server.daemon_threads = True
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


@contextmanager
def gateway() -> Iterator[Gateway]:
    serving = Gateway()
    try:
        yield serving
    finally:
        serving.close()


def run(jail: Jail, folder: Path, code: str, serving: Gateway, *arguments: str) -> tuple[Outcome, str]:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    outcome = jail.run(
        Command(
            argv=(sys.executable, "-c", code, *arguments),
            cwd=work,
            log=folder / "log",
            limits=Limits(seconds=30),
            mounts=(Mount(work, writable=True), Mount(Path(sys.prefix))),
            environment={"PATH": "/usr/bin:/bin", "BASE_URL": f"{GATEWAY_PLACEHOLDER}/v1"},
            on_listener=serving.take,
        )
    )
    return outcome, (folder / "log").read_text()


@pytest.mark.parametrize(
    "client",
    [
        "import http.client, urllib.parse as u; c = http.client.HTTPConnection(u.urlsplit(url).netloc, timeout=10); "
        "c.request('GET', '/v1/models'); print(c.getresponse().read().decode())",
        "import httpx; print(httpx.get(url + '/models', timeout=10).text)",
        "import asyncio, httpx\nasync def go():\n"
        "    async with httpx.AsyncClient(timeout=10) as c:\n"
        "        answers = await asyncio.gather(*(c.get(url) for _ in range(8)))\n"
        "        print(*{a.text for a in answers})\nasyncio.run(go())",
    ],
    ids=["http.client", "httpx", "asyncio"],
)
def test_clients_get_an_answer(any_jail: Jail, client: str, tmp_path: Path) -> None:
    with gateway() as serving:
        outcome, log = run(any_jail, tmp_path, f"import os\nurl = os.environ['BASE_URL']\n{client}", serving)
        assert outcome.exit_status == 0, log
        assert log == ANSWER.decode() + "\n"
        assert len(serving.ports) == 1


def test_nothing_else_is_reached(wall: Jail, tmp_path: Path) -> None:
    code = (
        "import os, socket, sys, urllib.parse as u\n"
        "port, other = u.urlsplit(os.environ['BASE_URL']).port, int(sys.argv[1])\n"
        "def knock(family, host, port):\n"
        "    with socket.socket(family) as s:\n"
        "        s.settimeout(3); s.connect((host, port)); return s\n"
        "knock(socket.AF_INET, '127.0.0.1', port); print('gateway')\n"
        "for place in [(socket.AF_INET, '127.0.0.1', other), (socket.AF_INET, sys.argv[2], port),\n"
        "              (socket.AF_INET, sys.argv[2], other), (socket.AF_INET6, '::1', port)]:\n"
        "    try: knock(*place); print('reached', place)\n"
        "    except OSError: pass\n"
    )
    # Any address of 127/8 leads here, so that a listener on all of them answers for "the same port elsewhere".
    with gateway() as serving, socket.create_server(("0.0.0.0", 0)) as other:
        elsewhere: list[socket.socket] = []

        def take(listener: socket.socket) -> None:
            port = listener.getsockname()[1]
            elsewhere.append(socket.create_server(("127.0.0.2", port)))
            serving_take(listener)

        serving_take, serving.take = serving.take, take  # type: ignore[method-assign]
        outcome, log = run(wall, tmp_path, code, serving, str(other.getsockname()[1]), "127.0.0.2")
        for server in elsewhere:
            server.close()
    assert outcome.exit_status == 0, log
    assert log == "gateway\n"


def test_program_inherits_no_descriptor(any_jail: Jail, tmp_path: Path) -> None:
    code = (
        "import os; print(sorted(os.readlink(f'/proc/self/fd/{n}') for n in map(int, os.listdir('/proc/self/fd')[:3])))"
    )
    with gateway() as serving:
        _, log = run(any_jail, tmp_path, code, serving)
    assert "/dev/null" in log
    assert "socket" not in log


def test_program_that_cannot_start_is_told(any_jail: Jail, tmp_path: Path) -> None:
    command = Command(
        ("/no/such/program",),
        tmp_path,
        tmp_path / "log",
        Limits(seconds=10),
        mounts=(Mount(tmp_path, writable=True),),
        on_listener=lambda listener: listener.close(),
    )
    if any_jail.name == "none":
        with pytest.raises(HostError, match="cannot start /no/such/program"):
            any_jail.run(command)
    else:
        assert any_jail.run(command).exit_status == 126
