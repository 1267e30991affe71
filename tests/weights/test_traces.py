"""Recorded calls as training data: what is selected, by which reward, and what never is."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sia.weights.examples import Example
from sia.weights.plan import REWARD_FILE, PlanError, parse_plan
from sia.weights.rewards import reward_of
from sia.weights.traces import TRACES_FILE, RecordedCall, select_examples
from tests.weights.toy import make_public, toy_plan

CALLS = [
    RecordedCall(generation=1, prompt="sun is it :", answer="no"),
    RecordedCall(generation=2, prompt="sun is it :", answer="yes"),
    RecordedCall(generation=1, prompt="leaf is it :", answer="yes"),
    RecordedCall(generation=1, prompt="of a test item", answer="yes"),
    RecordedCall(generation=2, prompt="of a test item", answer="no"),
    RecordedCall(generation=3, prompt="of a test item", answer="no"),
    RecordedCall(generation=1, prompt="of another", answer="no"),
]


def selected(tmp_path: Path, calls: Sequence[RecordedCall] = CALLS, **more: object) -> dict[str, str | None]:
    """The examples that a plan takes from the calls: prompt to answer."""
    public = make_public(tmp_path / "public")
    (tmp_path / TRACES_FILE).write_text("".join(call.model_dump_json() + "\n" for call in calls))
    data = {**toy_plan("cloning")["data"], "origin": "traces", "traces": {"generations": [1]}, "validation": 0.0}  # type: ignore[dict-item]
    whole = toy_plan("cloning") | more | {"data": {**data, **more.get("data", {})}}  # type: ignore[dict-item]
    plan = parse_plan(json.dumps(whole))
    reward = reward_of(plan, public, tmp_path)

    def grade(groups: Sequence[tuple[Sequence[str], Example]]) -> list[list[float]]:
        return [reward(answers, example) for answers, example in groups]

    return {e.prompt: e.answer for e in select_examples(plan, public, tmp_path, grade).train}


def test_labels_reward_what_public_rows_explain(tmp_path: Path) -> None:
    assert selected(tmp_path) == {"sun is it :": "yes"}


def test_a_check_sees_answer_and_public_row(tmp_path: Path) -> None:
    (tmp_path / REWARD_FILE).write_text("def points(answer, row):\n    return 0.5 * (row['word'] == 'leaf')\n")
    check = {"kind": "check", "function": f"{REWARD_FILE}:points"}
    data = {"answer": None, "traces": {"generations": [1], "at_least": 0.5}}
    assert selected(tmp_path, reward=check, data=data) == {"leaf is it :": "yes"}


def test_without_labels_the_majority_of_three_counts(tmp_path: Path) -> None:
    data = {"answer": None, "file": "", "prompt": ""}
    assert selected(tmp_path, reward={"kind": "majority"}, data=data) == {"of a test item": "no"}


def test_a_format_can_be_asked_for_besides(tmp_path: Path) -> None:
    data = {"answer": None, "file": "", "prompt": "", "traces": {"generations": [1], "at_least": 1.1}}
    reward = {"kind": "majority", "format": "n.*", "format_weight": 0.1}
    assert selected(tmp_path, reward=reward, data=data) == {"of a test item": "no"}
    with pytest.raises(PlanError, match="none by"):
        selected(tmp_path, reward={**reward, "format": "y.*"}, data=data)


def test_nothing_right_is_told(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="of 1 recorded prompts 1 can be rewarded"):
        selected(tmp_path, [CALLS[0]])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"algorithm": "dpo"}, "take the algorithm cloning"),
        ({"data": {"traces": None}}, "data.traces belongs"),
        ({"data": {"traces": {"generations": []}}}, "data.traces.generations"),
        ({"data": {"traces": {"generations": [0]}}}, "data.traces.generations"),
        ({"data": {"file": ""}}, "data.file and data.prompt"),
        ({"data": {"answer": None}}, "learns from given answers"),
    ],
)
def test_impossible_selections_are_refused(more: dict[str, object], words: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=words):
        selected(tmp_path, **more)
