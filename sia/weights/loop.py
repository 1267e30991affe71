"""The course of a training, wherever the weights lie: steps, validation, checkpoints, and an end in order.

It knows neither torch nor a service. What moves the weights is an `Engine`: the trainer on this machine, or the client
of a remote one.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from pydantic import BaseModel, ConfigDict, Field

from sia.weights.health import Fault, Health
from sia.weights.outcome import METRICS_FILE, StepMetrics
from sia.weights.plan import TrainingPlan
from sia.weights.schedule import progress_line

VALIDATIONS = 2
"""Times that the adapter is validated in a training, the end included: each costs as much as a dozen steps."""
RESERVE = 0.95
"""Share of the time limit, and of a cost limit, that steps and validation may fill; the rest is for saving."""
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
    validation_seconds: float = 0.0
    """The longest validation so far: one is due after the last step."""
    validation_cost: float = 0.0
    """US dollars of the dearest one."""
    health: Health = Field(default_factory=Health)


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

    def restore(self) -> int | None:
        """Takes the weights back to the last checkpoint, and tells its step; None where there is none."""
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
    lost: float = 0.0
    """US dollars of steps that a kill undid: they are paid for."""

    @property
    def seconds(self) -> float:
        """Since the training began, earlier sittings included."""
        return self.marks.seconds + time.monotonic() - self.started

    @property
    def cost(self) -> float | None:
        """US dollars so far, earlier sittings included; None: the price is not known."""
        cost = self.engine.cost(self.seconds)
        return None if cost is None else cost + self.lost


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
    marks = course.marks
    marks.health.graded = course.plan.reward.kind != "majority"
    before_the_kill = _read_metrics(course)
    if before_the_kill:
        _count_in(course, before_the_kill[-1])
    if not marks.validated:
        marks.before = marks.best = _validate(course)
        marks.validated = True
        course.say(f"before the first step: validation reward {_number(marks.before)}")
    saved = time.monotonic()
    pace = _Pace([], [])
    with _metrics_file(course, before_the_kill) as metrics:
        while marks.step < marks.steps:
            if fault := _limit_reached(course, pace):
                if marks.step:
                    _consider(course, marks.step)
                return fault
            if fault := _one_step(course, pace, metrics):
                _consider_last(course, fault)
                return fault
            if len(pace.durations) % MEASURED_STEPS == 0:
                _fit(course, pace)
            if marks.step == marks.steps or marks.step % -(-marks.steps // VALIDATIONS) == 0:
                _consider(course, marks.step)
            if time.monotonic() - saved > course.plan.checkpoint_seconds or marks.step == marks.steps:
                course.engine.checkpoint(course.seconds)
                saved = time.monotonic()
    return None


def _one_step(course: Course, pace: _Pace, metrics: TextIO) -> Fault | None:
    """Takes a step and writes it down; what is wrong with it, if anything. One that is not finite does not count."""
    marks, engine = course.marks, course.engine
    start, before = time.monotonic(), course.cost or 0.0
    report = engine.step()
    fault = marks.health.look(
        marks.step + 1, report.loss, report.gradient_norm, report.reward, report.kl, report.spread
    )
    if fault is not None and fault.ended == "not finite":
        return fault
    fault = fault or engine.exceeded()
    marks.step += 1
    marks.tokens += report.tokens
    pace.durations.append(time.monotonic() - start)
    pace.costs.append((course.cost or 0.0) - before)
    line = _metrics(course, report, pace)
    metrics.write(line.model_dump_json() + "\n")
    metrics.flush()
    course.say(progress_line(line, marks.steps, _left(course, pace)))
    return fault


def _consider_last(course: Course, fault: Fault) -> None:
    """Keeps what a fault left of the weights, if it is the best so far."""
    if fault.ended != "not finite":
        _consider(course, course.marks.step, spoilt=fault.ended in ("diverged", "collapsed"))
    elif (restored := course.engine.restore()) is not None:
        # The weights are spoilt: the last checkpoint counts.
        _consider(course, restored)


def end_reason(fault: Fault | None, left: bool) -> str:
    """Why the training ended as it did, in words; `left`: an adapter is there."""
    if fault is not None:
        return fault.reason
    return "" if left else "no checkpoint was better on the validation rows than the model at the start"


def last_look(course: Course) -> None:
    """Validates once more, and keeps what is better, after a fault from outside that left the weights whole."""
    if course.marks.step > course.marks.best_step:
        _consider(course, course.marks.step)


def _limit_reached(course: Course, pace: _Pace) -> Fault | None:
    marks, limit = course.marks, course.plan.limits.seconds
    if course.seconds + marks.validation_seconds > limit:
        return Fault("time limit", f"{limit:g} s reached at step {marks.step} of {marks.steps}")
    spent, most = course.cost, course.most_cost
    if most is None or spent is None:
        return None
    following = max(pace.costs[1:] or pace.costs, default=0.0)
    if spent + following + marks.validation_cost > most:
        told = f"${spent:.4g} spent, the next step may cost ${following:.4g}, validation ${marks.validation_cost:.4g}"
        return Fault("cost limit", f"${most:.4g} reached at step {marks.step} of {marks.steps} ({told})")
    return None


def _fit(course: Course, pace: _Pace) -> None:
    """As many steps, and with them the schedule, as the limits allow at speed and cost so far; small changes wait."""
    plan, marks = course.plan, course.marks
    due = 1 if 2 * marks.step >= marks.steps else VALIDATIONS
    limit = plan.limits.seconds
    rest = RESERVE * limit - course.seconds - due * marks.validation_seconds
    left = {f"{limit:g} s": (rest, pace.each(pace.durations))}
    if course.most_cost is not None and (spent := course.cost) is not None:
        rest = RESERVE * course.most_cost - spent - due * marks.validation_cost
        left[f"${course.most_cost:.4g}"] = rest, pace.each(pace.costs)
    fitting = {name: int(rest / max(each, 1e-12)) for name, (rest, each) in left.items()}
    narrowest = min(fitting, key=lambda name: fitting[name])
    steps = min(plan.steps, marks.step + max(1, fitting[narrowest]))
    if steps != marks.steps and abs(steps - marks.steps) >= FEW_STEPS * marks.steps:
        marks.steps = steps
        told = f"{narrowest} allow {steps} of {plan.steps} steps"
        course.say(told + ": shortened" * (steps < plan.steps))


def _consider(course: Course, step: int, spoilt: bool = False) -> None:
    """Validates, and keeps the adapter of `step` when it is the best so far.

    Without validation the latest is kept, unless it is spoilt by what ended the training.
    """
    marks = course.marks
    found = _validate(course)
    if found is not None:
        course.say(f"step {step}: validation reward {found:.3f} (before {_number(marks.before)})")
    elif spoilt:
        return
    if found is None or marks.best is None or found > marks.best or (found == marks.best and marks.best_step):
        course.engine.keep()
        marks.best, marks.best_step = found, step


def _validate(course: Course) -> float | None:
    marks, start, before = course.marks, time.monotonic(), course.cost or 0.0
    found = course.engine.validate()
    marks.validation_seconds = max(marks.validation_seconds, time.monotonic() - start)
    marks.validation_cost = max(marks.validation_cost, (course.cost or 0.0) - before)
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
        cost=course.cost,
    )


def _read_metrics(course: Course) -> list[StepMetrics]:
    """What earlier sittings wrote, up to a line that a kill cut short."""
    file, read = course.work / METRICS_FILE, list[StepMetrics]()
    if file.exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                read.append(StepMetrics.model_validate_json(line))
            except ValueError:
                break
    return read


def _count_in(course: Course, last: StepMetrics) -> None:
    """Adds what was spent after the last checkpoint, on steps that have to be taken again."""
    course.marks.seconds = max(course.marks.seconds, last.seconds)
    course.lost = max(0.0, (last.cost or 0.0) - (course.cost or 0.0))


def _metrics_file(course: Course, earlier: Sequence[StepMetrics]) -> TextIO:
    """The file of metrics, without the lines of steps that were lost with a kill."""
    file = course.work / METRICS_FILE
    kept = [line.model_dump_json() for line in earlier if line.step <= course.marks.step]
    file.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return file.open("a", encoding="utf-8")


def _number(value: float | None) -> str:
    return f"{value:.3f}" if value is not None else "not measured"
