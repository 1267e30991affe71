"""Scores: whatever an evaluator leaves is a measurement or a reason, never an exception."""

import json
import math
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sia.score.intervals import wilson_interval
from sia.score.measure import Measurement, measure
from sia.score.model import ScoreFailure
from sia.score.results import read_results
from sia.score.split import SplitRule

RULE = SplitRule(0, 0.3)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["accuracy", "items", "summary"]), inner)
    ),
    max_leaves=20,
)


def measured(content: bytes) -> Measurement | ScoreFailure:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "results.json"
        file.write_bytes(content)
        results = read_results(file)
        return results if isinstance(results, ScoreFailure) else measure(results, "accuracy", "max", RULE)


def test_wilson_interval_of_eight_in_ten() -> None:
    interval = wilson_interval(8, 10)
    assert interval.low == pytest.approx(0.4902, abs=1e-4)
    assert interval.high == pytest.approx(0.9433, abs=1e-4)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_interval_holds_the_estimate(counts: tuple[int, int]) -> None:
    right, n = counts
    interval = wilson_interval(right, n)
    assert 0 <= interval.low <= right / n + 1e-12
    assert right / n - 1e-12 <= interval.high <= 1


@settings(deadline=None)
@given(st.binary() | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_results_are_a_score_or_a_reason(content: bytes) -> None:
    found = measured(content)
    if isinstance(found, ScoreFailure):
        assert found.reason
    else:
        assert math.isfinite(found.all.value)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=5, max_size=60), st.integers(0, 100))
def test_order_of_items_changes_nothing(right: list[bool], seed: int) -> None:
    items = [{"id": str(k), "status": "CORRECT" if r else "WRONG"} for k, r in enumerate(right)]
    shuffled = list(items)
    random.Random(seed).shuffle(shuffled)
    value = sum(right) / len(right)
    both = [measured(json.dumps({"accuracy": value, "items": i}).encode()) for i in (items, shuffled)]
    assert isinstance(both[0], Measurement)
    assert isinstance(both[1], Measurement)
    assert both[0].all == both[1].all
    assert both[0].dev == both[1].dev
    assert both[0].sealed == both[1].sealed


@pytest.mark.parametrize("stated", ['"0.9"', "NaN", "Infinity", "true", "[0.9]", "null"])
def test_what_is_not_a_number_is_no_score(stated: str) -> None:
    assert isinstance(measured(f'{{"accuracy": {stated}}}'.encode()), ScoreFailure)


def test_metric_under_summary() -> None:
    found = measured(b'{"summary": {"accuracy": 0.75}}')
    assert isinstance(found, Measurement)
    assert found.all.value == 0.75
    assert found.all.n is None
