"""Plays every attack against one backend and prints what came of each: `python -m tests.jail.play BACKEND FOLDER`.

A program of its own, so that the suite can run it as another user.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path

from sia.jail.choose import ON_REQUEST, WALLS
from sia.jail.probe import probe
from sia.jail.process import ProcessJail
from sia.jail.protocol import GATEWAY_PLACEHOLDER, Command, Jail, Limits, Mount
from tests.jail.attacks import ATTACKS, PREAMBLE, Attack

FOLDERS = ("private", "public", "environment", "outside", "work")


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


def knock(port: int) -> None:
    """Tries to get into a listener that an attack opens."""
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def open_servers(folder: Path) -> Scene:
    """Everything that stays while attacks come and go; ends with this process."""
    abstract = f"sia-test-{os.getpid()}"
    (folder / "sockets").mkdir()
    servers = [
        socket.create_server(("127.0.0.1", 0)),
        socket.create_server(("::1", 0), family=socket.AF_INET6),
        *(socket.socket(f, k) for f, k in ((socket.AF_INET, socket.SOCK_DGRAM), (socket.AF_UNIX, socket.SOCK_STREAM))),
        *(socket.socket(socket.AF_UNIX, k) for k in (socket.SOCK_STREAM, socket.SOCK_DGRAM)),
    ]
    servers[2].bind(("127.0.0.1", 0))
    servers[3].bind("\0" + abstract)
    servers[4].bind(str(folder / "sockets" / "s"))
    servers[5].bind(str(folder / "sockets" / "d"))
    servers[3].listen()
    servers[4].listen()
    listening = free_port()
    for server in servers:
        threading.Thread(target=greet, args=(server,), daemon=True).start()
    threading.Thread(target=knock, args=(listening,), daemon=True).start()
    paths = ("private/answers.txt", *FOLDERS[1:])
    return Scene(
        *(str(folder / path) for path in paths),
        "",
        *(str(server.getsockname()[1]) for server in servers[:3]),
        abstract,
        str(folder / "sockets" / "s"),
        str(folder / "sockets" / "d"),
        str(listening),
    )


@contextlib.contextmanager
def fresh(folder: Path) -> Iterator[str]:
    """Puts back what an attack may have changed; the number of a process that holds the secret open."""
    for name in FOLDERS:
        if os.path.ismount(folder / name):
            subprocess.run(["umount", "-l", str(folder / name)], check=True)
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    secret = folder / "private" / "answers.txt"
    secret.write_text("held-out answer\n")
    (folder / "public" / "data.txt").write_text("data\n")
    # `cat` waits for input, and ends with this process.
    with (
        secret.open() as held,
        subprocess.Popen(
            ["/bin/cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            cwd=folder / "private",
            env={"BYSTANDER_KEY": "x"},
            pass_fds=(held.fileno(),),
            start_new_session=True,
        ) as bystander,
    ):
        try:
            yield str(bystander.pid)
        finally:
            bystander.kill()


def play(jail: Jail, attack: Attack, folder: Path, scene: Scene) -> dict[str, object]:
    """Runs one attack, with a way to a gateway open, and tells how it ended."""
    with fresh(folder) as bystander, contextlib.ExitStack() as gateway:
        there = [bystander if value == "" else value for value in astuple(scene)]
        mounts = [Mount(Path(p)) for p in (scene.public, scene.environment, sys.prefix)]
        outcome = jail.run(
            Command(
                argv=(sys.executable, "-c", PREAMBLE + attack.code, *there),
                cwd=Path(scene.work),
                log=folder / "log",
                limits=Limits(seconds=20),
                mounts=(*mounts, Mount(Path(scene.work), writable=True)),
                environment={"PATH": "/usr/bin:/bin", "GATEWAY": GATEWAY_PLACEHOLDER},
                on_listener=gateway.enter_context,
            )
        )
        log = (folder / "log").read_text(errors="replace")
        return {"attack": str(attack), "log": log[-2000:], "exit_status": outcome.exit_status}


def main() -> None:
    """First whether the backend works here, then a line for each attack."""
    name, parent = sys.argv[1], sys.argv[2]
    jail: Jail = ProcessJail() if name == "none" else {**WALLS, **ON_REQUEST}[name]
    found = probe(jail) if name != "none" else None
    print(json.dumps({"works": found is None or found.works, "told": found.told if found else ""}), flush=True)
    if found is not None and not found.works:
        return
    # A short path: names of sockets have to fit in 108 bytes.
    with tempfile.TemporaryDirectory(prefix="jail-", dir=parent, ignore_cleanup_errors=True) as folder:
        scene = open_servers(Path(folder))
        for attack in ATTACKS:
            print(json.dumps(play(jail, attack, Path(folder), scene)), flush=True)


if __name__ == "__main__":
    main()
