"""Paired tests of two generations on the same items, two-sided, in plain Python."""

import math
import random
from collections.abc import Sequence
from statistics import NormalDist

MAX_EXACT_PAIRS = 16
MAX_RANDOM_PAIRS = 2_000
FLIPS = 100_000
"""Random sign patterns; the smallest p-value is 1 / (FLIPS + 1), below the level of the 50th look."""
_BLOCK = 8


def mcnemar_p(gained: int, lost: int) -> float:
    """Exact McNemar test: the two-sided exact binomial test that `gained` and `lost` pairs are equally likely.

    McNemar (1947), Psychometrika 12, 153-157, with binomial tail probabilities instead of the chi-square. No discordant
    pair gives 1.
    """
    n, fewer = gained + lost, min(gained, lost)
    if n == 0:
        return 1.0
    log_half_n = n * math.log(2) - math.lgamma(n + 1)
    terms = []
    for k in range(fewer, -1, -1):
        terms.append(math.exp(-math.lgamma(k + 1) - math.lgamma(n - k + 1) - log_half_n))
        if terms[-1] < 1e-18 * terms[0]:
            break
    return min(1.0, 2 * math.fsum(terms))


def sign_flip_p(differences: Sequence[float], seed: int) -> float:
    """Sign-flip permutation test that paired differences are symmetric about 0: Fisher (1935), Design of Experiments.

    All sign patterns are counted up to `MAX_EXACT_PAIRS` differences other than 0, `FLIPS` random ones above that (p is
    then (1 + hits) / (1 + FLIPS): Phipson & Smyth 2010), and above `MAX_RANDOM_PAIRS` the normal limit is taken.
    """
    sizes = [d for d in differences if d != 0.0]
    if not sizes:
        return 1.0
    # Scaled, so that no square can vanish or overflow.
    largest = max(abs(d) for d in sizes)
    sizes = [d / largest for d in sizes]
    observed = abs(math.fsum(sizes))
    # Sums of the same numbers in another order differ by rounding.
    at_least = observed - 1e-9 * len(sizes)
    if len(sizes) <= MAX_EXACT_PAIRS:
        sums = _signed_sums(sizes)
        return sum(abs(s) >= at_least for s in sums) / len(sums)
    if len(sizes) <= MAX_RANDOM_PAIRS:
        return (1 + _random_hits(sizes, at_least, seed)) / (1 + FLIPS)
    z = observed / math.sqrt(math.fsum(d * d for d in sizes))
    return 2 * NormalDist().cdf(-z)


def level_of_look(look: int, alpha: float = 0.05) -> float:
    """The level granted to the `look`-th comparison of a run, from 1: alpha * 6 / (pi * look)^2.

    Over endlessly many looks the levels sum to `alpha`, so the chance of any false claim in a run stays below it.
    """
    if look < 1:
        raise ValueError("looks are counted from 1")
    return alpha * 6 / (math.pi * look) ** 2


def _signed_sums(values: Sequence[float]) -> list[float]:
    """The sum for every one of the 2^n sign patterns."""
    sums = [0.0]
    for value in values:
        sums = [s + value for s in sums] + [s - value for s in sums]
    return sums


def _random_hits(values: Sequence[float], at_least: float, seed: int) -> int:
    """How many of `FLIPS` random sign patterns give a sum of at least `at_least` in size."""
    # A table of the sums of each eight values turns one random byte into eight flips.
    tables = []
    for start in range(0, len(values), _BLOCK):
        block = _signed_sums(values[start : start + _BLOCK])
        tables.append(block * (2**_BLOCK // len(block)))
    rng = random.Random(seed)
    hits = 0
    for _ in range(FLIPS):
        hits += abs(sum(map(list.__getitem__, tables, rng.randbytes(len(tables))))) >= at_least
    return hits
