"""The jail that an evaluator is lent for a program of a submission: inside every backend, attacked."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sia.jail.lend import inner_jail, inner_mounts
from sia.jail.protocol import Command, Jail, Limits, Mount
from tests.jail.attacks import LEADER_ENDS

PYTHON = Path(sys.executable)
EVALUATOR = """
import json, os, shlex, subprocess, sys
scratch, programs = sys.argv[1], json.loads(sys.argv[2])
inner = shlex.split(os.environ["SIA_INNER_JAIL"])
told = {}
os.environ["ANSWER"] = "held-out answer"
for name, code in programs.items():
    argv = [*inner, "--seconds", "5", "--write", scratch, "--", sys.executable, "-I", "-c", code, scratch, sys.argv[3]]
    done = subprocess.run(argv, env={"HOME": scratch}, capture_output=True, text=True, timeout=30)
    told[name] = [done.returncode, done.stdout.strip(), done.stderr.strip()[-200:]]
print(json.dumps(told))
"""
ATTACKS = {
    "reads the private folder": "import sys; print(open(sys.argv[2]).read())",
    "lists the private folder": "import sys, pathlib; print(list(pathlib.Path(sys.argv[2]).parent.iterdir()))",
    "reads the evaluator's variables": "import os; print(open(f'/proc/{os.getppid()}/environ').read())",
    "reads the variables of all": """
import os
for name in range(1, 500):
    try:
        print(open(f'/proc/{name}/environ').read())
    except OSError:
        pass
raise SystemExit(1)
""",
    "reads the evaluator's memory": "import os; print(open(f'/proc/{os.getppid()}/mem', 'rb').read(1))",
    "kills the evaluator": "import os; os.kill(os.getppid(), 9)",
    "forges results": "import sys; open('results.json', 'w').write('{}')",
    "writes beside its folder": "import sys; open(sys.argv[2] + '.forged', 'w').write('x')",
    "makes namespaces": "import os; os.unshare(os.CLONE_NEWUSER) if hasattr(os, 'unshare') else sys.exit(1)",
}
HONEST = {
    "computes": "import json, decimal; print(sum(range(10)))",
    "writes into its folder": "import sys; open(sys.argv[1] + '/own', 'w').write('x'); print('written')",
    "uses threads": "from concurrent.futures import ThreadPoolExecutor as P; print(sum(P(4).map(int, '1234')))",
}


def test_programs_of_submissions_reach_nothing(any_jail: Jail, tmp_path: Path) -> None:
    work, private = tmp_path / "work", tmp_path / "private"
    (work / "scratch").mkdir(parents=True)
    private.mkdir()
    (private / "answers.txt").write_text("held-out answer")
    (tmp_path / "evaluate.py").write_text(EVALUATOR)
    programs = json.dumps(ATTACKS | HONEST)
    argv = (str(PYTHON), str(tmp_path / "evaluate.py"), str(work / "scratch"), programs, str(private / "answers.txt"))
    mounts = (Mount(tmp_path / "evaluate.py"), Mount(private), Mount(work, writable=True), Mount(PYTHON.parent.parent))
    outcome = any_jail.run(
        Command(
            argv=argv,
            cwd=work,
            log=tmp_path / "log",
            limits=Limits(seconds=60, memory_bytes=2 << 30),
            mounts=(*mounts, *inner_mounts()),
            environment={"PATH": "/usr/bin:/bin", **inner_jail(PYTHON)},
        )
    )
    assert outcome.succeeded, (tmp_path / "log").read_text()
    told = json.loads((tmp_path / "log").read_text().splitlines()[-1])
    for name in ATTACKS:
        status, out, _ = told[name]
        assert status not in (0, 124, 126), (name, told[name])
        assert "held-out" not in out
    assert [told[name][:2] for name in HONEST] == [[0, "45"], [0, "written"], [0, "10"]]
    assert not list(tmp_path.rglob("*.forged"))
    assert not (work / "results.json").exists()


def start(code: str, *options: str) -> "subprocess.Popen[str]":
    prefix = inner_jail(PYTHON)["SIA_INNER_JAIL"].split()
    return subprocess.Popen(
        [*prefix, *options, "--", str(PYTHON), "-I", "-c", code], stdout=subprocess.PIPE, text=True, env={}
    )


def living(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if any(mark.encode() in word for word in words) and str(os.getpid()) != entry.name and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("ending", ["by itself", "time", "order"])
def test_nothing_outlives_the_program(ending: str) -> None:
    mark = f"sia-inner-{os.getpid()}-{ending.split()[-1]}"
    waits = "" if ending == "by itself" else "time.sleep(60)"
    code = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(60)", {mark!r}], start_new_session=True)
print("left", flush=True)
{waits}
"""
    with start(code, "--seconds", "1.5" if ending == "time" else "50") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "left\n"
        if ending == "order":
            child.terminate()
        status = child.wait(20)
    assert status == {"by itself": 0, "time": 124, "order": 128 + signal.SIGTERM}[ending]
    assert living(mark) == []


@pytest.mark.parametrize("ending", ["nothing", LEADER_ENDS], ids=["whole", "without its first thread"])
def test_a_halted_program_does_nothing_until_it_may_go_on(ending: str, tmp_path: Path) -> None:
    code = f"""
import ctypes, platform, threading, time
nothing = None
def beat():
    while True:
        open({str(tmp_path / "beat")!r}, 'a').write('x')
        time.sleep(0.01)
threading.Thread(target=beat).start()
{ending}
"""
    with start(code, "--write", str(tmp_path), "--seconds", "30") as child:
        try:
            beat = tmp_path / "beat"
            assert grows(beat, 0)
            child.send_signal(signal.SIGUSR1)
            time.sleep(0.3)
            halted = beat.stat().st_size
            time.sleep(0.3)
            assert beat.stat().st_size == halted
            child.send_signal(signal.SIGUSR2)
            assert grows(beat, halted)
        finally:
            child.terminate()


def grows(file: Path, beyond: int) -> bool:
    """Whether the file is longer than that within ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if file.exists() and file.stat().st_size > beyond:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("words", [["--nope", "1"], ["--seconds"], []])
def test_what_it_does_not_understand_it_does_not_start(words: list[str]) -> None:
    with start("print('ran')", *words[:-1] if words else ["--seconds", "soon"], *words[-1:]) as child:
        out, _ = child.communicate(timeout=20)
    assert child.returncode == 126
    assert out == ""
