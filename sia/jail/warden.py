"""Starts one command and leaves none of its processes behind, not even when the caller is killed.

Run as a program, `python -I -S warden.py CONTROL STATUS ARGV...`, with the numbers of two inherited pipe ends. An end
of file on CONTROL means: stop everything. One JSON line goes to STATUS at the end. Standard library only: it has to
start in milliseconds.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """On Linux, makes this process the parent of every descendant that loses its own (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """The living processes below `root`, from /proc; empty where there is none."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def kill_all(group: int) -> int:
    """Kills the command's group and every descendant until none is left; returns how many were found first."""
    first = len(descendants(os.getpid()))
    for _ in range(200):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        living = descendants(os.getpid())
        for process in living:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        reap()
        if not living:
            break
        time.sleep(0.01)
    return first


def reap() -> None:
    """Collects the dead children."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Runs the command to its end, or until CONTROL is closed."""
    control, status = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(control, False)
    os.set_inheritable(status, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    adopt_orphans()
    try:
        child = subprocess.Popen(sys.argv[3:], process_group=0)
    except OSError as error:
        os.write(status, json.dumps({"error": error.strerror}).encode())
        return
    ended = os.pidfd_open(child.pid) if hasattr(os, "pidfd_open") else None
    # select() refuses descriptors above 1,023.
    ready = select.poll()
    ready.register(control, select.POLLIN)
    if ended is not None:
        ready.register(ended, select.POLLIN)
    exit_status = None
    while exit_status is None:
        if any(descriptor == control for descriptor, _ in ready.poll(200)):
            kill_all(child.pid)
            return
        exit_status = child.poll()
    import resource

    left = kill_all(child.pid)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    os.write(status, json.dumps({"exit": exit_status, "peak": peak * unit, "left": left}).encode())


if __name__ == "__main__":
    main()
