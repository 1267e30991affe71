"""Limits and clean ends, on the plain backend and on every wall that works here."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sia.errors import HostError
from sia.jail.choose import WALLS
from sia.jail.probe import probe
from sia.jail.process import ProcessJail
from sia.jail.protocol import Command, Jail, Limits, Mount, Outcome
from sia.jail.scope import has_scopes
from tests.jail.attacks import LEADER_ENDS
from tests.jail.ordinary import ROOT, ordinary_python

MIB = 1 << 20


@pytest.fixture(scope="module", params=["none", *WALLS])
def jail(request: pytest.FixtureRequest) -> Jail:
    if request.param == "none":
        return ProcessJail()
    wall = WALLS[request.param]
    found = probe(wall)
    if not found.works:
        pytest.skip(f"{found.name} does not work here: {found.told}")
    return wall


def run(jail: Jail, folder: Path, code: str, limits: Limits) -> Outcome:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return jail.run(
        Command(
            argv=(sys.executable, "-c", code),
            cwd=work,
            log=folder / "log",
            limits=limits,
            mounts=(Mount(work, writable=True), Mount(Path(sys.prefix))),
            environment={"PATH": "/usr/bin:/bin", "MARK": str(folder)},
        )
    )


def living(folder: Path) -> list[int]:
    """Processes whose environment names this test's folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MARK") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
def test_wall_clock_kills_the_whole_tree(jail: Jail, tmp_path: Path) -> None:
    code = (
        "import os, signal, time\n"
        "for _ in range(3):\n"
        "    if os.fork() == 0:\n"
        "        os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        if os.fork() == 0: time.sleep(100)\n"
        "        time.sleep(100)\n"
        "time.sleep(100)"
    )
    outcome = run(jail, tmp_path, code, Limits(seconds=1.5))
    assert outcome.stopped_by == "wall-clock limit of 1.5 s"
    assert outcome.exit_status is None
    assert living(tmp_path) == []


@pytest.mark.slow
def test_daemon_does_not_outlive_its_program(jail: Jail, tmp_path: Path) -> None:
    code = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(100)\n    os._exit(0)"
    )
    outcome = run(jail, tmp_path, code, Limits(seconds=20))
    assert outcome.exit_status == 0
    assert outcome.seconds < 15
    assert living(tmp_path) == []


@pytest.mark.slow
def test_nothing_outlives_a_killed_caller(jail: Jail, tmp_path: Path) -> None:
    caller = (
        "import sys; from pathlib import Path\n"
        "from sia.jail.choose import choose_jail\n"
        "from tests.jail.test_limits import run\n"
        "from sia.jail.protocol import Limits\n"
        "code = \"import os, time, pathlib; os.fork(); pathlib.Path('up').touch(); time.sleep(100)\"\n"
        "run(choose_jail(sys.argv[1]), Path(sys.argv[2]), code, Limits(seconds=60))"
    )
    process = subprocess.Popen([sys.executable, "-c", caller, jail.name, str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 20
    while not (tmp_path / "work" / "up").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while living(tmp_path):
        assert time.monotonic() < deadline, "a jailed process outlived the caller"
        time.sleep(0.05)


@pytest.mark.slow
def test_fork_bomb_is_stopped(jail: Jail, tmp_path: Path) -> None:
    code = "import os, time\nwhile True:\n    if os.fork() == 0: time.sleep(60)\n    time.sleep(0.002)"
    outcome = run(jail, tmp_path, code, Limits(seconds=30, processes=40))
    assert outcome.stopped_by == "limit of 40 processes"
    assert living(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["time.sleep(60)", LEADER_ENDS], ids=["whole", "without first threads"])
def test_memory_over_many_processes_is_stopped(ending: str, jail: Jail, tmp_path: Path) -> None:
    code = f"""
import ctypes, os, platform, threading, time
def hold():
    time.sleep(0.2)
    held = bytearray(os.urandom(60 << 20))
    time.sleep(60)
for _ in range(5):
    if os.fork() == 0:
        threading.Thread(target=hold).start()
        {ending}
time.sleep(60)
"""
    outcome = run(jail, tmp_path, code, Limits(seconds=30, memory_bytes=150 * MIB))
    assert outcome.stopped_by == "memory limit of 150 MiB"
    assert living(tmp_path) == []


@pytest.mark.slow
def test_shared_memory_is_counted_once(jail: Jail, tmp_path: Path) -> None:
    code = "import os, time\nheld = os.urandom(80 << 20)\nos.fork()\ntime.sleep(1.5)"
    outcome = run(jail, tmp_path, code, Limits(seconds=30, memory_bytes=110 * MIB))
    assert outcome.exit_status == 0, outcome


@pytest.mark.slow
def test_one_process_cannot_take_more_than_its_memory(jail: Jail, tmp_path: Path) -> None:
    outcome = run(jail, tmp_path, "bytearray(4 << 30)", Limits(seconds=30, memory_bytes=300 * MIB))
    assert outcome.exit_status == 1
    assert "MemoryError" in outcome.last_line


@pytest.mark.slow
def test_sparse_file_and_many_files_are_stopped(jail: Jail, tmp_path: Path) -> None:
    sparse = run(jail, tmp_path, "open('hole', 'wb').truncate(1 << 40)", Limits(seconds=20, file_bytes=50 * MIB))
    assert sparse.exit_status not in (0, None)
    many = (
        "import time\n"
        "for k in range(40):\n    open(f'f{k}', 'wb').write(bytes(4 << 20)); time.sleep(0.02)\n"
        "time.sleep(30)"
    )
    outcome = run(jail, tmp_path, many, Limits(seconds=60, disk_bytes=50 * MIB))
    assert outcome.stopped_by == "disk limit of 50 MiB"


@pytest.mark.slow
def test_processor_time_of_the_tree_is_stopped(jail: Jail, tmp_path: Path) -> None:
    code = "import os\nos.fork()\nwhile True: pass"
    outcome = run(jail, tmp_path, code, Limits(seconds=60, cpu_seconds=1.5))
    assert outcome.stopped_by == "limit of 1.5 CPU seconds"


@pytest.mark.slow
def test_gigabyte_of_output_leaves_head_and_tail(jail: Jail, tmp_path: Path) -> None:
    code = "import sys\nprint('first')\nfor _ in range(1024): sys.stdout.write('x' * (1 << 20))\nprint('\\nlast')"
    outcome = run(jail, tmp_path, code, Limits(seconds=120, output_bytes=2 * MIB))
    assert outcome.output_bytes > 1 << 30
    assert outcome.last_line == "last"
    log = (tmp_path / "log").read_bytes()
    assert len(log) < 2 * MIB + 100
    assert log.startswith(b"first")
    assert log.endswith(b"last\n")
    assert b"bytes left out" in log


def test_environment_is_the_commands_own(jail: Jail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "x")
    run(jail, tmp_path, "import os; print(sorted(os.environ))", Limits(seconds=20))
    told = (tmp_path / "log").read_text()
    assert "SECRET_KEY" not in told
    assert "MARK" in told


def test_last_line_has_no_escapes(jail: Jail, tmp_path: Path) -> None:
    outcome = run(jail, tmp_path, r"print('\x1b]0;title\x07\x1b[31mred\x1b[0m\r\n\n')", Limits(seconds=20))
    assert "\x1b" not in outcome.last_line
    assert outcome.last_line.endswith("red")


def test_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    command = Command(("/no/such/program",), tmp_path / "work", tmp_path / "log", Limits(seconds=5))
    with pytest.raises(HostError, match="cannot start /no/such/program"):
        ProcessJail().run(command)


@pytest.mark.slow
def test_chain_of_short_lives_is_stopped(jail: Jail, tmp_path: Path) -> None:
    if jail.name == "none":
        pytest.skip("without walls who forks and ends at once can outrun the warden")
    code = "import os\nif os.fork() == 0:\n    while True:\n        os.setsid()\n        if os.fork(): os._exit(0)"
    outcome = run(jail, tmp_path, code, Limits(seconds=20))
    assert outcome.exit_status == 0
    assert outcome.seconds < 15
    assert living(tmp_path) == []


def test_process_without_its_first_thread_is_stopped(jail: Jail, tmp_path: Path) -> None:
    """It reads as a zombie, and another thread of it works on."""
    code = f"""
import ctypes, os, platform, threading, time
def beat():
    for _ in range(3000):
        open('beat', 'a').write('x')
        time.sleep(0.01)
if os.fork() == 0:
    os.setsid()
    threading.Thread(target=beat).start()
    {LEADER_ENDS}
while not os.path.exists('beat'):
    time.sleep(0.01)
"""
    outcome = run(jail, tmp_path, code, Limits(seconds=20))
    assert outcome.exit_status == 0
    beat = tmp_path / "work" / "beat"
    left = beat.stat().st_size
    time.sleep(0.2)
    assert beat.stat().st_size == left


def test_memory_is_bounded_by_a_scope_where_there_are_scopes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for systemd-run: which limits it is asked for, and that the program gets its own environment."""
    program, record = tmp_path / "bin" / "systemd-run", tmp_path / "asked"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {record}\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    has_scopes.cache_clear()
    try:
        outcome = run(
            ProcessJail(),
            tmp_path,
            "import os; print(sorted(os.environ))",
            Limits(seconds=20, memory_bytes=500 * MIB, processes=10),
        )
    finally:
        has_scopes.cache_clear()
    assert outcome.exit_status == 0
    assert "XDG_RUNTIME_DIR" not in (tmp_path / "log").read_text()
    asked = record.read_text().splitlines()[-1]
    assert "--scope --quiet --collect --unit=sia-" in asked
    assert f"--property MemoryMax={500 * MIB} --property MemorySwapMax=0 --property TasksMax=160" in asked


def test_limits_that_strike_are_told(jail: Jail, tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('x' * 100_000); open('big', 'wb').truncate(1 << 21)"
    limits = Limits(seconds=20, output_bytes=20_000, file_bytes=1 << 21, disk_bytes=50 * MIB)
    outcome = run(jail, tmp_path, code, limits)
    assert outcome.exit_status == 0
    assert outcome.events == (
        "output limit of 19 KiB: 80000 bytes were left out of the log",
        "file size limit of 2 MiB reached",
    )


HIDING = {
    "long path": "import os\nfor _ in range(30): os.mkdir('d' * 200); os.chdir('d' * 200)\n",
    "no name": "import os\nf = open('x', 'wb'); os.unlink('x')\n",
}


@pytest.mark.parametrize("way", HIDING)
def test_disk_limit_holds_for_files_that_hide(way: str, jail: Jail, tmp_path: Path) -> None:
    write = "" if way == "no name" else "f = open('x', 'wb')\n"
    code = HIDING[way] + write + "import time\nf.write(bytes(40 << 20)); f.flush(); time.sleep(20)"
    outcome = run(jail, tmp_path, code, Limits(seconds=15, disk_bytes=5 * MIB))
    assert outcome.stopped_by == "disk limit of 5 MiB"


def test_disk_limit_holds_in_a_folder_that_cannot_be_listed() -> None:
    python = ordinary_python()
    if python is None:
        pytest.skip("no ordinary user can run Python 3.11 and read the tests here")
    code = (
        "import sys, tempfile\n"
        "from pathlib import Path\n"
        "from sia.jail.process import ProcessJail\n"
        "from sia.jail.protocol import Command, Limits, Mount\n"
        'hide = \'import os, time; os.mkdir("d"); f = open("d/x", "wb"); os.chmod("d", 0o300); time.sleep(20)\'\n'
        "with tempfile.TemporaryDirectory(dir='/tmp') as folder:\n"
        "    work = Path(folder, 'work')\n"
        "    work.mkdir()\n"
        "    limits = Limits(seconds=15, disk_bytes=5 << 20)\n"
        "    command = Command((sys.executable, '-c', hide), work, Path(folder, 'log'), limits, (Mount(work, True),))\n"
        "    print(ProcessJail().run(command).stopped_by)\n"
        "    Path(work, 'd').chmod(0o700)\n"
    )
    done = subprocess.run([*python, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "disk limit of 5 MiB\n", done.stderr


def test_a_file_from_before_the_start_is_no_event(jail: Jail, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "held").write_bytes(bytes(2 * MIB))
    time.sleep(0.05)
    assert run(jail, tmp_path, "print(1)", Limits(seconds=15, file_bytes=MIB)).events == ()


def test_an_allocation_that_the_memory_limit_refused_is_an_event(jail: Jail, tmp_path: Path) -> None:
    outcome = run(jail, tmp_path, "x = bytearray(2 << 30)", Limits(seconds=15, memory_bytes=256 * MIB))
    assert any(event.startswith("memory limit of 256 MiB") for event in outcome.events)
