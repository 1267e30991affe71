"""The form of `denoise.py`, without any denoising."""

import numpy as np


def denoise(train: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    """Returns the counts as they came."""
    return train.astype(float)
