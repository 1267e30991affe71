"""What sampled answers are worth, from public data alone: labels, a function, or the majority of the group."""

import importlib.util
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from sia.weights.examples import Example
from sia.weights.plan import REWARD_FILE, PlanError, TrainingPlan

RewardGroup = Callable[[Sequence[str], Example], list[float]]
"""Rewards of the answers to one prompt."""


def reward_of(plan: TrainingPlan, public: Path, author: Path) -> RewardGroup:
    """The reward that the plan names. Raises PlanError when its function cannot be had."""
    pattern = _pattern(plan.reward.format)
    base = _base_reward(plan, public, author)

    def rewards(answers: Sequence[str], example: Example) -> list[float]:
        given = base(answers, example)
        if pattern is None:
            return given
        bonus = plan.reward.format_weight
        return [r + bonus * bool(pattern.fullmatch(a)) for r, a in zip(given, answers, strict=True)]

    return rewards


def normal(answer: str) -> str:
    """An answer as answers are compared: case and surrounding space do not count."""
    return " ".join(answer.split()).casefold()


def _base_reward(plan: TrainingPlan, public: Path, author: Path) -> RewardGroup:
    if plan.reward.kind == "labels":
        return lambda answers, example: [float(normal(a) == normal(example.answer or "")) for a in answers]
    if plan.reward.kind == "majority":
        return _majority
    check = _load(plan.reward.function or "", public, author)

    def checked(answers: Sequence[str], example: Example) -> list[float]:
        try:
            found = [check(answer, dict(example.row)) for answer in answers]
        except Exception as error:  # noqa: BLE001 - a generated program may raise anything
            raise PlanError(f"reward.function raised {type(error).__name__}: {error}") from None
        if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in found):
            raise PlanError("reward.function gave something that is no finite number")
        return [float(value) for value in found]  # type: ignore[arg-type]

    return checked


def _majority(answers: Sequence[str], example: Example) -> list[float]:
    """1 for the answer that is commoner than any other of the group (Zuo et al., 2025, arXiv:2504.16084, "TTRL")."""
    counts = Counter(map(normal, answers)).most_common(2)
    if len(counts) > 1 and counts[0][1] == counts[1][1]:
        return [0.0] * len(answers)
    return [float(normal(answer) == counts[0][0]) for answer in answers]


def _load(function: str, public: Path, author: Path) -> Callable[[str, dict[str, str]], object]:
    name, _, attribute = function.rpartition(":")
    folder = author if name == REWARD_FILE else public
    file = folder / name
    if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
        raise PlanError(f"reward.function: there is no {name} in the public data, nor one that the author left")
    spec = importlib.util.spec_from_file_location("training_reward", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # noqa: BLE001 - a generated program may raise anything
        raise PlanError(f"reward.function: {name} cannot be imported: {type(error).__name__}: {error}") from None
    found = getattr(module, attribute, None)
    if not callable(found):
        raise PlanError(f"reward.function: {name} has no function {attribute}")
    return found  # type: ignore[no-any-return]


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text is not None else None
    except re.error as error:
        raise PlanError(f"reward.format is no regular expression: {error}") from None
