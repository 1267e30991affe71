"""The container backends without an engine: what it is asked for, and with a stand-in that runs what it is asked to.

The stand-in proves the arguments' shape, the way to the gateway and the clean end. What an engine makes of the
arguments is untried, as docs/security.md says.
"""

import os
import sys
from pathlib import Path

import pytest

from sia.errors import HostError
from sia.jail.container import ContainerJail
from sia.jail.protocol import Command, Limits, Mount
from tests.jail.test_listener import ANSWER, gateway

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
    import json

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
