"""The course of a training by itself, with an engine that only counts what it would cost."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from sia.weights.health import Fault
from sia.weights.loop import Course, Marks, StepReport, take_steps
from sia.weights.plan import TrainingPlan, parse_plan
from tests.weights.toy import toy_plan

VALIDATION = 0.1
FIRST, STEP = 0.2, 0.01


@dataclass
class Meter:
    """US dollars for steps, of which the first is dear, and for validations; nothing is learnt."""

    spent: float = 0.0
    steps: int = 0
    kept: int = 0

    def step(self) -> StepReport:
        self.steps += 1
        self.spent += FIRST if self.steps == 1 else STEP
        return StepReport(loss=1.0, gradient_norm=None, tokens=1)

    def validate(self) -> float | None:
        self.spent += VALIDATION
        return float(self.steps)

    def keep(self) -> None:
        self.kept = self.steps

    def checkpoint(self, seconds: float) -> None:
        pass

    def exceeded(self) -> Fault | None:
        return None

    def cost(self, seconds: float) -> float | None:
        return self.spent


def course_of(meter: Meter, work: Path, most: float | None, lines: list[str], steps: int = 1000) -> Course:
    plan: TrainingPlan = parse_plan(json.dumps(toy_plan("cloning", steps=steps)))
    return Course(plan, Marks(digest="", steps=steps), meter, work, most, lines.append, time.monotonic())


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
