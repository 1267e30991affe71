"""The one door to files that a generated program left. What lies behind it is hostile.

A file is opened beneath a folder that is trusted, through no link (openat2(2): RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS,
RESOLVE_NO_MAGICLINKS), without waiting for a pipe, and only if it is regular, has one name and is not too long.

Where there is no openat2 (Linux before 5.6, macOS) each folder on the way is opened by itself without following links,
which refuses the same files; the difference is only that a kernel with it also refuses to leave the folder while a
running program moves folders about, and programs have ended when their files are read.
"""

import ctypes
import errno
import os
import platform
import re
import stat
import struct
import sys
from pathlib import Path
from typing import BinaryIO

MAX_TEXT_BYTES = 1 << 20
OPENAT2 = 437
RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH = 0x02, 0x04, 0x08
PLAIN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Control sequences (CSI), strings (OSC, DCS, APC, PM, SOS) to their end, other escapes, and lone control characters.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]|"
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def open_plain(path: Path, beneath: Path | None = None) -> BinaryIO:
    """The regular file `path`, opened for reading; no link at or under the folder `beneath` (default: its parent).

    Raises FileNotFoundError when there is none, OSError when it is a link, a folder, a pipe or a device, has a second
    name, or cannot be read.
    """
    folder = beneath or path.parent
    descriptor = _open_beneath(folder, path.relative_to(folder))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a plain file", str(path))
        if status.st_nlink > 1:
            raise OSError(errno.EMLINK, "has a second name", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain(path: Path, limit: int, beneath: Path | None = None) -> bytes:
    """The content of a file that a program left.

    Raises ValueError, saying in words what is wrong, when it is missing, no plain file or longer than `limit` bytes.
    """
    try:
        with open_plain(path, beneath) as file:
            content = file.read(limit + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError("is missing") from None
    except OSError as error:
        told = error.strerror if error.errno in (errno.EMLINK, errno.EACCES) else "is not a plain file"
        raise ValueError(told) from None
    if len(content) > limit:
        raise ValueError(f"is longer than {limit} bytes")
    return content


def read_text(path: Path, limit: int = MAX_TEXT_BYTES, beneath: Path | None = None) -> str:
    """The text of a file that a program left. Raises ValueError as `read_plain`, and when it is not UTF-8."""
    try:
        return read_plain(path, limit, beneath).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from None


def without_escapes(text: str) -> str:
    """`text` as it may be shown: no terminal escape, no control character but tab and newline, no reversed writing."""
    return _ESCAPES.sub("", text)


def on_one_line(text: str) -> str:
    """The same, with everything else that could move a cursor or break the line replaced."""
    return "".join(c if c.isprintable() else "?" for c in without_escapes(text))


def openat2(folder: int, path: str, flags: int, resolve: int) -> int:
    """openat2(2): a descriptor. Raises OSError, ENOSYS where the machine does not have it."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    how = struct.pack("=QQQ", flags, 0, resolve)
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(OPENAT2, folder, os.fsencode(path), how, ctypes.c_size_t(len(how)))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(descriptor)


def _open_beneath(folder: Path, relative: Path) -> int:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
        return openat2(held, str(relative), PLAIN_FLAGS, resolve)
    except OSError as error:
        # EPERM: a filter around this process (a container's) does not know the call.
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return _open_stepwise(held, relative)
    finally:
        os.close(held)


def _open_stepwise(folder: int, relative: Path) -> int:
    """The fallback: one folder after the other, none of them a link."""
    if ".." in relative.parts:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(relative))
    held = os.dup(folder)
    try:
        for part in relative.parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=held)
            os.close(held)
            held = below
        return os.open(relative.name, PLAIN_FLAGS, dir_fd=held)
    finally:
        os.close(held)
