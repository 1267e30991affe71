"""Worker processes as the evaluator sees them: it lets one run for the time of a call, and stops it for all other time.

A stopped process can neither compute ahead nor take the processor from the one that is measured. The clock is this
process's own and runs from before a worker is let go until after it stands still, so work that goes on after an answer
is counted as well.
"""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import torch
from arena import Layout, layout_of, shared_memory, views
from reference import Data

HERE = Path(__file__).parent
STARTS_IN = 120.0
LONGEST_LINE = 1 << 16
PR_SET_CHILD_SUBREAPER = 36


class Refused(Exception):
    """The candidate gets no score; the text is the reason, for people."""


class Void(Exception):
    """Nothing was measured, through no fault of the candidate; the text says what to do."""


def adopt_orphans() -> None:
    """Children of workers that outlive their parents become this process's own, and are found."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Worker:
    """One process. `file` is loaded in it, and `function` of it is called."""

    file: Path
    function: str
    scratch: Path
    size: int
    variables: dict[str, str] = field(default_factory=dict)
    label: str = "kernel.py"
    landlock: int = 0

    def start(self) -> bool:
        """Starts and stops it; False when the file has no such function. Raises Refused when it cannot be loaded."""
        descriptor, self.memory = shared_memory(self.size)
        self.channel, other = socket.socketpair()
        numbers = [str(other.fileno()), str(descriptor), str(self.size)]
        program = [sys.executable, "-I", "-B", str(HERE / "worker.py")]
        own = ("HOME", "TMPDIR", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
        threads = str(cores())
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            **dict.fromkeys(own, str(self.scratch)),
            "OMP_NUM_THREADS": threads,
            "OMP_WAIT_POLICY": "PASSIVE",
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            # The C library keeps what is freed: to have each result's pages zeroed anew takes long, and never as long.
            "MALLOC_TRIM_THRESHOLD_": str(1 << 32),
            "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
            **self.variables,
        }
        self.process = subprocess.Popen(
            [*program, *numbers, str(self.scratch), str(self.file), self.function, threads],
            pass_fds=(other.fileno(), descriptor),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        other.close()
        os.close(descriptor)
        answer = self._answer(STARTS_IN)
        self.freeze()
        self.landlock = int(answer.get("landlock") or 0)
        return bool(answer.get("ready"))

    def fill(self, data: Data) -> None:
        """Writes a call's inputs into the shared memory, and NaN where its output belongs."""
        x, mask, weights, config = data
        tensors = {"output": x, "x": x, "mask": mask, **weights}
        layout: Layout = layout_of(tensors)
        self.request = json.dumps({"layout": layout, "config": config}).encode() + b"\n"
        self.held = dict(views(self.memory, layout))
        for name, tensor in tensors.items():
            if name == "output":
                self.held[name].fill_(torch.nan)
            else:
                self.held[name].copy_(tensor)

    def call(self, seconds: float) -> float:
        """Has it work on what `fill` wrote; returns the time in seconds. Raises Refused for a failure or too long."""
        begin = time.perf_counter()
        self.process.send_signal(signal.SIGCONT)
        try:
            self.channel.sendall(self.request)
        except OSError:
            raise Refused(f"{self.label}: its process is gone") from None
        answer = self._answer(seconds)
        self.freeze()
        end = time.perf_counter()
        if not answer.get("done"):
            raise Refused(f"{self.label} answered something else than its output")
        return end - begin

    def data(self) -> Data:
        """The inputs as they are now in the shared memory."""
        weights = {name: tensor for name, tensor in self.held.items() if name not in ("output", "x", "mask")}
        return self.held["x"], self.held["mask"], weights, {}

    @property
    def output(self) -> torch.Tensor:
        """What it left as its output, not copied: look at it before it runs again."""
        return self.held["output"]

    def freeze(self) -> None:
        """Stops every thread of it and waits until all stand still. Raises Refused when it has ended."""
        self.process.send_signal(signal.SIGSTOP)
        _, status = os.waitpid(self.process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            self.process.returncode = os.waitstatus_to_exitcode(status)
            raise Refused(f"{self.label}: its process ended ({_ending(self.process.returncode)})")

    def stop(self) -> None:
        """Ends it."""
        if getattr(self, "process", None) is not None and self.process.returncode is None:
            self.process.kill()
            self.process.wait()

    def _answer(self, seconds: float) -> dict[str, object]:
        """Its next line as an object. Raises Refused for an error that it tells, silence, or its end."""
        end, line = time.monotonic() + seconds, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.channel], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                self.stop()
                raise Refused(f"{self.label} took longer than {seconds:.0f} s")
            part = self.channel.recv(LONGEST_LINE)
            line += part
            if not part or len(line) > LONGEST_LINE:
                self.stop()
                raise Refused(f"{self.label}: its process ended ({_ending(self.process.returncode)})")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Refused(f"{self.label} answered something else than its output")
        if "error" in answer:
            self.stop()
            raise Refused(f"{self.label} failed: {_plain(answer['error'])}")
        return answer


def _ending(status: int | None) -> str:
    return "killed" if status is None or status < 0 else f"exit status {status}"


def _plain(text: object) -> str:
    """A candidate's words in one short line."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)[:300]).split())


def processes() -> dict[int, tuple[int, bool]]:
    """Parent of every process that is to be seen, and whether it is alive."""
    found = {}
    if Path("/proc/self/stat").exists():
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError, IndexError):
                rest = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
                # Threads work on in a process whose first one has ended, which reads as a zombie.
                found[int(place.name)] = (int(rest[1]), rest[0] not in "ZX" or int(rest[17]) > 1)
        return found
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,state="], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        pid, parent, state = line.split()[:3]
        found[int(pid)] = (int(parent), state[0] not in "ZX")
    return found


def strangers(known: list[Worker]) -> list[int]:
    """Living descendants of this process that are none of the workers."""
    listed, own = processes(), {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in listed.items() if parent in own} - own
        own |= more
        grown = bool(more)
    return sorted(pid for pid in own - {os.getpid(), *(w.process.pid for w in known)} if listed[pid][1])


def end_all(known: list[Worker]) -> None:
    """Ends the workers and whatever they have started, so that nobody writes any more."""
    for worker in known:
        worker.stop()
    for _ in range(50):
        left = strangers([])
        if not left:
            return
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    raise Refused("kernel.py left processes that cannot be ended")


def scheduling(pid: int) -> set[tuple[tuple[int, ...], int, int]]:
    """How a process's threads are scheduled: processors, policy, nice value. Empty where the system cannot tell."""
    found = set()
    for place in Path(f"/proc/{pid}/task").glob("[0-9]*"):
        with suppress(OSError):
            tid = int(place.name)
            affinity = tuple(sorted(os.sched_getaffinity(tid)))
            found.add((affinity, os.sched_getscheduler(tid), os.getpriority(os.PRIO_PROCESS, tid)))
    return found
