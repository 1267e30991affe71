"""The server's life: it ends with its parent, however that ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sia.local.process import start_local_model
from tests.local.conftest import NAME

pytestmark = pytest.mark.slow


def servers_below(pid: int) -> list[psutil.Process]:
    return [p for p in psutil.Process(pid).children(recursive=True) if "sia.local.server" in p.cmdline()]


def wait_until_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive


def test_close_ends_the_server() -> None:
    before = servers_below(os.getpid())
    model = start_local_model(NAME, lambda _: None)
    mine = [p for p in servers_below(os.getpid()) if p not in before]
    assert mine
    model.close()
    model.close()
    wait_until_gone(mine)


def test_killed_parent_leaves_no_server(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        "import time\nfrom sia.local.process import start_local_model\n"
        f"model = start_local_model({NAME!r}, lambda _: None)\nprint(model.base_url, flush=True)\ntime.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        assert parent.stdout.readline().startswith(b"http://127.0.0.1:")
        servers = servers_below(parent.pid)
        assert servers
        parent.send_signal(signal.SIGKILL)
    wait_until_gone(servers)


def test_parent_killed_while_the_server_starts(tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(f"from sia.local.process import start_local_model\nstart_local_model({NAME!r}, print)\n")
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.DEVNULL) as parent:
        deadline = time.monotonic() + 60
        while not (servers := servers_below(parent.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert servers
        parent.send_signal(signal.SIGKILL)
    wait_until_gone(servers)
