"""Says less than nothing."""


def denoise(train, seed, seconds):
    return train - 0.5
