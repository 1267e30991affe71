"""The course of a training, wherever the weights lie: steps, validation, checkpoints, and an end in order.

It knows neither torch nor a service. What moves the weights is an `Engine`: the trainer on this machine, or the client
of a remote one.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from pydantic import BaseModel, ConfigDict

from sia.weights.health import Fault, Health
from sia.weights.outcome import METRICS_FILE, StepMetrics
from sia.weights.plan import TrainingPlan
from sia.weights.schedule import progress_line

VALIDATIONS = 2
"""Times that the adapter is validated in a training, the end included: each costs as much as a dozen steps."""
RESERVE = 0.9
"""Share of the time limit, and of a cost limit, that steps may fill; the rest is for loading, validation, saving."""
MEASURED_STEPS = 5
FEW_STEPS = 0.05
"""Share of the steps by which their number is not changed again."""

Say = Callable[[str], None]


class Marks(BaseModel):
    """Where a training stands, beside its weights."""

    model_config = ConfigDict(extra="forbid")

    digest: str
    """Of plan, data, parent and base: another training's checkpoint is never taken up."""
    step: int = 0
    steps: int
    """Steps that fit into the time, told once the speed is known."""
    tokens: int = 0
    seconds: float = 0.0
    before: float | None = None
    best: float | None = None
    best_step: int = 0
    validated: bool = False


@dataclass(frozen=True)
class StepReport:
    """What one step saw."""

    loss: float
    gradient_norm: float | None
    """None: the trainer does not tell."""
    tokens: int
    reward: float | None = None
    kl: float | None = None
    entropy: float | None = None
    spread: float | None = None


class Engine(Protocol):
    """What moves the weights."""

    def step(self) -> StepReport:
        """Takes the step that follows the marks'."""
        ...

    def validate(self) -> float | None:
        """Mean reward on the validation rows; None where there is nothing to measure by."""
        ...

    def keep(self) -> None:
        """Keeps the adapter as it is now as the best so far."""
        ...

    def checkpoint(self, seconds: float) -> None:
        """Makes a start from here possible; `seconds` have passed since the training began."""
        ...

    def exceeded(self) -> Fault | None:
        """A limit of its own that was passed, such as memory."""
        ...

    def cost(self, seconds: float) -> float | None:
        """US dollars so far; None: the price is not known."""
        ...


@dataclass
class Course:
    """One training in this process. `marks` moves on with every step."""

    plan: TrainingPlan
    marks: Marks
    engine: Engine
    work: Path
    """Folder that outlives a kill."""
    most_cost: float | None
    """US dollars that it may cost; None: no limit. Passed only where less than one step and a validation cost."""
    say: Say
    started: float
    """On the clock of `time.monotonic`."""
    validation_cost: float = 0.0
    """US dollars of the dearest validation so far: one is due after the last step."""

    @property
    def seconds(self) -> float:
        """Since the training began, earlier sittings included."""
        return self.marks.seconds + time.monotonic() - self.started


@dataclass
class _Pace:
    """What steps took so far, in this process."""

    durations: list[float]
    costs: list[float]

    def each(self, values: list[float]) -> float:
        """The mean without the first, which is slower."""
        return sum(values[1:]) / (len(values) - 1) if len(values) > 1 else sum(values)


def take_steps(course: Course) -> Fault | None:
    """Steps from where the marks stand to the last one; the fault that ended them, if any."""
    plan, marks, engine, health = course.plan, course.marks, course.engine, Health()
    if not marks.validated:
        marks.before = marks.best = _validate(course)
        marks.validated = True
        course.say(f"before the first step: validation reward {_number(marks.before)}")
    saved = time.monotonic()
    pace = _Pace([], [])
    with _metrics_file(course) as metrics:
        while marks.step < marks.steps:
            if fault := _limit_reached(course, pace):
                if pace.durations:
                    _consider(course)
                return fault
            start, before = time.monotonic(), engine.cost(course.seconds) or 0.0
            report = engine.step()
            fault = health.look(
                marks.step + 1, report.loss, report.gradient_norm, report.reward, report.kl, report.spread
            )
            if fault is not None and fault.ended == "not finite":
                # The weights are spoilt: the last checkpoint counts.
                return fault
            fault = fault or engine.exceeded()
            marks.step += 1
            marks.tokens += report.tokens
            pace.durations.append(time.monotonic() - start)
            pace.costs.append((engine.cost(course.seconds) or 0.0) - before)
            line = _metrics(course, report, pace)
            metrics.write(line.model_dump_json() + "\n")
            metrics.flush()
            course.say(progress_line(line, marks.steps, _left(course, pace)))
            if fault is not None:
                _consider(course)
                return fault
            if len(pace.durations) % MEASURED_STEPS == 0:
                _fit(course, pace)
            if marks.step == marks.steps or marks.step % -(-marks.steps // VALIDATIONS) == 0:
                _consider(course)
            if time.monotonic() - saved > plan.checkpoint_seconds or marks.step == marks.steps:
                engine.checkpoint(course.seconds)
                saved = time.monotonic()
    return None


def end_reason(fault: Fault | None, left: bool) -> str:
    """Why the training ended as it did, in words; `left`: an adapter is there."""
    if fault is not None:
        return fault.reason
    return "" if left else "no checkpoint was better on the validation rows than the model at the start"


def _limit_reached(course: Course, pace: _Pace) -> Fault | None:
    marks, limit = course.marks, course.plan.limits.seconds
    if course.seconds > limit:
        return Fault("time limit", f"{limit:g} s reached at step {marks.step} of {marks.steps}")
    spent, most = course.engine.cost(course.seconds), course.most_cost
    if most is None or spent is None:
        return None
    following = max(pace.costs[1:] or pace.costs, default=0.0)
    if spent + following + course.validation_cost > most:
        told = f"${spent:.4g} spent, the next step may cost ${following:.4g}, validation ${course.validation_cost:.4g}"
        return Fault("cost limit", f"${most:.4g} reached at step {marks.step} of {marks.steps} ({told})")
    return None


def _fit(course: Course, pace: _Pace) -> None:
    """As many steps, and with them the schedule, as the limits allow at speed and cost so far; small changes wait."""
    plan, marks, limits = course.plan, course.marks, course.plan.limits
    left = {f"{limits.seconds:g} s": (RESERVE * limits.seconds - course.seconds, pace.each(pace.durations))}
    spent = course.engine.cost(course.seconds)
    if course.most_cost is not None and spent is not None:
        rest = RESERVE * course.most_cost - spent - VALIDATIONS * course.validation_cost
        left[f"${course.most_cost:.4g}"] = rest, pace.each(pace.costs)
    fitting = {limit: int(rest / max(each, 1e-12)) for limit, (rest, each) in left.items()}
    limit = min(fitting, key=lambda name: fitting[name])
    steps = min(plan.steps, marks.step + max(1, fitting[limit]))
    if steps != marks.steps and abs(steps - marks.steps) >= FEW_STEPS * marks.steps:
        marks.steps = steps
        course.say(f"{limit} allow {steps} of {plan.steps} steps" + ": shortened" * (steps < plan.steps))


def _consider(course: Course) -> None:
    """Validates, and keeps the adapter when it is the best so far; without validation the latest is."""
    marks = course.marks
    found = _validate(course)
    if found is not None:
        course.say(f"step {marks.step}: validation reward {found:.3f} (before {_number(marks.before)})")
    if found is None or marks.best is None or found > marks.best or (found == marks.best and marks.best_step):
        course.engine.keep()
        marks.best, marks.best_step = found, marks.step


def _validate(course: Course) -> float | None:
    before = course.engine.cost(course.seconds) or 0.0
    found = course.engine.validate()
    spent = (course.engine.cost(course.seconds) or 0.0) - before
    course.validation_cost = max(course.validation_cost, spent)
    return found


def _left(course: Course, pace: _Pace) -> float:
    recent = pace.durations[-20:]
    return sum(recent) / len(recent) * (course.marks.steps - course.marks.step)


def _metrics(course: Course, report: StepReport, pace: _Pace) -> StepMetrics:
    return StepMetrics(
        step=course.marks.step,
        loss=report.loss,
        reward=report.reward,
        kl=report.kl,
        entropy=report.entropy,
        spread=report.spread,
        gradient_norm=report.gradient_norm,
        tokens=course.marks.tokens,
        tokens_per_second=report.tokens / max(pace.durations[-1], 1e-9),
        seconds=course.seconds,
    )


def _metrics_file(course: Course) -> TextIO:
    """The file of metrics, without the lines of steps that were lost with a kill."""
    file = course.work / METRICS_FILE
    kept = []
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                if StepMetrics.model_validate_json(line).step <= course.marks.step:
                    kept.append(line)
            except ValueError:
                break
    file.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return file.open("a", encoding="utf-8")


def _number(value: float | None) -> str:
    return f"{value:.3f}" if value is not None else "not measured"
