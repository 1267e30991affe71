"""Starts one command and leaves none of its processes behind, not even when the caller is killed.

Run as a program, `python -I -S warden.py CONTROL STATUS open|closed ARGV...`, with the numbers of two inherited pipe
ends. An end of file on CONTROL means: stop everything. Lines of a name and a number go to STATUS at the end. `closed`
keeps signals among the descendants, where the kernel can. Few imports: it has to start in milliseconds.
"""

import ctypes
import os
import select
import struct
import sys
import time

PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
LANDLOCK_CREATE_RULESET, LANDLOCK_RESTRICT_SELF, LANDLOCK_SCOPE_SIGNAL = 444, 446, 2
SIGKILL, SIGPIPE, SIGXFSZ = 9, 13, 25
KILL_SECONDS, GRACE_SECONDS = 10.0, 0.1


def adopt_orphans() -> None:
    """On Linux, makes this process the parent of every descendant that loses its own (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root: int) -> list[int]:
    """The living processes below `root`, from /proc; empty where there is none."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208 - pathlib takes long
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        # Threads work on in a process whose first one has ended, which reads as a zombie.
        if fields[0] != b"Z" or int(fields[17]) > 1:
            children.setdefault(int(fields[1]), []).append(int(entry))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def close_in() -> bool:
    """Makes this process and its descendants the only ones that they can signal (Landlock, version 6); True if so."""
    libc = ctypes.CDLL(None)
    attributes = struct.pack("=QQQ", 0, 0, LANDLOCK_SCOPE_SIGNAL)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    done = libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return done and not can_signal(os.getppid())


def can_signal(process: int) -> bool:
    """Whether a signal would arrive there."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return False
    return True


def kill_all(group: int, closed_in: bool) -> int:
    """Kills the command's group and every descendant until none is left; returns how many were found first."""
    if sys.platform == "linux" and not has_children():
        return 0
    first = len(descendants(os.getpid()))
    end = time.monotonic() + KILL_SECONDS
    # Who forks and ends faster than /proc can be read escapes a list, but not the signal to all.
    everything = closed_in and not can_signal(os.getppid())
    while time.monotonic() < end:
        kill(-group)
        if everything:
            kill(-1)
        for process in descendants(os.getpid()):
            kill(process)
        # Any that lives has ancestors up to here, and so this process a child.
        if not has_children():
            break
        time.sleep(0.01)
    return first


def kill(process: int) -> None:
    """Sends SIGKILL as kill(2) does; nothing when nobody is there, or only others' processes."""
    try:
        os.kill(process, SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def has_children() -> bool:
    """Collects the dead children; whether one is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def main() -> None:
    """Runs the command to its end, or until CONTROL is closed."""
    control, status = int(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(control, False)
    os.set_inheritable(status, False)
    adopt_orphans()
    closed_in = sys.argv[3] == "closed" and close_in()
    try:
        # Python ignores these two signals; a program is used to dying of them.
        child = os.posix_spawnp(sys.argv[4], sys.argv[4:], os.environ, setpgroup=0, setsigdef=(SIGPIPE, SIGXFSZ))
    except OSError as error:
        os.write(status, f"error {error.errno}".encode())
        return
    ended = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None
    # select() refuses descriptors above 1,023.
    ready = select.poll()
    ready.register(control, select.POLLIN)
    if ended is not None:
        ready.register(ended, select.POLLIN)
    exit_status: int | None = None
    while exit_status is None:
        if any(descriptor == control for descriptor, _ in ready.poll(200)):
            kill_all(child, closed_in)
            return
        found, how = os.waitpid(child, os.WNOHANG)
        exit_status = os.waitstatus_to_exitcode(how) if found else None
    import resource

    # The sandbox's own processes end a moment after the one that was waited for.
    moment = time.monotonic() + GRACE_SECONDS
    while has_children() and time.monotonic() < moment:
        time.sleep(0.002)
    left = kill_all(child, closed_in)
    unit = 1 if sys.platform == "darwin" else 1024
    told = {"exit": exit_status, "left": left, "peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit}
    told |= memory_of_scope()
    os.write(status, "\n".join(f"{name} {value}" for name, value in told.items()).encode())


def memory_of_scope() -> dict[str, int]:
    """Peak and kills that the kernel counted for the scope of this process, where it has one (cgroup v2)."""
    try:
        own = next((line[3:] for line in _lines("/proc/self/cgroup") if line[:3] == "0::"), "")
        if "/sia-" not in own:
            return {}
        events = dict(line.split() for line in _lines(f"/sys/fs/cgroup{own}/memory.events"))
        peak = int(_lines(f"/sys/fs/cgroup{own}/memory.peak")[0])
    except (OSError, ValueError):
        return {}
    return {"out_of_memory": int(events.get("oom_kill", 0)), "peak": peak}


def _lines(path: str) -> list[str]:
    with open(path) as file:  # noqa: PTH123
        return file.read().splitlines()


if __name__ == "__main__":
    main()
