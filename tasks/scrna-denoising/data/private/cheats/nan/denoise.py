"""Says nothing where it would have to guess."""

import numpy as np


def denoise(train, seed, seconds):
    return np.where(train > 0, train, np.nan)
