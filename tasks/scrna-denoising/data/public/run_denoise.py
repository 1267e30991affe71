"""Runs `denoise(train, seed, seconds)` as the evaluator does: `python run_denoise.py PROGRAM CELLS GENES SEED SECONDS`.

The train counts come on standard input as 32-bit integers, row by row. What goes out on standard output is `=` and the
denoised matrix as 64-bit floats, or `!` and what went wrong in a line. What the program prints goes nowhere.
"""

import importlib.util
import os
import sys

import numpy as np


def load(file: str) -> object:
    """The module in a file that lies in no package."""
    spec = importlib.util.spec_from_file_location("denoise", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["denoise"] = module
    spec.loader.exec_module(module)
    return module


def answer(file: str, cells: int, genes: int, seed: int, seconds: float) -> bytes:
    """What the program makes of the counts on standard input, as bytes."""
    counts = np.frombuffer(sys.stdin.buffer.read(), dtype=np.int32).reshape(cells, genes).copy()
    try:
        denoised = np.asarray(load(file).denoise(counts, seed, seconds), dtype=np.float64)
    except BaseException as error:  # noqa: BLE001 (whatever a program may raise, SystemExit included)
        return f"!raised {type(error).__name__}: {error}".encode("utf-8", "replace")
    if denoised.shape != (cells, genes):
        return f"!returned a matrix of shape {denoised.shape}, not {(cells, genes)}".encode()
    return b"=" + np.ascontiguousarray(denoised).tobytes()


def main() -> None:
    """Keeps standard output for the answer."""
    with os.fdopen(os.dup(1), "wb") as channel:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        file, cells, genes, seed, seconds = sys.argv[1:]
        channel.write(answer(file, int(cells), int(genes), int(seed), float(seconds)))


if __name__ == "__main__":
    main()
