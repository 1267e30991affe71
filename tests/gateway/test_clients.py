"""The plain client libraries, in the jail, through the gateway: they work with no change, and no byte is changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sia.errors import HostError
from sia.jail.choose import choose_jail
from sia.jail.process import ProcessJail
from sia.jail.program import program_environment
from sia.jail.protocol import Command, Jail, Limits, Mount
from sia.stages.session import own_mounts
from tests.gateway.provider import INPUT_TOKENS, OUTPUT_TOKENS, provide
from tests.gateway.support import KEY, MODELS, gateway_at, model_at
from tests.gateway.upstream import Request, ScriptedUpstream

PROGRAM = Path(__file__).with_name("clients.py")


@pytest.fixture(params=["none", "auto"])
def jail(request: pytest.FixtureRequest) -> Jail:
    if request.param == "none":
        return ProcessJail()
    try:
        return choose_jail("auto")
    except HostError as error:
        pytest.skip(str(error))


def ask_directly(url: str, dialect: str) -> str:
    """What the program is told without jail and gateway."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), dialect, MODELS[dialect]],
        env={
            "PATH": os.environ["PATH"],
            "ANTHROPIC_BASE_URL": url,
            "OPENAI_BASE_URL": f"{url}/v1",
            "GOOGLE_GEMINI_BASE_URL": url,
            **dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"), KEY),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def comparable(request: Request) -> tuple[str, str, bytes]:
    return request.method, request.path, request.body


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["anthropic", "openai", "gemini"])
def test_plain_client_in_the_jail(dialect: str, jail: Jail, tmp_path: Path) -> None:
    with ScriptedUpstream(provide) as upstream:
        direct = ask_directly(upstream.url, dialect)
        asked_directly = list(upstream.requests)
        upstream.requests.clear()
        work = tmp_path / "work"
        work.mkdir()
        program = shutil.copy(PROGRAM, work)
        with (
            gateway_at(tmp_path, {"target": model_at(upstream.url, dialect)}) as gateway,
            gateway.access("target", 1) as access,
        ):
            outcome = jail.run(
                Command(
                    argv=(sys.executable, str(program), dialect, MODELS[dialect]),
                    cwd=work,
                    log=tmp_path / "log",
                    limits=Limits(seconds=120),
                    mounts=(Mount(work, writable=True), *own_mounts(Path(sys.executable))),
                    environment=program_environment(work, Path(sys.executable)) | dict(access.variables),
                    on_listener=access.on_listener,
                )
            )
        log = (tmp_path / "log").read_text()
    assert outcome.succeeded, log
    told = "".join(line + "\n" for line in log.splitlines() if line.startswith("["))
    assert told == direct
    assert list(map(comparable, upstream.requests)) == list(map(comparable, asked_directly))
    for request in upstream.requests:
        assert KEY in str(request.headers)
        assert "sia-" not in str(request.headers)
    priced = [call for call in gateway.calls_of(1) if call.input_tokens]
    assert all(call.input_tokens == INPUT_TOKENS and not call.estimated for call in priced)
    assert all(call.output_tokens in (OUTPUT_TOKENS, 0) for call in priced)
    assert len(gateway.calls_of(1)) == len(upstream.requests)
    assert access.spending.cost > 0
    assert KEY not in log
