"""Every attack against every backend that works here. Without a jail it has to succeed, or it would prove nothing."""

import contextlib
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest

from sia.jail.choose import WALLS
from sia.jail.probe import probe
from sia.jail.process import ProcessJail
from sia.jail.protocol import Command, Jail, Limits, Mount, Outcome
from tests.jail.attacks import ATTACKS, PREAMBLE, Attack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="system call numbers of the attacks are x86-64's"),
]


@dataclass(frozen=True)
class Scene:
    """What attacks go for, in the order of the names in the attacks' preamble."""

    secret: str
    public: str
    environment: str
    outside: str
    work: str
    bystander: str
    tcp4: str
    tcp6: str
    udp: str
    abstract: str
    path_socket: str
    path_datagram: str
    listening: str


def greet(server: socket.socket) -> None:
    """Says hello to everyone who comes."""
    while True:
        try:
            if server.type == socket.SOCK_DGRAM:
                _, sender = server.recvfrom(16)
                if sender:
                    server.sendto(b"hello", sender)
            else:
                guest, _ = server.accept()
                guest.sendall(b"hello")
                guest.close()
        except OSError:
            return


def knock(port: int, stop: threading.Event) -> None:
    """Tries to get into a listener that an attack opens."""
    while not stop.is_set():
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    for name in ("private", "public", "environment", "outside", "work"):
        (folder / name).mkdir()
    (folder / "private" / "answers.txt").write_text("held-out answer\n")
    (folder / "public" / "data.txt").write_text("data\n")
    abstract = f"sia-test-{os.getpid()}-{folder.name}"
    servers = [
        socket.create_server(("127.0.0.1", 0)),
        socket.create_server(("::1", 0), family=socket.AF_INET6),
        *(socket.socket(f, k) for f, k in ((socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM))),
        *(socket.socket(socket.AF_UNIX, k) for k in (socket.SOCK_STREAM, socket.SOCK_DGRAM)),
    ]
    servers[2].bind(("127.0.0.1", 0))
    servers[3].bind("\0" + abstract)
    servers[4].bind(str(folder / "outside" / "s"))
    servers[5].bind(str(folder / "outside" / "d"))
    servers[3].listen()
    servers[4].listen()
    bystander = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        cwd=folder / "private",
        env={"BYSTANDER_KEY": "x"},
        start_new_session=True,
    )
    listening, stop = free_port(), threading.Event()
    for server in servers:
        threading.Thread(target=greet, args=(server,), daemon=True).start()
    threading.Thread(target=knock, args=(listening, stop), daemon=True).start()
    try:
        yield Scene(
            *(str(folder / p) for p in ("private/answers.txt", "public", "environment", "outside", "work")),
            str(bystander.pid),
            *(str(server.getsockname()[1]) for server in servers[:3]),
            abstract,
            str(folder / "outside" / "s"),
            str(folder / "outside" / "d"),
            str(listening),
        )
    finally:
        stop.set()
        for server in servers:
            server.close()
        bystander.kill()
        bystander.communicate()


def play(jail: Jail, attack: Attack, folder: Path) -> tuple[Outcome, str]:
    with scene(folder) as there:
        mounts = [Mount(Path(p)) for p in (there.public, there.environment, sys.prefix)]
        outcome = jail.run(
            Command(
                argv=(sys.executable, "-c", PREAMBLE + attack.code, *astuple(there)),
                cwd=Path(there.work),
                log=folder / "log",
                limits=Limits(seconds=20),
                mounts=(*mounts, Mount(Path(there.work), writable=True)),
                environment={"PATH": "/usr/bin:/bin"},
            )
        )
        return outcome, (folder / "log").read_text()


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path: names of sockets have to fit in 108 bytes."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="jail-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attack_succeeds_without_a_jail(attack: Attack, place: Path) -> None:
    _, log = play(ProcessJail(), attack, place)
    if attack.needs and "REACHED" not in log:
        pytest.skip(f"this machine does not give {attack.needs}: {log.strip().splitlines()[-1:]}")
    assert "REACHED" in log


@pytest.fixture(scope="module", params=WALLS)
def wall(request: pytest.FixtureRequest) -> Jail:
    jail = WALLS[request.param]
    found = probe(jail)
    if not found.works:
        pytest.skip(f"{found.name} does not work here: {found.told}")
    return jail


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attack_fails_in_the_jail(attack: Attack, wall: Jail, place: Path) -> None:
    if wall.name in attack.except_on:
        pytest.skip(f"a gap of {wall.name} that its `gaps` and docs/security.md name")
    outcome, log = play(wall, attack, place)
    assert "REACHED" not in log
    assert outcome.exit_status is not None
    assert outcome.exit_status != 126, log
