"""What denoised counts are worth: two losses against held-out molecules, normalised, and three guards.

The molecules of a data set are split into train and test (molecular cross-validation: Batson, Royer & Webber 2019,
bioRxiv 786269). The losses are those of the denoising task of Open Problems in Single-Cell Analysis (Luecken et al.
2025, Nature Biotechnology), repaired: each cell is brought to its train total first, and the Poisson loss has its
arguments in the order of the likelihood. All matrices are dense, cells by genes.
"""

from dataclasses import dataclass

import numpy as np

TRAIN_SHARE = 0.9
"""Probability with which a molecule goes to train."""
PER_CELL = 10_000.0
"""Counts that each cell is scaled to before the logarithm."""
SMALLEST = 1e-6
"""Added to an expected count before its logarithm: a count where none was expected costs 13.8, not infinity."""
COMMON = 1e-4
"""Share of all counts below which a gene is rare: added to both shares when they are compared."""
MIN_POISSON = 0.40
MAX_INFLATION = 5.0
MAX_MOVED = 0.25
"""The guards. Beyond one of them the squared error of a data set says nothing, and counts 0 at most."""


@dataclass(frozen=True)
class Scores:
    """A denoised matrix between the train counts as they are (0) and the test counts themselves (1)."""

    mse: float
    """Normalised mean squared error of log1p(counts per 10,000)."""
    poisson: float
    """Normalised Poisson loss."""
    inflation: float
    """Largest factor by which the share of a gene that is not rare has grown beside train."""
    moved: float
    """Share of all counts that went from some genes to others."""
    published_poisson: float
    """As published: without rescaling and with swapped arguments. Whatever is multiplied by 0.001 does well."""

    def refusal(self) -> str | None:
        """Which guard the matrix is beyond, in words; None when it keeps to all of them."""
        if not self.poisson >= MIN_POISSON:
            return f"normalised Poisson loss {self.poisson:.3f} is below {MIN_POISSON:.2f}"
        if not self.inflation <= MAX_INFLATION:
            return f"a gene's share of the counts grew {self.inflation:.1f} times; {MAX_INFLATION:g} is the most"
        if not self.moved <= MAX_MOVED:
            return f"{self.moved:.0%} of all counts moved to other genes; {MAX_MOVED:.0%} is the most"
        return None


def thin(counts: np.ndarray, generator: np.random.Generator, share: float = TRAIN_SHARE) -> tuple[np.ndarray, ...]:
    """Splits integer counts into train and test: train ~ Binomial(counts, share), test = counts - train."""
    train = generator.binomial(counts, share)
    return train, counts - train


def log_per_10k(counts: np.ndarray) -> np.ndarray:
    """log1p of the counts scaled to 10,000 in each cell; a cell without counts stays 0."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.log1p(counts * (PER_CELL / np.where(totals > 0, totals, 1.0)))


def rescale(denoised: np.ndarray, train: np.ndarray) -> np.ndarray:
    """`denoised` with each cell brought to the total of its train counts; a cell without any stays without."""
    totals = denoised.sum(axis=1, keepdims=True)
    return denoised * (train.sum(axis=1, keepdims=True) / np.where(totals > 0, totals, 1.0))


def squared_errors(denoised: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Of each cell: the mean over genes of (log1p(CP10k(test)) - log1p(CP10k(denoised)))^2."""
    return np.mean((log_per_10k(test) - log_per_10k(denoised)) ** 2, axis=1)


def poisson_loss(expected: np.ndarray, counts: np.ndarray) -> float:
    """The mean of expected - counts log(expected): minus the log-likelihood of the counts, but for a constant."""
    return float(np.mean(expected - counts * np.log(expected + SMALLEST)))


def normalise(loss: float, none: float, perfect: float) -> float:
    """1 for a perfect loss, 0 for that of no denoising, below 0 for a worse one."""
    return float((none - loss) / (none - perfect))


def shares(counts: np.ndarray) -> np.ndarray:
    """Each gene's share of all counts."""
    return counts.sum(axis=0) / max(float(counts.sum()), 1.0)


def score(denoised: np.ndarray, train: np.ndarray, test: np.ndarray) -> Scores:
    """Everything that is told of one data set."""
    part = test.sum() / train.sum()
    scaled = rescale(denoised, train)
    before, after = shares(train), shares(scaled)
    swapped = [poisson_loss(test, matrix) for matrix in (denoised * part, train * part, test)]
    return Scores(
        mse=normalise(squared_errors(denoised, test).mean(), squared_errors(train, test).mean(), 0.0),
        poisson=normalise(
            poisson_loss(scaled * part, test), poisson_loss(train * part, test), poisson_loss(test, test)
        ),
        inflation=float(np.max((after + COMMON) / (before + COMMON))),
        moved=float(np.abs(after - before).sum() / 2),
        published_poisson=normalise(*swapped),
    )
