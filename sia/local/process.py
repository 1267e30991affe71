"""The server of a local model as a process: started, awaited, and gone with whoever started it."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from sia.environment import cache_dir
from sia.errors import HostError
from sia.local.catalogue import PREFIX
from sia.local.prepare import prepare_model

START_SECONDS = 120.0
_WARDEN = Path(__file__).parent.parent / "jail" / "warden.py"


class LocalModel:
    """A running server. It ends with `close`, and when this process dies."""

    def __init__(self, warden: "subprocess.Popen[bytes]", control: int, base_url: str) -> None:
        self.base_url = base_url
        """For OpenAI's clients: `http://127.0.0.1:PORT/v1`."""
        self._warden = warden
        self._control = control

    def close(self) -> None:
        """Kills the server and everything below it; may be called twice."""
        if self._control >= 0:
            # The warden takes the end of this pipe as the order to kill everything.
            os.close(self._control)
            self._control = -1
            self._warden.wait()
            assert self._warden.stdout is not None
            self._warden.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_local_model(name: str, on_progress: Callable[[str], None]) -> LocalModel:
    """Starts a server for the model called `name` (`local/smollm2-135m`, ...) and waits until it answers.

    Fetches the model first when it is not in the cache. Adapters are looked for in the cache, by digest. Raises
    UsageError for an unknown name, a missing extra or terms that are not accepted, HostError when the model cannot be
    fetched or the server does not come up.
    """
    folder = prepare_model(name, on_progress)
    shown = name if name.startswith(PREFIX) else PREFIX + name
    on_progress(f"starting the server of {shown}")
    start = time.monotonic()
    server = ["--model", str(folder), "--name", shown, "--adapters", str(adapters_dir())]
    control_read, control_write = os.pipe()
    # How it ended is of no interest.
    status = os.open(os.devnull, os.O_WRONLY)
    warden_argv = [sys.executable, "-I", "-S", str(_WARDEN), str(control_read), str(status), "open"]
    with tempfile.TemporaryFile() as errors:
        try:
            warden = subprocess.Popen(
                [*warden_argv, sys.executable, "-m", "sia.local.server", *server],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"},
                pass_fds=(control_read, status),
                start_new_session=True,
            )
        finally:
            os.close(control_read)
            os.close(status)
        model = LocalModel(warden, control_write, "")
        try:
            model.base_url = _address(warden, errors, shown)
        except BaseException:
            model.close()
            raise
    on_progress(f"{shown} answers at {model.base_url} after {time.monotonic() - start:.1f} s")
    return model


def adapters_dir() -> Path:
    """Where adapters lie that the server may be asked for, each in a folder named by its digest."""
    return cache_dir() / "adapters"


def _address(warden: "subprocess.Popen[bytes]", errors: BinaryIO, name: str) -> str:
    assert warden.stdout is not None
    # select() refuses descriptors above 1,023.
    ready = select.poll()
    ready.register(warden.stdout.fileno(), select.POLLIN)
    line = warden.stdout.readline() if ready.poll(1000 * START_SECONDS) else b""
    if line.startswith(b"http://"):
        return line.decode().strip()
    warden.poll()
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()
    why = said[-1][:300] if said else f"it did not answer within {START_SECONDS:g} s"
    raise HostError(f"the server of {name} did not start: {why}", "`sia models` lists models that do")
