"""The course of a training by itself, with an engine that counts and learns nothing."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from sia.weights import loop
from sia.weights.health import Fault
from sia.weights.loop import Course, Marks, StepReport, take_steps
from sia.weights.plan import TrainingPlan, parse_plan
from tests.weights.toy import toy_plan

VALIDATION = 0.1
FIRST, STEP = 0.2, 0.01
SECONDS = 600


@dataclass
class Meter:
    """US dollars for steps, of which the first is dear, and for validations; and seconds on a clock of its own."""

    spent: float = 0.0
    steps: int = 0
    kept: int = 0
    measured: bool = True
    loss: float = 1.0
    spoilt_at: int | None = None
    """The step whose loss is no number."""
    killed_at: int | None = None
    saved: int | None = None
    clock: float = 0.0
    step_seconds: float = 0.0
    validation_seconds: float = 0.0

    def step(self) -> StepReport:
        if self.steps == self.killed_at:
            raise KeyboardInterrupt
        self.steps += 1
        self.clock += self.step_seconds
        self.spent += FIRST if self.steps == 1 else STEP
        return StepReport(math.nan if self.steps == self.spoilt_at else self.loss, gradient_norm=None, tokens=1)

    def validate(self) -> float | None:
        self.spent += VALIDATION
        self.clock += self.validation_seconds
        return float(self.steps) if self.measured else None

    def keep(self) -> None:
        self.kept = self.steps

    def checkpoint(self, seconds: float) -> None:
        self.saved = self.steps

    def restore(self) -> int | None:
        return self.saved

    def exceeded(self) -> Fault | None:
        return None

    def cost(self, seconds: float) -> float | None:
        return self.spent


def course_of(meter: Meter, work: Path, most: float | None, lines: list[str], steps: int = 1000) -> Course:
    plan: TrainingPlan = parse_plan(json.dumps(toy_plan("cloning", steps=steps, limits={"seconds": SECONDS})))
    return Course(plan, Marks(digest="", steps=steps), meter, work, most, lines.append, loop.time.monotonic())


@pytest.mark.parametrize("dollars", [0.8, 1.5, 4.0])
def test_steps_are_cut_to_what_they_may_cost(dollars: float, tmp_path: Path) -> None:
    meter, lines = Meter(), list[str]()
    course = course_of(meter, tmp_path, dollars, lines)
    assert take_steps(course) is None
    assert 0.8 * dollars < meter.spent <= dollars
    assert course.marks.step == course.marks.steps == meter.steps < 1000
    assert meter.kept == meter.steps, "the last validation is paid for, too"
    assert any("shortened" in line for line in lines)


@pytest.mark.parametrize("dollars", [0.0, 0.15, 0.35])
def test_a_limit_that_pays_for_few_steps_ends_the_training(dollars: float, tmp_path: Path) -> None:
    meter = Meter()
    fault = take_steps(course_of(meter, tmp_path, dollars, []))
    assert fault is not None
    assert fault.ended == "cost limit"
    assert meter.spent <= max(dollars, VALIDATION + FIRST + VALIDATION)


def test_without_a_limit_every_step_is_taken(tmp_path: Path) -> None:
    meter, lines = Meter(), list[str]()
    assert take_steps(course_of(meter, tmp_path, None, lines, steps=300)) is None
    assert meter.steps == 300
    assert not any("shortened" in line for line in lines)


@pytest.mark.parametrize(("step", "validation"), [(1.0, 100.0), (10.0, 1.0), (0.1, 0.0)])
def test_validation_and_steps_end_within_the_time(
    step: float, validation: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = Meter(step_seconds=step, validation_seconds=validation)
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: meter.clock))
    course = course_of(meter, tmp_path, None, [], steps=100_000)
    assert take_steps(course) is None
    assert 0.7 * SECONDS < course.seconds <= SECONDS
    assert meter.kept == meter.steps


def test_a_loss_that_is_no_number_leaves_what_the_last_checkpoint_holds(tmp_path: Path) -> None:
    meter = Meter(spoilt_at=41, saved=34)
    fault = take_steps(course_of(meter, tmp_path, None, [], steps=100))
    assert fault is not None
    assert fault.ended == "not finite"
    assert meter.kept


def test_weights_that_diverged_are_not_kept_unmeasured(tmp_path: Path) -> None:
    meter = Meter(measured=False)
    course = course_of(meter, tmp_path, None, [], steps=100)

    def watch(line: str) -> None:
        if line.startswith("step 55"):
            meter.loss = 100.0

    course.say = watch
    fault = take_steps(course)
    assert fault is not None
    assert fault.ended == "diverged"
    assert meter.kept == 50


def test_what_a_kill_undid_is_paid_for(tmp_path: Path) -> None:
    meter = Meter(killed_at=30)
    with pytest.raises(KeyboardInterrupt):
        take_steps(course_of(meter, tmp_path, 5.0, [], steps=100))
    spent = meter.spent
    again = course_of(Meter(), tmp_path, 5.0, [], steps=100)
    assert take_steps(again) is None
    assert again.cost == pytest.approx(spent + 3 * VALIDATION + FIRST + 99 * STEP)


def test_a_streak_goes_on_after_a_kill(tmp_path: Path) -> None:
    course = course_of(Meter(), tmp_path, None, [])
    for step in range(3):
        course.marks.health.look(step, 1.0, None, 0.0, 20.0, 0.5)
    marks = Marks.model_validate_json(course.marks.model_dump_json())
    assert marks.health.far == 3
    assert marks == course.marks
