"""Confidence intervals of a mean, two-sided, in plain Python: the orchestrator stays free of NumPy."""

import math
import random
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

from sia.score.model import Interval

RESAMPLES = 2_000
MAX_BOOTSTRAP_ITEMS = 2_000
"""Above this sample size the mean is as good as normal, and resampling would take seconds."""


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """The score interval of a proportion: Wilson (1927), JASA 22, 209-212. It holds `successes / n`.

    Raises ValueError unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} of {n} is no proportion")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))
    return Interval(low=low, high=high, confidence=confidence, method="wilson")


def mean_interval(values: Sequence[float], seed: int, confidence: float = 0.95) -> Interval | None:
    """The percentile bootstrap interval of the mean: Efron (1979), Annals of Statistics 7, 1-26; seeded.

    Above `MAX_BOOTSTRAP_ITEMS` values the normal interval takes its place. One value, or none, has no interval.
    """
    n = len(values)
    if n < 2:
        return None
    mean = fmean(values)
    if n > MAX_BOOTSTRAP_ITEMS:
        half = NormalDist().inv_cdf(0.5 + confidence / 2) * stdev(values, mean) / math.sqrt(n)
        return Interval(low=mean - half, high=mean + half, confidence=confidence, method="normal")
    rng = random.Random(seed)
    means = sorted(fmean(rng.choices(values, k=n)) for _ in range(RESAMPLES))
    tail = (1 - confidence) / 2
    low, high = means[int(tail * RESAMPLES)], means[math.ceil((1 - tail) * RESAMPLES) - 1]
    # The mean lies inside but for rounding.
    return Interval(low=min(low, mean), high=max(high, mean), confidence=confidence, method="bootstrap")
