"""Many submissions in one start of the evaluator: its libraries are loaded once, and forks.py does the rest.

Loading scikit-learn takes seconds, judging a submission milliseconds. Whatever goes wrong here is no finding: the
submission is tried again alone, as in a run.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sia.jail.protocol import Jail, Mount, Outcome
from sia.task.check.attacks import Attack
from sia.task.check.trial import Trial, evaluation, fill, trial_limits, trial_of, try_alone
from sia.task.package import TaskPackage

PROGRAM = Path(__file__).with_name("forks.py")
LOADING_SECONDS = 60.0
LAST_LINE_BYTES = 1000


def try_in_turn(task: TaskPackage, python: Path, jail: Jail, attacks: Sequence[Attack], end: float) -> list[Trial]:
    """One trial an attack. None is begun after `end`, or after one that had to be stopped."""
    attacks = sorted(attacks, key=lambda attack: attack.alone)
    trials: list[Trial] = []
    while len(trials) < len(attacks) and time.monotonic() < end and not (trials and trials[-1].stopped_by):
        left = attacks[len(trials) :]
        first_alone = next((number for number, attack in enumerate(left) if attack.alone), len(left))
        trials += _try_together(task, python, jail, left[:first_alone], end)
        stopped = bool(trials) and trials[-1].stopped_by is not None
        if len(trials) < len(attacks) and not stopped and time.monotonic() < end:
            trials.append(try_alone(task, python, jail, attacks[len(trials)]))
    return trials


def _try_together(task: TaskPackage, python: Path, jail: Jail, attacks: Sequence[Attack], end: float) -> list[Trial]:
    """Trials of the first attacks, up to one that did not end by itself in time, or up to `end`."""
    if not attacks:
        return []
    limits = trial_limits(task)
    with tempfile.TemporaryDirectory(prefix="sia-check-") as name:
        place = Path(name)
        copies = [place / f"gen_{number}" for number in range(1, len(attacks) + 1)]
        for attack, copy in zip(attacks, copies, strict=True):
            fill(attack, copy)
        left = end - time.monotonic()
        report = place / "report"
        whole = max(left, 0.0) + limits.seconds + LOADING_SECONDS
        told = (report, task.evaluator, limits.seconds, left, *copies)
        command = evaluation(task, python, (str(PROGRAM), *map(str, told)), place, place / "log")
        jail.run(replace(command, limits=replace(limits, seconds=whole), mounts=(*command.mounts, Mount(PROGRAM))))
        trials = []
        for number, status, seconds in _read_report(report):
            log = copies[number].with_name(f"{copies[number].name}.log")
            if log.stat().st_size > limits.output_bytes:
                break
            outcome = Outcome(
                exit_status=None if status == "late" else int(status),
                stopped_by=f"wall-clock limit of {limits.seconds:g} s" if status == "late" else None,
                seconds=seconds,
                peak_memory_bytes=None,
                output_bytes=log.stat().st_size,
                last_line=_last_line(log),
            )
            trials.append(trial_of(task, attacks[number], copies[number], log, outcome))
        return trials


def _read_report(report: Path) -> list[tuple[int, str, float]]:
    lines = []
    with suppress(OSError, ValueError):
        for line in report.read_text(encoding="utf-8").splitlines():
            number, status, seconds = line.split()
            lines.append((int(number), status, float(seconds)))
    return lines


def _last_line(log: Path) -> str:
    lines = log.read_bytes()[-LAST_LINE_BYTES:].decode("utf-8", "replace").split("\n")
    return next((line.strip()[:200] for line in reversed(lines) if line.strip()), "")
