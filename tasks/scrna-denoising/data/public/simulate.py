"""Single-cell counts with a known truth: cell types and gradients, library sizes, overdispersion, dropout.

The ranked data sets come from here, under a seed that no agent knows. Draw as many of your own as you like.
"""

from dataclasses import dataclass

import numpy as np

CELLS, GENES = 1500, 3000


@dataclass(frozen=True)
class Simulated:
    """One data set: its cells are in no order, and its genes have no names."""

    counts: np.ndarray
    """Integers, cells by genes."""
    expected: np.ndarray
    """The expected counts, had nothing dropped out: what denoising should find, up to a factor for each cell."""


def simulate(generator: np.random.Generator, cells: int = CELLS, genes: int = GENES) -> Simulated:
    """Draws one data set.

    counts ~ Poisson(Gamma(shape r_g, mean mu_cg)), which is negative binomial with variance mu + mu^2 / r_g (Gruen,
    Kester & van Oudenaarden 2014, Nature Methods 11:637); and 0 with a probability that falls with the mean of the
    gene (Pierson & Yau 2015, Genome Biology 16:241).
    """
    types = int(generator.integers(6, 13))
    member = generator.choice(types, size=cells, p=generator.dirichlet(np.full(types, 3.0)))
    base = generator.normal(0.0, 1.1, size=genes)
    marked = generator.random((types, genes)) < generator.uniform(0.05, 0.15)
    profiles = base + marked * generator.normal(0.0, 1.2, size=(types, genes))
    # Gradients that run through all types, such as the cell cycle.
    gradients = int(generator.integers(1, 4))
    loadings = (generator.random((gradients, genes)) < 0.05) * generator.normal(0.0, 0.7, size=(gradients, genes))
    level = np.exp(profiles[member] + generator.normal(size=(cells, gradients)) @ loadings)
    depth = genes * generator.uniform(1.1, 1.6)
    library = np.exp(generator.normal(np.log(depth), 0.4, size=(cells, 1)))
    expected = library * level / level.sum(axis=1, keepdims=True)
    shape = np.exp(generator.normal(1.6, 0.5, size=genes))
    counts = generator.poisson(expected * generator.gamma(shape, 1.0 / shape, size=expected.shape))
    dropped = generator.uniform(0.1, 0.4) * np.exp(-expected.mean(axis=0))
    counts[generator.random(counts.shape) < dropped] = 0
    return Simulated(counts, expected)
