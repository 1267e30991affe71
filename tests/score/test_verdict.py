"""The verdict and the split: what they promise whatever the scores."""

from hypothesis import given
from hypothesis import strategies as st

from sia.score.model import Item
from sia.score.paired import level_of_look, mcnemar_p, sign_flip_p
from sia.score.split import SplitRule, split_items
from sia.score.verdict import compare, is_promoted

scores = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60)


def items(values: list[float]) -> list[Item]:
    return [Item(id=str(k), score=value) for k, value in enumerate(values)]


@given(scores, st.integers(1, 50))
def test_swapping_the_sides_swaps_the_verdict(pairs: list[tuple[float, float]], look: int) -> None:
    a, b = items([p[0] for p in pairs]), items([p[1] for p in pairs])
    forth, back = compare(a, b, "max", look), compare(b, a, "max", look)
    assert forth.difference == -(back.difference or 0.0)
    assert forth.p_value == back.p_value
    assert {forth.outcome, back.outcome} in ({"indistinguishable"}, {"improved", "regressed"})
    assert compare(a, b, "min", look).difference == back.difference


@given(scores, st.integers(1, 50))
def test_promotion_needs_a_difference_upwards(pairs: list[tuple[float, float]], look: int) -> None:
    verdict = compare(items([p[0] for p in pairs]), items([p[1] for p in pairs]), "max", look)
    assert is_promoted(verdict) == ((verdict.difference or 0.0) > 0)


def test_leaving_out_hard_items_does_not_pay() -> None:
    best = items([1.0] * 50 + [0.0] * 50)
    candidate = best[:50]
    verdict = compare(candidate, best, "max", 1)
    assert verdict.outcome == "untested"
    assert not is_promoted(verdict)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_a_probability_and_symmetric(gained: int, lost: int) -> None:
    p = mcnemar_p(gained=gained, lost=lost)
    assert 0.0 < p <= 1.0
    assert p == mcnemar_p(gained=lost, lost=gained)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=40), st.integers(0, 5))
def test_sign_flip_is_a_probability(differences: list[float], seed: int) -> None:
    assert 0.0 < sign_flip_p(differences, seed) <= 1.0


def test_levels_of_all_looks_stay_below_five_percent() -> None:
    levels = [level_of_look(k) for k in range(1, 10_000)]
    assert sum(levels) < 0.05
    assert levels == sorted(levels, reverse=True)


@given(st.sets(st.text(min_size=1, max_size=8), max_size=80), st.integers(0, 9), st.floats(0, 0.9))
def test_split_parts_the_items_and_does_not_depend_on_their_order(ids: set[str], seed: int, fraction: float) -> None:
    rule = SplitRule(seed, fraction)
    listed = [Item(id=i, score=0.0) for i in sorted(ids)]
    split, turned = split_items(listed, rule), split_items(listed[::-1], rule)
    assert sorted((*split.dev, *split.sealed), key=lambda i: i.id) == sorted(listed, key=lambda i: i.id)
    assert {i.id for i in split.sealed} == {i.id for i in turned.sealed}
    if len(ids) < rule.minimum:
        assert not split.sealed
