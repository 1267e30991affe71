"""The container backends: with a stand-in that runs what it is asked to, and with a real engine if there is one.

The stand-in proves the arguments' shape, the way to the gateway and the clean end.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sia.errors import HostError
from sia.jail.container import IMAGE_VARIABLE, ContainerJail
from sia.jail.probe import probe
from sia.jail.protocol import Command, Limits, Mount, Outcome
from tests.jail.attacks import ATTACKS
from tests.jail.test_listener import ANSWER, gateway

ROOT = Path(__file__).parents[2]
ENGINE = """#!{python}
import json, os, sys
with open({record!r}, "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "run":
    rest = sys.argv[2:]
    flags = ("--rm", "--init", "--read-only")
    environment = {{}}
    while rest[0].startswith("--"):
        name = rest.pop(0)
        value = None if name in flags else rest.pop(0)
        if name == "--env":
            key, _, text = value.partition("=")
            environment[key] = text
        if name == "--workdir":
            os.chdir(value)
    os.execve(rest[1], rest[1:], environment)
"""


@pytest.fixture(params=["docker", "podman"])
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    record, program = tmp_path / "asked", tmp_path / "bin" / request.param
    program.parent.mkdir()
    program.write_text(ENGINE.format(python=sys.executable, record=str(record)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return request.param, record


def test_program_runs_with_all_walls_asked_for_and_reaches_the_gateway(
    engine: tuple[str, Path], tmp_path: Path
) -> None:
    name, record = engine
    work = tmp_path / "work"
    work.mkdir()
    code = "import os, urllib.request as r; print(r.urlopen(os.environ['URL'], timeout=5).read().decode())"
    with gateway() as serving:
        outcome = ContainerJail(name).run(
            Command(
                argv=(sys.executable, "-c", code),
                cwd=work,
                log=tmp_path / "log",
                limits=Limits(seconds=20, memory_bytes=1 << 30, processes=64, file_bytes=1 << 20),
                mounts=(Mount(work, writable=True), Mount(Path(sys.prefix))),
                environment={"URL": "{gateway}/"},
                on_listener=serving.take,
            )
        )
    assert outcome.exit_status == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "log").read_text() == ANSWER.decode() + "\n"
    run, remove = (json.loads(line) for line in record.read_text().splitlines())
    asked = " ".join(run)
    for wall in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--pids-limit 64",
        f"--memory {1 << 30} --memory-swap {1 << 30}",
        f"--cpus {os.cpu_count()}",
        f"--ulimit fsize={1 << 20}:{1 << 20}",
        "--tmpfs /tmp:rw,nosuid,nodev",
        f"--user {os.getuid()}:{os.getgid()}",
        "--init",
        "--rm",
        f"type=bind,src={work},dst={work}",
        f"type=bind,src={sys.prefix},dst={sys.prefix},readonly",
    ):
        assert f" {wall}" in asked or wall in asked.split(), wall
    assert "docker.sock" not in asked
    assert remove == ["rm", "--force", run[run.index("--name") + 1]]


def test_missing_engine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError, match="podman is not installed"):
        ContainerJail("podman").run(Command(("/bin/true",), tmp_path, tmp_path / "log", Limits(seconds=5)))


@pytest.fixture(scope="module", params=["docker", "podman"])
def real_engine(request: pytest.FixtureRequest) -> Iterator[str]:
    """An engine that runs here, with an image of its own that holds nothing but the usual links in the root folder."""
    name = str(request.param)
    try:
        subprocess.run([name, "info"], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        pytest.skip(f"no {name} that runs here")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for link in ("bin", "lib", "lib64", "sbin"):
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{link}"
            archive.addfile(entry)
    image = "sia-test-root"
    subprocess.run([name, "import", "-", image], input=content.getvalue(), capture_output=True, timeout=60, check=True)
    before = os.environ.get(IMAGE_VARIABLE)
    os.environ[IMAGE_VARIABLE] = image
    found = probe(ContainerJail(name))
    if found.works:
        yield name
    os.environ.pop(IMAGE_VARIABLE)
    if before is not None:
        os.environ[IMAGE_VARIABLE] = before
    subprocess.run([name, "rmi", "--force", image], capture_output=True, timeout=60, check=False)
    if not found.works:
        pytest.skip(f"{name} does not hold here: {found.told}")


def run(engine: str, folder: Path, code: str, limits: Limits) -> Outcome:
    """Runs Python code in a container."""
    work = folder / "work"
    work.mkdir()
    mounts = (Mount(work, writable=True), Mount(Path(sys.prefix)))
    return ContainerJail(engine).run(Command((sys.executable, "-c", code), work, folder / "log", limits, mounts))


@pytest.mark.slow
def test_every_attack_fails_in_a_real_container(real_engine: str) -> None:
    argv = [sys.executable, "-m", "tests.jail.play", real_engine, "/tmp"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=600, check=True)
    first, *played = map(json.loads, done.stdout.splitlines())
    assert first["works"]
    assert len(played) == len(ATTACKS)
    assert [p["attack"] for p in played if "REACHED" in p["log"] or p["exit_status"] in (None, 125, 126, 127)] == []


@pytest.mark.slow
def test_the_gateway_is_reached_from_a_real_container(real_engine: str, tmp_path: Path) -> None:
    code = "import os, urllib.request as r; print(r.urlopen(os.environ['URL'], timeout=5).read().decode())"
    with gateway() as serving:
        outcome = ContainerJail(real_engine).run(
            Command(
                argv=(sys.executable, "-c", code),
                cwd=tmp_path,
                log=tmp_path / "log",
                limits=Limits(seconds=20),
                mounts=(Mount(tmp_path, writable=True), Mount(Path(sys.prefix))),
                environment={"URL": "{gateway}/"},
                on_listener=serving.take,
            )
        )
    assert outcome.exit_status == 0, (tmp_path / "log").read_text()
    assert (tmp_path / "log").read_text() == ANSWER.decode() + "\n"


@pytest.mark.slow
def test_memory_of_a_real_container_is_the_programs_alone(real_engine: str, tmp_path: Path) -> None:
    code = "import os; held = os.urandom({} << 20); print('held')"
    (tmp_path / "small").mkdir()
    small = run(real_engine, tmp_path / "small", code.format(60), Limits(seconds=30, memory_bytes=100 << 20))
    assert small.succeeded, small
    large = run(real_engine, tmp_path, code.format(160), Limits(seconds=30, memory_bytes=100 << 20))
    assert large.stopped_by == "a kill, most likely at its memory limit of 100 MiB"
    left = subprocess.run([real_engine, "ps", "--all", "--quiet"], capture_output=True, timeout=60, check=True)
    assert left.stdout == b""
