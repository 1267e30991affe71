"""The track with a GPU: `custom_kernel` timed beside the eager reference, both in processes of their own.

The clock is a pair of CUDA events of this process around a request, ended after a copy of the output on this process's
own stream: an answer that comes before the work is done leaves a wrong copy, and a patched `torch` in the candidate's
process changes nothing here. What a request costs without any work is measured with the reference's process and taken
off. Memory is shared through CUDA's handles (`torch.multiprocessing`); inputs and outputs belong to this process.
"""

import base64
import json
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing
from arena import PAGE
from cases import Case, gpu_correct, gpu_timed, same_bits
from cpu_track import ATTEMPTS, PAUSES, REPEATS, STEADY, bytes_of
from reference import MASKS, Data, eager, excess
from workers import Refused, Void, Worker, strangers

METRIC = "gpu_microseconds"
TRACK = "gpu"
CALL_SECONDS = 60.0
COMPILE_SECONDS = 300.0
"""For the first call with new memory: Triton compiles then."""
EMPTY_CALLS = 20
TIMED_MASKS = MASKS[:2]


@dataclass(frozen=True)
class Timed:
    """The measurement of one shape, in microseconds. The masks of `TIMED_MASKS` take turns."""

    case: Case
    eager: tuple[float, ...]
    custom: tuple[float, ...]
    error: float

    @property
    def speedup(self) -> float:
        """The reference's time by that of the candidate."""
        return shortest(self.eager) / shortest(self.custom)


def shortest(times: Sequence[float]) -> float:
    """The mean over masks of the shortest time with each: a kernel fast without a mask alone gains half of that."""
    return statistics.fmean(min(times[k :: len(TIMED_MASKS)]) for k in range(len(TIMED_MASKS)))


class Room:
    """An input and an output that one worker may use, and this process's own copy of the output."""

    def __init__(self, worker: Worker, data: Data) -> None:
        x, mask, weights, config = data
        self.worker, self.copy = worker, torch.empty_like(x)
        if x.is_cuda:
            own = {name: tensor.clone() for name, tensor in weights.items()}
            self.data: Data = (x.clone(), mask.clone(), own, config)
            self.output = torch.empty_like(x)
            handles = bytes(ForkingPickler.dumps((self.data, self.output)))
            self.request: dict[str, object] = {"handles": base64.b64encode(handles).decode()}
        else:
            worker.fill(data)
            self.data, self.output = worker.data(), worker.output
            self.request = json.loads(worker.request)

    def fill(self, data: Data) -> None:
        """Writes a fresh input, and NaN where the output belongs."""
        for own, new in zip(_tensors(self.data), _tensors(data), strict=True):
            own.copy_(new)
        self.output.fill_(torch.nan)
        if self.output.is_cuda:
            torch.cuda.synchronize()

    def call(self, clock: Callable[[Callable[[], None]], float], seconds: float, work: bool = True) -> float:
        """What the clock says of one request, this process's copy of the output included."""
        self.worker.request = json.dumps({**self.request, "work": work}).encode() + b"\n"

        def ask() -> None:
            self.worker.call(seconds)
            self.copy.copy_(self.output)

        return clock(ask)


def _tensors(data: Data) -> list[torch.Tensor]:
    return [data[0], data[1], *data[2].values()]


def cuda_clock(work: Callable[[], None]) -> float:
    """Microseconds by two events on this process's current stream."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    work()
    end.record()
    end.synchronize()
    return 1e3 * float(start.elapsed_time(end))


def host_clock(work: Callable[[], None]) -> float:
    """Microseconds by the processor's clock: for tests of everything else here on a machine without a GPU."""
    begin = time.perf_counter()
    work()
    return 1e6 * (time.perf_counter() - begin)


@dataclass
class Bench:
    """The two workers on one device."""

    reference: Worker
    candidate: Worker
    device: str
    clock: Callable[[Callable[[], None]], float]

    def rooms(self, case: Case) -> tuple[Room, Room]:
        """Memory for inputs like this one, warmed up by one call each: Triton compiles in it."""
        data = case.data(secrets.randbits(62), self.device)
        rooms = Room(self.reference, data), Room(self.candidate, data)
        for room in rooms:
            room.fill(data)
            room.call(self.clock, COMPILE_SECONDS)
        return rooms

    def pair(self, case: Case, rooms: tuple[Room, Room]) -> tuple[float, float, float]:
        """One fresh input for both: time of the reference, time of the candidate, its error. Raises Refused."""
        data = case.data(secrets.randbits(62), self.device)
        wanted, found = rooms
        # The candidate first: handles reach all of an allocator's segment, and the reference's output may lie in it.
        found.fill(data)
        fast = found.call(self.clock, CALL_SECONDS)
        wanted.fill(data)
        slow = wanted.call(self.clock, CALL_SECONDS)
        if strangers([self.reference, self.candidate]):
            raise Refused("kernel.py leaves processes running after its call")
        if not same_bits(data, found.data):
            raise Refused(f"kernel.py changes its inputs (seen at {case.name})")
        error = excess(found.copy, wanted.copy)
        if not error <= 1.0:
            raise Refused(f"wrong at {case.name}: an error of {error:.3g} times the tolerance")
        return slow, fast, error

    def steady(self, case: Case) -> Timed:
        """One shape, measured until the reference is steady. Masks of ones and of zeros and ones take turns."""
        masked = [replace(case, mask=mask) for _ in range(REPEATS) for mask in TIMED_MASKS]
        rooms = self.rooms(case)
        for attempt in range(ATTEMPTS):
            rooms[0].fill(case.data(0, self.device))
            empty = min(rooms[0].call(self.clock, CALL_SECONDS, work=False) for _ in range(EMPTY_CALLS))
            slow, fast, errors = zip(*(self.pair(each, rooms) for each in masked), strict=True)
            slow, fast = (tuple(max(t - empty, 1e-3) for t in times) for times in (slow, fast))
            if statistics.median(slow) <= STEADY * min(slow):
                return Timed(case, slow, fast, max(errors))
            if attempt < len(PAUSES):
                time.sleep(PAUSES[attempt])
        raise Void(
            f"void: at {case.name} the reference's median was above {STEADY} times its minimum, {ATTEMPTS} times in a "
            "row: something else keeps this GPU busy; end it and score again"
        )


def measure(
    kernel: Path,
    scratch: Path,
    cases: tuple[list[Case], list[Case]] | None = None,
    device: str = "cuda",
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """The results of the GPU track; `cases` are those looked at and those timed. Raises Refused, or Void."""
    if device == "cuda" and not torch.cuda.is_available():
        raise Void("the metric of task.toml is that of the GPU track, and there is no GPU here: run with --gpu on one")
    looked_at, timed = cases or (gpu_correct(), gpu_timed())
    size = PAGE if device == "cuda" else max(map(bytes_of, (*looked_at, *timed)))
    reference = Worker(Path(eager.__code__.co_filename), "eager", scratch, size, label="the reference")
    candidate = Worker(kernel, "custom_kernel", scratch, size)
    try:
        if not reference.start():
            raise Void("the reference could not be loaded")
        if not candidate.start():
            raise Refused("kernel.py has no function custom_kernel")
        bench = Bench(reference, candidate, device, cuda_clock if device == "cuda" else host_clock)
        worst = 0.0
        for case in looked_at:
            worst = max(worst, bench.pair(case, bench.rooms(case))[2])
        say(f"right on {len(looked_at)} inputs; the largest error is {worst:.2f} of the tolerance")
        measured = []
        for case in timed:
            measured.append(bench.steady(case))
            say(f"{case.name}: {shortest(measured[-1].eager):.0f} us, {shortest(measured[-1].custom):.0f} us")
    finally:
        for worker in (reference, candidate):
            worker.stop()
    name = torch.cuda.get_device_name() if device == "cuda" else device
    return _results(measured, worst, name)


def _results(measured: list[Timed], worst: float, name: str) -> dict[str, Any]:
    items = [
        {
            "id": timed.case.name,
            "score": shortest(timed.custom),
            "eager_us": [round(t, 1) for t in timed.eager],
            "custom_us": [round(t, 1) for t in timed.custom],
            "error": round(timed.error, 4),
        }
        for timed in measured
    ]
    return {
        METRIC: statistics.geometric_mean([shortest(timed.custom) for timed in measured]),
        "gpu_speedup": statistics.geometric_mean([timed.speedup for timed in measured]),
        "track": TRACK,
        "device": name,
        "error_small": round(worst, 4),
        "items": items,
    }
