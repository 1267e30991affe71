"""Finds out by trying whether a backend holds: a small program in the jail goes for things that it must not reach."""

import json
import select
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from sia.errors import SiaError
from sia.jail.protocol import Command, Jail, Limits, Mount

ENGINE_FAILED = 125
"""Exit status of docker and podman where no container came about; the first line says why."""
SECONDS = 20.0
CANARY = "SIA_PROBE_CANARY"
ATTEMPTS = """
import json, os, socket, sys
secret, tcp, udp, writable, outside = sys.argv[1:6]

def tries(action):
    try:
        return bool(action())
    except OSError:
        return False

def write(path):
    with open(path, "w") as file:
        return file.write("x")

def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        return s.sendto(b"x", ("127.0.0.1", int(udp)))

def environments():
    for name in os.listdir("/proc"):
        if name.isdigit() and tries(lambda: b"SIA_PROBE_CANARY" in open(f"/proc/{name}/environ", "rb").read()):
            return True
    return False

print(json.dumps({
    "runs": tries(lambda: write(writable)),
    "a file that is not mounted": tries(lambda: open(secret).read()),
    "outside": tries(lambda: write(outside)),
    "the environment of another process": tries(environments),
    "TCP": tries(lambda: socket.create_connection(("127.0.0.1", int(tcp)), timeout=2)),
    "UDP": tries(send),
}))
"""


@dataclass(frozen=True)
class Probe:
    """What a backend did on this machine."""

    name: str
    works: bool
    """It started a program that could work, and kept it from everything that was tried."""
    told: str
    """What failed, in words; empty when it works."""


def probe(jail: Jail) -> Probe:
    """Runs the attempts in `jail`. Never raises: what goes wrong is the finding."""
    with tempfile.TemporaryDirectory(prefix="sia-probe-") as folder:
        try:
            return _probe(jail, Path(folder))
        except (SiaError, OSError, ValueError) as error:
            return Probe(jail.name, False, str(error))


def _probe(jail: Jail, folder: Path) -> Probe:
    inside, secret, outside = folder / "inside", folder / "secret", folder / "outside"
    inside.mkdir()
    secret.write_text("canary")
    bystander = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE, env={CANARY: "1"}
    )
    try:
        with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            ports = [str(s.getsockname()[1]) for s in (tcp, udp)]
            argv = [sys.executable, "-I", "-S", "-c", ATTEMPTS, str(secret), *ports, str(inside / "x"), str(outside)]
            outcome = jail.run(
                Command(
                    argv=tuple(argv),
                    cwd=inside,
                    log=folder / "log",
                    limits=Limits(seconds=SECONDS),
                    mounts=(Mount(inside, writable=True), Mount(Path(sys.prefix))),
                )
            )
            arrived = bool(select.select([udp], [], [], 0)[0])
    finally:
        bystander.kill()
        bystander.communicate()
    if outcome.exit_status == ENGINE_FAILED:
        return Probe(jail.name, False, (folder / "log").read_text(errors="replace").strip().partition("\n")[0])
    if not outcome.succeeded:
        return Probe(jail.name, False, outcome.last_line or outcome.stopped_by or "the program did not start")
    reached = json.loads((folder / "log").read_text().splitlines()[-1])
    # What the jail alone cannot tell: a packet may be lost, a file may lie on the jail's own disk.
    reached["UDP"] = arrived
    reached["outside"] = outside.exists()
    if not reached.pop("runs"):
        return Probe(jail.name, False, "the program cannot write where it may")
    open_doors = [name for name, done in reached.items() if done]
    return Probe(jail.name, not open_doors, f"it reached {', '.join(open_doors)}" if open_doors else "")
