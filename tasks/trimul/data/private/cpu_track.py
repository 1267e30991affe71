"""The track without a GPU: `custom_cpu` against the eager reference, interleaved, on this machine's processors."""

import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from arena import PAGE
from cases import Case, cpu_correct, cpu_timed, same_bits
from reference import HIDDEN, Data, eager, excess
from workers import Refused, Void, Worker, cores, scheduling, strangers

WARM = 2
"""Calls before those that count: a process that stood still has lost caches and pages."""
REPEATS = 5
ATTEMPTS = 3
STEADY = 1.15
"""Bound for the reference's median in units of its minimum: above, the machine was busy and nothing was measured."""
PAUSES = (2.0, 8.0)
"""Seconds to wait before the second and the third attempt."""
CALL_SECONDS = 60.0
TRACK = "cpu"
METRIC = "cpu_speedup"


@dataclass(frozen=True)
class Timed:
    """The measurement of one case."""

    case: Case
    eager: tuple[float, ...]
    """Seconds of every repeat."""
    custom: tuple[float, ...]
    error: float
    """Largest error of all repeats in units of the tolerance."""
    attempt: int
    """The one that counted."""

    @property
    def spread(self) -> float:
        """The reference's median in units of its minimum."""
        return statistics.median(self.eager) / min(self.eager)

    @property
    def steady(self) -> bool:
        """Whether nothing else seems to have kept the machine busy."""
        return self.spread <= STEADY

    @property
    def speedup(self) -> float:
        """The shortest time of the reference by that of the candidate."""
        return min(self.eager) / min(self.custom)


@dataclass
class Bench:
    """The two workers with what both are told. Everything but the calls happens while both stand still."""

    reference: Worker
    candidate: Worker
    scheduled: set[tuple[tuple[int, ...], int, int]]
    """How the reference was scheduled before there was a candidate."""

    def pair(self, case: Case) -> tuple[float, float, float]:
        """One fresh input for both: seconds of the reference, seconds of the candidate, its error.

        Raises Refused for a wrong output, a changed input, and for what the candidate does to the measurement.
        """
        data = case.data(secrets.randbits(62))
        self.reference.fill(data)
        slow = self.reference.call(CALL_SECONDS)
        wanted = self.reference.output
        self.candidate.fill(data)
        fast = self.candidate.call(CALL_SECONDS)
        self.look_for_tricks(case, data)
        error = excess(self.candidate.output, wanted)
        if not error <= 1.0:
            raise Refused(f"wrong at {case.name}: an error of {error:.3g} times the tolerance")
        return slow, fast, error

    def look_for_tricks(self, case: Case, data: Data) -> None:
        """What a call must not leave behind."""
        # First of all: what is alive could still write the output, and from here on nothing is.
        if strangers([self.reference, self.candidate]):
            raise Refused("kernel.py leaves processes running after its call")
        if not same_bits(data, self.candidate.data()):
            raise Refused(f"kernel.py changes its inputs (seen at {case.name})")
        if scheduling(self.reference.process.pid) - self.scheduled:
            raise Refused("kernel.py changes how the reference is scheduled")


def measure(
    kernel: Path, scratch: Path, cases: list[Case] | None = None, say: Callable[[str], None] = print
) -> dict[str, object]:
    """The results of the CPU track. Raises Refused, or Void when the machine is too busy."""
    timed, small = cases or cpu_timed(), cpu_correct()
    size = max(bytes_of(case) for case in (*timed, *small))
    reference = Worker(Path(eager.__code__.co_filename), "eager", scratch, size, label="the reference")
    candidate = Worker(kernel, "custom_cpu", scratch, size)
    try:
        if not reference.start():
            raise Void("the reference could not be loaded")
        scheduled = scheduling(reference.process.pid)
        if not candidate.start():
            raise Refused("kernel.py has no function custom_cpu: without a GPU there is nothing to measure")
        bench = Bench(reference, candidate, scheduled)
        worst = max(bench.pair(case)[2] for case in small)
        say(f"right on {len(small)} small inputs; the largest error is {worst:.2f} of the tolerance")
        measured = _measured(bench, timed, say)
    finally:
        for worker in (reference, candidate):
            worker.stop()
    return _results(measured, worst, candidate.landlock)


def _measured(bench: Bench, cases: list[Case], say: Callable[[str], None]) -> list[Timed]:
    """Every case. Those at which the reference is unsteady are measured again after all others. Raises Void."""
    found: dict[Case, Timed] = {}
    for attempt in range(1, ATTEMPTS + 1):
        for case in cases:
            if case not in found or not found[case].steady:
                found[case] = timed = _time(bench, case, attempt)
                times = f"{1e3 * min(timed.eager):.1f} ms, {1e3 * min(timed.custom):.1f} ms"
                told = f"{timed.speedup:.2f} times as fast" if timed.steady else f"unsteady: {timed.spread:.2f}"
                say(f"{case.name}: {times}, {told}")
        unsteady = [timed for timed in found.values() if not timed.steady]
        if not unsteady:
            return [found[case] for case in cases]
        if attempt < ATTEMPTS:
            time.sleep(PAUSES[attempt - 1])
    raise Void(
        f"void: at {unsteady[0].case.name} the reference's median was {unsteady[0].spread:.2f} times its minimum (at "
        f"most {STEADY}), {ATTEMPTS} times in a row: something else keeps this machine busy; end it and score again"
    )


def _time(bench: Bench, case: Case, attempt: int) -> Timed:
    for _ in range(WARM):
        bench.pair(case)
    pairs = [bench.pair(case) for _ in range(REPEATS)]
    slow, fast, errors = zip(*pairs, strict=True)
    return Timed(case, slow, fast, max(errors), attempt)


def bytes_of(case: Case) -> int:
    """Shared memory for one call: input and output, mask, weights, and a page of slack each."""
    numbers = 2 * case.batch * case.n**2 * (case.dim + 1) + 6 * HIDDEN * case.dim + 2 * (HIDDEN + case.dim)
    return 4 * numbers + 16 * PAGE


def _results(measured: list[Timed], worst: float, landlock: int) -> dict[str, object]:
    speedups = [timed.speedup for timed in measured]
    items = [
        {
            "id": timed.case.name,
            "score": timed.speedup,
            "group": f"C={timed.case.dim}",
            "eager_ms": [round(1e3 * t, 3) for t in timed.eager],
            "custom_ms": [round(1e3 * t, 3) for t in timed.custom],
            "error": round(timed.error, 4),
            "attempt": timed.attempt,
        }
        for timed in measured
    ]
    return {
        METRIC: statistics.fmean(speedups),
        "geometric_mean": statistics.geometric_mean(speedups),
        "track": TRACK,
        "error_small": round(worst, 4),
        "threads": cores(),
        "landlock": landlock,
        "items": items,
    }
