"""A jail within a jail: an evaluator runs a program of the submission where nothing of the task can be read.

Run as `python -I -S inner.py [--seconds N] [--read PATH]... [--write PATH]... -- ARGV...`; the orchestrator lends the
start of that command, see `sia.jail.lend`. Landlock and seccomp by the stage program's own functions, in the process
that becomes ARGV; this one stays as its warden. Standard library only: it has to start in milliseconds.

Ends with the program's exit status, 128 + n for signal n; 124 when `--seconds` were over, 126 when it could not be shut
in or started. Whatever the program leaves is killed before. SIGTERM ends all of it, SIGUSR1 halts it, SIGUSR2 lets it
go on. Descriptors that are inherited pass.
"""

import os
import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sia.jail import stage, warden
else:
    sys.path.insert(0, os.path.dirname(__file__))  # noqa: PTH120 - pathlib takes milliseconds to import
    import stage
    import warden

TIMED_OUT, REFUSED = 124, 126


class Order(NamedTuple):
    """What the command line says."""

    argv: list[str]
    seconds: float
    read: tuple[str, ...]
    write: tuple[str, ...]


def parse(words: list[str]) -> Order:
    """Reads the options up to `--`. Raises ValueError for anything else."""
    given: dict[str, list[str]] = {"--seconds": [], "--read": [], "--write": []}
    end = words.index("--")
    for name, value in zip(words[:end:2], words[1:end:2], strict=True):
        if name not in given:
            raise ValueError(f"unknown option {name}")
        given[name].append(value)
    seconds = float(given["--seconds"][-1]) if given["--seconds"] else float("inf")
    return Order(words[end + 1 :], seconds, tuple(given["--read"]), tuple(given["--write"]))


def become(order: Order) -> None:
    """Shuts this process in and becomes the program. Raises OSError when it cannot."""
    os.setpgid(0, 0)
    stage.confine(stage.Confinement(read=order.read, write=order.write))
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        # Python ignores two of them; a program is used to dying of them.
        signal.signal(number, signal.SIG_DFL)
    os.execv(order.argv[0], order.argv)


def halt_and_go(number: int, _: FrameType | None) -> None:
    """Stops every process of the program, or lets all go on."""
    passed_on = signal.SIGSTOP if number == signal.SIGUSR1 else signal.SIGCONT
    # A process that forks meanwhile is found the next time.
    found: set[int] = set()
    while new := set(warden.descendants(os.getpid())) - found:
        for process in new:
            try:
                os.kill(process, passed_on)
            except ProcessLookupError:
                continue
        found |= new


def tend(child: int, seconds: float) -> int:
    """Waits for the program or the end of its time; its exit status, or `TIMED_OUT`."""
    end = time.monotonic() + seconds
    # Seconds at most until the end is seen: short at first, for programs that are.
    pause = 0.001
    while time.monotonic() < end:
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if not ended:
            time.sleep(pause)
            pause = min(2 * pause, 0.02)
    return TIMED_OUT


def main() -> None:
    """Runs the program to its end, or to the end of its time."""
    try:
        order = parse(sys.argv[1:])
        if not stage.landlock_abi():
            raise OSError(0, "this kernel has no Landlock")
    except (OSError, ValueError) as error:
        print(f"inner jail: {error}", file=sys.stderr)
        sys.exit(REFUSED)
    warden.adopt_orphans()
    closed_in = warden.close_in()
    child = os.fork()
    if child == 0:
        try:
            become(order)
        except OSError as error:
            print(f"inner jail: {order.argv[0]}: {error.strerror or error}", file=sys.stderr, flush=True)
        os._exit(REFUSED)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, halt_and_go)
    try:
        status = tend(child, order.seconds)
    finally:
        warden.kill_all(child, closed_in)
    sys.exit(status)


if __name__ == "__main__":
    main()
