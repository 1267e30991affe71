"""Starts a command under its warden, bounds what it uses, and tells how it ended. Every backend runs through here."""

import errno
import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sia.errors import HostError
from sia.jail.capture import Capture
from sia.jail.compiled import compiled
from sia.jail.protocol import Command, Limits, OnLine, Outcome
from sia.jail.refuse import refuse_protected
from sia.jail.scope import has_scopes, in_scope
from sia.jail.watch import Watch, size

WARDEN = Path(__file__).with_name("warden.py")
PIECE = 1 << 16
DRAIN_SECONDS = 5.0
WATCH_SECONDS = 0.25


def supervise(
    command: Command,
    argv: Sequence[str],
    environment: Mapping[str, str],
    on_line: OnLine | None = None,
    on_descriptor: Callable[[int], None] | None = None,
    closed: bool = False,
) -> Outcome:
    """Runs `argv`, a backend's wrapping of the command's own, with the command's limits and log.

    `on_descriptor` gets, and owns, the descriptor that the stage program hands out before it becomes the command.
    `closed` has the warden keep signals among the command's processes, where there is no process namespace to do it.
    """
    refuse_protected(command)
    try:
        capture = Capture(command.log, command.limits.output_bytes, on_line)
    except OSError as error:
        raise _log_error(command, error) from None
    start = time.monotonic()
    warden = _start_warden(command, argv, environment, on_descriptor is not None, closed)
    watch = Watch(warden.process.pid, command)
    stopped_by = None
    try:
        if on_descriptor:
            _take_descriptor(warden.hand, on_descriptor, start + command.limits.seconds)
        stopped_by = _drain(warden.process, capture, start + command.limits.seconds, watch)
        if stopped_by == "deadline":
            stopped_by = f"wall-clock limit of {command.limits.seconds:g} s"
    except OSError as error:
        raise _log_error(command, error) from None
    finally:
        status = _end_warden(warden, early=bool(stopped_by or sys.exc_info()[0]))
    try:
        capture.close()
    except OSError as error:
        raise _log_error(command, error) from None
    return _outcome(command, status, stopped_by, time.monotonic() - start, capture, watch)


@dataclass(frozen=True)
class _Warden:
    """The warden of one command, as its parent holds it."""

    process: "subprocess.Popen[bytes]"
    control: int
    """The writing end of a pipe: its end is the order to kill everything."""
    status: int
    """The reading end of a pipe, on which it tells how the command ended."""
    hand: socket.socket
    """What is handed over between the stage program and its parent goes through it."""


def _start_warden(
    command: Command, argv: Sequence[str], environment: Mapping[str, str], handing: bool, closed: bool
) -> _Warden:
    control_read, control_write = os.pipe()
    status_read, status_write = os.pipe()
    # As standard input it reaches the stage program through every program in between.
    ours, theirs = socket.socketpair()
    signals = "closed" if closed else "open"
    whole = [sys.executable, "-I", "-S", compiled(WARDEN), str(control_read), str(status_write), signals, *argv]
    if command.limits.memory_bytes is not None and has_scopes():
        whole, environment = in_scope(command.limits, whole, environment)
    process = subprocess.Popen(
        whole,
        stdin=theirs.fileno() if handing else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=command.cwd,
        env=dict(environment),
        pass_fds=(control_read, status_write),
        start_new_session=True,
        preexec_fn=lambda: _set_limits(command.limits),
    )
    os.close(control_read)
    os.close(status_write)
    theirs.close()
    return _Warden(process, control_write, status_read, ours)


def _end_warden(warden: _Warden, early: bool) -> bytes:
    """Has the warden kill what is left; returns what it tells. With `early`, what is still printed is thrown away."""
    os.close(warden.control)
    warden.hand.close()
    try:
        if early:
            _drain(warden.process, None, time.monotonic() + DRAIN_SECONDS, None)
        warden.process.wait()
        return os.read(warden.status, 4096)
    finally:
        os.close(warden.status)
        assert warden.process.stdout is not None
        warden.process.stdout.close()


def _set_limits(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if limits.memory_bytes is not None:
        # Address space would count what is reserved and never touched; the watch counts the whole tree.
        resource.setrlimit(resource.RLIMIT_DATA, (limits.memory_bytes, limits.memory_bytes))
    if limits.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))


def _take_descriptor(channel: socket.socket, on_descriptor: Callable[[int], None], deadline: float) -> None:
    """Lets the stage program go on once its descriptor is in good hands; nothing when it ended before."""
    channel.settimeout(max(0.01, deadline - time.monotonic()))
    try:
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    except TimeoutError:
        return
    if descriptors:
        on_descriptor(descriptors[0])
        channel.sendall(b"\0")


def _drain(
    warden: "subprocess.Popen[bytes]", capture: Capture | None, deadline: float, watch: Watch | None
) -> str | None:
    """Reads output until it ends; "deadline" when that comes first, or the limit that the watch saw exceeded."""
    assert warden.stdout is not None
    descriptor = warden.stdout.fileno()
    # select() refuses descriptors above 1,023.
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    look = time.monotonic() + WATCH_SECONDS
    while True:
        now = time.monotonic()
        if now >= deadline:
            return "deadline"
        if watch is not None and now >= look:
            if exceeded := watch.exceeded():
                return exceeded
            # Looking may take long where there are many files: rest nine times as long.
            look = time.monotonic() + max(WATCH_SECONDS, 9 * (time.monotonic() - now))
        wait = min(deadline, look) - time.monotonic() if watch is not None else deadline - now
        if not ready.poll(1000 * max(0.0, min(wait, 1.0))):
            continue
        piece = os.read(descriptor, PIECE)
        if not piece:
            return None
        if capture is not None:
            capture.take(piece)


def _outcome(
    command: Command, status: bytes, stopped_by: str | None, seconds: float, capture: Capture, watch: Watch
) -> Outcome:
    told = {name: int(value) for name, value in map(str.split, status.decode().splitlines())}
    if "error" in told:
        why = os.strerror(told["error"])
        raise HostError(f"cannot start {command.argv[0]}: {why}", "check that it exists and can be executed")
    events = [f"stopped by its {stopped_by}"] if stopped_by else []
    if told.get("out_of_memory") and command.limits.memory_bytes is not None:
        events.append(f"memory limit of {size(command.limits.memory_bytes)}: the kernel killed a process")
    elif told.get("exit") and command.limits.memory_bytes is not None and _wanted_memory(capture.last_line):
        events.append(f"memory limit of {size(command.limits.memory_bytes)}: an allocation was refused")
    if left := int(told.get("left", 0)):
        events.append(f"left {left} processes behind; killed")
    if left_out := capture.total - capture.kept:
        events.append(f"output limit of {size(command.limits.output_bytes)}: {left_out} bytes were left out of the log")
    return Outcome(
        exit_status=None if stopped_by else told.get("exit"),
        stopped_by=stopped_by or (None if told else "death of its warden"),
        seconds=seconds,
        peak_memory_bytes=told.get("peak"),
        output_bytes=capture.total,
        last_line=capture.last_line,
        events=(*events, *watch.struck()),
    )


def _wanted_memory(last_line: str) -> bool:
    """Whether a program's last words are those of one whose allocation failed (Python, NumPy, C++)."""
    name = last_line.partition(":")[0]
    return name.endswith("MemoryError") or "std::bad_alloc" in last_line


def _log_error(command: Command, error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(f"disk full while writing {command.log}", "free some space and go on with --resume")
    return HostError(f"cannot write {command.log}: {error.strerror}", "make its folder writable")
