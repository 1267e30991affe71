"""Answers the system calls that the Landlock backend's filter asks about (seccomp_unotify(2)).

Nothing is let through by saying "go on": the program could change its arguments after the check. Each argument is read
once, and the orchestrator does on its own copy of the descriptor what was asked for, or refuses.
"""

import ctypes
import errno
import fcntl
import os
import select
import socket
import stat
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sia.jail import stage
from sia.plainfile import RESOLVE_NO_MAGICLINKS, openat2

LIBC = ctypes.CDLL(None, use_errno=True)
RECEIVE, SEND, STILL_VALID = 0xC0502100, 0xC0182101, 0x40082102
PIDFD_GETFD = 438
AT_FDCWD, AT_SYMLINK_NOFOLLOW = -100, 0x100
PAGE = os.sysconf("SC_PAGE_SIZE")
LONGEST_ADDRESS, LONGEST_PATH = 128, 4096
POLL_SECONDS = 0.1
SAFE_MODES = 0o1777
"""No set-user-id and set-group-id: outside the jail they would mean something."""


class Asked(NamedTuple):
    """A system call that waits for an answer."""

    asking: int
    """The descriptor that it was received on."""
    id: int
    thread: int
    number: int
    arguments: Sequence[int]


class Supervisor:
    """Answers until it is closed. The gateway's address and what lies in `writable` are all that can be reached."""

    def __init__(self, gateway: tuple[str, int] | None, writable: Sequence[Path]) -> None:
        self._gateway = gateway
        self._writable = tuple(path.resolve() for path in writable)
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        column = 0 if os.uname().machine == "x86_64" else 1
        self._answers: dict[int, Callable[[Asked], None]] = {
            stage.CONNECT[column]: self._connect,
            stage.LISTEN[column]: self._listen,
            stage.CHMOD[column]: lambda asked: self._chmod(asked, AT_FDCWD, *asked.arguments[:2]),
            stage.FCHMOD[column]: lambda asked: self._chmod(asked, asked.arguments[0], 0, asked.arguments[1]),
            stage.FCHMODAT[column]: lambda asked: self._chmod(asked, *asked.arguments[:3]),
            stage.FCHMODAT2[column]: lambda asked: self._chmod(asked, *asked.arguments[:4]),
            stage.UTIMENSAT[column]: lambda asked: self._set_times(asked),
        }

    def take(self, descriptor: int) -> None:
        """Begins to answer on the descriptor that the filter's listener is, and owns it."""
        self._thread = threading.Thread(target=self._serve, args=(descriptor,), name="jail-supervisor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the answering."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _serve(self, asking: int) -> None:
        ready = select.poll()
        ready.register(asking, select.POLLIN)
        try:
            while not self._over.is_set():
                for _, events in ready.poll(1000 * POLL_SECONDS):
                    if events & (select.POLLHUP | select.POLLERR):
                        return
                    # A caller that was killed meanwhile is gone when it is received or answered: ENOENT.
                    with suppress(OSError):
                        self._answer_next(asking)
        finally:
            os.close(asking)

    def _answer_next(self, asking: int) -> None:
        received = bytearray(80)
        fcntl.ioctl(asking, RECEIVE, received)
        identity, thread, _, number, _, _, *arguments = struct.unpack("=QIIiIQ6Q", received)
        asked = Asked(asking, identity, thread, number, arguments)
        error = 0
        try:
            self._answers[number](asked)
        except OSError as refused:
            error = refused.errno or errno.EPERM
        except KeyError:
            error = errno.ENOSYS
        fcntl.ioctl(asking, SEND, bytearray(struct.pack("=QqiI", identity, 0, -error, 0)))

    def _connect(self, asked: Asked) -> None:
        _, place, length = asked.arguments[:3]
        raw = _memory(asked, place, min(length, LONGEST_ADDRESS))
        with _socket(asked) as connecting:
            family = struct.unpack_from("=H", raw)[0] if len(raw) >= 2 else -1
            if family != connecting.family:
                raise _error(errno.EPERM)
            if family == socket.AF_INET and len(raw) >= 8:
                port = struct.unpack_from("!H", raw, 2)[0]
                if (socket.inet_ntoa(raw[4:8]), port) != self._gateway:
                    raise _error(errno.ECONNREFUSED)
                _system_connect(connecting.fileno(), raw)
            elif family == socket.AF_UNIX and raw[2:3] not in (b"", b"\0"):
                name = raw[2:].split(b"\0", 1)[0]
                with self._owned(asked, AT_FDCWD, os.fsdecode(name), 0) as held:
                    if not stat.S_ISSOCK(os.fstat(held).st_mode):
                        raise _error(errno.ECONNREFUSED)
                    inside = struct.pack("=H", socket.AF_UNIX) + f"/proc/self/fd/{held}".encode() + b"\0"
                    _system_connect(connecting.fileno(), inside)
            else:
                raise _error(errno.EPERM)

    def _listen(self, asked: Asked) -> None:
        with _socket(asked) as listening:
            # A name that is not a path would be in the reach of the whole machine.
            name = listening.getsockname() if listening.family == socket.AF_UNIX else b""
            if not isinstance(name, str) or not name:
                raise _error(errno.EPERM)
            if LIBC.listen(listening.fileno(), min(asked.arguments[1] & 0xFFFF, 128)):
                raise _last_error()

    def _chmod(self, asked: Asked, folder: int, place: int, mode: int, flags: int = 0) -> None:
        with self._owned(asked, folder, _text(asked, place), flags) as held:
            os.chmod(f"/proc/self/fd/{held}", mode & SAFE_MODES)  # noqa: PTH101 - the path stands for a descriptor

    def _set_times(self, asked: Asked) -> None:
        folder, place, times, flags = asked.arguments[:4]
        buffer = ctypes.create_string_buffer(_memory(asked, times, 32), 32) if times else None
        with self._owned(asked, folder, _text(asked, place), flags) as held:
            if LIBC.utimensat(AT_FDCWD, f"/proc/self/fd/{held}".encode(), buffer, 0):
                raise _last_error()

    @contextmanager
    def _owned(self, asked: Asked, folder: int, path: str, flags: int) -> Iterator[int]:
        """A descriptor that names what the program means, if it lies where the program may write."""
        with _base(asked, folder) as base:
            if path:
                no_follow = os.O_NOFOLLOW if flags & AT_SYMLINK_NOFOLLOW else 0
                held = openat2(base, path, os.O_PATH | os.O_CLOEXEC | no_follow, RESOLVE_NO_MAGICLINKS)
            else:
                held = os.dup(base)
        try:
            real = Path(f"/proc/self/fd/{held}").readlink()
            if not any(real.is_relative_to(folder) for folder in self._writable):
                raise _error(errno.EPERM)
            yield held
        finally:
            os.close(held)


@contextmanager
def _base(asked: Asked, folder: int) -> Iterator[int]:
    """A descriptor for what a path of the program starts at."""
    number = ctypes.c_int32(folder & 0xFFFFFFFF).value
    if number == AT_FDCWD:
        held = os.open(f"/proc/{asked.thread}/cwd", os.O_PATH | os.O_CLOEXEC)
    else:
        held = _copy(asked, number)
    try:
        yield held
    finally:
        os.close(held)


@contextmanager
def _socket(asked: Asked) -> Iterator[socket.socket]:
    """The program's socket: a copy of its descriptor, the same socket behind it."""
    with socket.socket(fileno=_copy(asked, asked.arguments[0] & 0xFFFFFFFF)) as copied:
        yield copied


def _copy(asked: Asked, number: int) -> int:
    """A copy of a descriptor of the program (pidfd_getfd(2))."""
    status = Path(f"/proc/{asked.thread}/status").read_text()
    process = int(status.split("\nTgid:", 1)[1].split(None, 1)[0])
    held = os.pidfd_open(process)
    try:
        # Alive after it was opened, and so no other process by the same number.
        fcntl.ioctl(asked.asking, STILL_VALID, struct.pack("=Q", asked.id))
        copied = LIBC.syscall(PIDFD_GETFD, held, number, 0)
        if copied < 0:
            raise _last_error()
        return int(copied)
    finally:
        os.close(held)


def _memory(asked: Asked, place: int, length: int) -> bytes:
    """Bytes of the program's memory, up to `length`: fewer where its memory ends before."""
    with Path(f"/proc/{asked.thread}/mem").open("rb", buffering=0) as memory:
        fcntl.ioctl(asked.asking, STILL_VALID, struct.pack("=Q", asked.id))
        found = b""
        while len(found) < length:
            # Not across a page's end in one go: the next page may not be there.
            step = min(length - len(found), PAGE - (place + len(found)) % PAGE)
            try:
                found += os.pread(memory.fileno(), step, place + len(found))
            except OSError:
                if not found:
                    raise _error(errno.EFAULT) from None
                break
            if b"\0" in found and length == LONGEST_PATH:
                break
        return found


def _text(asked: Asked, place: int) -> str:
    """The path at an address of the program; empty for none."""
    return os.fsdecode(_memory(asked, place, LONGEST_PATH).split(b"\0", 1)[0]) if place else ""


def _system_connect(descriptor: int, address: bytes) -> None:
    # Not socket.connect(): it would wait where the program's socket does not.
    if LIBC.connect(descriptor, address, len(address)):
        raise _last_error()


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _last_error() -> OSError:
    return _error(ctypes.get_errno())
