"""Shuts a worker process in before it loads a candidate: files read-only but for its scratch folder, no signals out.

Landlock (kernel documentation, userspace-api/landlock) keeps a process from tracing one outside its domain as well, so
the evaluator's memory is out of reach. Standard library only: it comes before anything else is imported.
"""

import ctypes
import os
import platform
import struct
import sys

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_WRITES = 0b1_1111_1111_0010
"""WRITE_FILE, REMOVE_DIR, REMOVE_FILE, MAKE_*: from the first version on."""
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_OF_FILES = 2 | _TRUNCATE
_SCOPES = 3
"""No connection to abstract sockets and no signal to processes outside the domain: from version 6 on."""


def die_with_parent() -> None:
    """Has the kernel end this process when the evaluator is gone, stopped as it may be: prctl(2), PR_SET_PDEATHSIG."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)


def restrict(writable: list[str]) -> int:
    """Applies to this thread and its children; returns the kernel's version of Landlock, 0 where it has none."""
    if not sys.platform.startswith("linux") or platform.machine() not in ("x86_64", "aarch64"):
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    version = int(libc.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    if version < 1:
        return 0
    handled = _WRITES | (_REFER if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    attributes = struct.pack("=QQQ", handled, 0, _SCOPES)[: 24 if version >= 6 else 8]
    ruleset = libc.syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return 0
    for path in writable:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rights = handled if os.path.isdir(path) else handled & _OF_FILES  # noqa: PTH112 - pathlib is slow to import
        rule = struct.pack("=Qi", rights, place)
        libc.syscall(_ADD, ruleset, 1, rule, 0)
        os.close(place)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    applied = libc.syscall(_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return version if applied else 0
