"""The plain process backend: limits and a clean end, but no walls. Chosen with `--sandbox none`."""

import errno
import json
import os
import resource
import select
import subprocess
import sys
import time
from pathlib import Path

from sia.errors import HostError
from sia.jail.capture import Capture
from sia.jail.protocol import Command, Limits, OnLine, Outcome

WARDEN = Path(__file__).with_name("warden.py")
PIECE = 1 << 16
DRAIN_SECONDS = 5.0


class ProcessJail:
    """Implements `sia.jail.protocol.Jail` with ordinary processes."""

    name = "none"
    gaps = (
        "the program can read and write every file that the user can, private data included",
        "the program can use the network",
        "memory is limited for each process, not for all together; the number of processes is not limited",
    )

    def run(self, command: Command, on_line: OnLine | None = None) -> Outcome:
        """See the protocol."""
        try:
            capture = Capture(command.log, command.limits.output_bytes, on_line)
        except OSError as error:
            raise _log_error(command, error) from None
        control_read, control_write = os.pipe()
        status_read, status_write = os.pipe()
        start = time.monotonic()
        warden = subprocess.Popen(
            [sys.executable, "-I", "-S", str(WARDEN), str(control_read), str(status_write), *command.argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=command.cwd,
            env=dict(command.environment),
            pass_fds=(control_read, status_write),
            start_new_session=True,
            preexec_fn=lambda: _set_limits(command.limits),
        )
        os.close(control_read)
        os.close(status_write)
        stopped_by = None
        try:
            finished = _drain(warden, capture, start + command.limits.seconds)
            if not finished:
                stopped_by = f"wall-clock limit of {command.limits.seconds:g} s"
        except OSError as error:
            raise _log_error(command, error) from None
        finally:
            # The warden takes the end of this pipe as the order to kill everything.
            os.close(control_write)
            try:
                if stopped_by or sys.exc_info()[0]:
                    _drain(warden, None, time.monotonic() + DRAIN_SECONDS)
                warden.wait()
                status = os.read(status_read, 4096)
            finally:
                os.close(status_read)
                assert warden.stdout is not None
                warden.stdout.close()
        try:
            capture.close()
        except OSError as error:
            raise _log_error(command, error) from None
        return _outcome(command, status, stopped_by, time.monotonic() - start, capture)


def _set_limits(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    if limits.disk_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.disk_bytes, limits.disk_bytes))


def _drain(warden: "subprocess.Popen[bytes]", capture: Capture | None, deadline: float) -> bool:
    """Reads output until it ends; False when the deadline comes first."""
    assert warden.stdout is not None
    descriptor = warden.stdout.fileno()
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        if not select.select([descriptor], [], [], min(left, 1.0))[0]:
            continue
        piece = os.read(descriptor, PIECE)
        if not piece:
            return True
        if capture is not None:
            capture.take(piece)


def _outcome(command: Command, status: bytes, stopped_by: str | None, seconds: float, capture: Capture) -> Outcome:
    told = json.loads(status) if status else {}
    if "error" in told:
        raise HostError(f"cannot start {command.argv[0]}: {told['error']}", "check that it exists and can be executed")
    left = int(told.get("left", 0))
    return Outcome(
        exit_status=None if stopped_by else told.get("exit"),
        stopped_by=stopped_by or (None if told else "death of its warden"),
        seconds=seconds,
        peak_memory_bytes=told.get("peak"),
        output_bytes=capture.total,
        last_line=capture.last_line,
        events=(f"left {left} processes behind; killed",) if left else (),
    )


def _log_error(command: Command, error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(f"disk full while writing {command.log}", "free some space and go on with --resume")
    return HostError(f"cannot write {command.log}: {error.strerror}", "make its folder writable")
