"""Whether a generation is better than the best: a paired statement, at a level that shrinks with every look."""

import math
import random
from collections.abc import Sequence

from sia.score.model import Item, Score, Verdict

LEVEL = 0.05
PERMUTATIONS = 2000


def compare(
    candidate: Score,
    candidate_items: Sequence[Item],
    best: Score,
    best_items: Sequence[Item],
    against: int,
    look: int,
) -> Verdict:
    """The verdict at the `look`-th comparison of a run, on the items that both have.

    Without common items the values are compared and the outcome is `untested`.
    """
    sign = 1.0 if candidate.direction == "max" else -1.0
    earlier = {item.id: item.score for item in best_items}
    differences = [sign * (item.score - earlier[item.id]) for item in candidate_items if item.id in earlier]
    if not differences:
        difference = sign * (candidate.value - best.value)
        return Verdict(outcome="untested", against=against, difference=difference, looks=look)
    binary = all(item.score in (0.0, 1.0) for item in (*candidate_items, *best_items))
    p = mcnemar(differences) if binary else sign_flip(differences)
    mean = math.fsum(differences) / len(differences)
    alpha = level_of_look(look)
    outcome = "indistinguishable" if p > alpha else "improved" if mean > 0 else "regressed"
    return Verdict.model_validate(
        {
            "outcome": outcome,
            "against": against,
            "difference": mean,
            "p_value": p,
            "looks": look,
            "alpha": alpha,
            "test": "mcnemar" if binary else "sign-flip",
        }
    )


def is_promoted(verdict: Verdict) -> bool:
    """Whether the generation becomes the best one.

    Selection needs a choice, a claim needs evidence: where the test sees no difference the higher value is taken on
    with, and called indistinguishable.
    """
    if verdict.outcome in ("first", "improved"):
        return True
    return verdict.outcome in ("indistinguishable", "untested") and (verdict.difference or 0.0) > 0.0


def level_of_look(look: int) -> float:
    """The share of the level that look 1, 2, 3... may use: 6/(pi^2 k^2), which sums to one over all looks."""
    return LEVEL * 6.0 / (math.pi**2 * look**2)


def mcnemar(differences: Sequence[float]) -> float:
    """Two-sided exact p-value of paired 0/1 items (Q. McNemar, 1947, Psychometrika 12:153; binomial form)."""
    better = sum(d > 0 for d in differences)
    n = better + sum(d < 0 for d in differences)
    if n == 0:
        return 1.0
    tail = sum(math.comb(n, k) for k in range(min(better, n - better) + 1))
    return min(1.0, 2 * tail / 2**n)


def sign_flip(differences: Sequence[float], seed: int = 0) -> float:
    """Two-sided p-value of the sign-flip permutation test (R. A. Fisher, 1935, The Design of Experiments, 21)."""
    moved = [d for d in differences if d != 0.0]
    if not moved:
        return 1.0
    observed = abs(math.fsum(moved)) * (1 - 1e-12)
    if len(moved) <= 10:
        sums = [0.0]
        for d in moved:
            sums = [s + sign * d for s in sums for sign in (-1, 1)]
        return sum(abs(s) >= observed for s in sums) / len(sums)
    generator = random.Random(seed)
    hits = sum(
        abs(sum(d if bit else -d for d, bit in zip(moved, _bits(generator, len(moved)), strict=True))) >= observed
        for _ in range(PERMUTATIONS)
    )
    return (hits + 1) / (PERMUTATIONS + 1)


def _bits(generator: random.Random, n: int) -> list[bool]:
    word = generator.getrandbits(n)
    return [bool(word >> i & 1) for i in range(n)]
