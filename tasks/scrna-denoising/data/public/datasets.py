"""The development sets beside this file as integer counts, cells by genes, without scanpy or anndata."""

from pathlib import Path

import h5py
import numpy as np

HERE = Path(__file__).parent
PER_CELL = 10_000.0
ROUNDING = 0.1
"""How far from an integer a count may be that was recovered from 32-bit logarithms."""


def read_pbmc68k(file: Path = HERE / "pbmc68k_reduced.h5ad") -> np.ndarray:
    """700 blood cells by 765 genes. The file holds log1p(counts per 10,000), which is turned back into counts.

    Raises ValueError when no integers come out.
    """
    with h5py.File(file) as content:
        raw, totals = content["raw.X"], content["obs"]["n_counts"].astype(float)
        values, columns, ends = (raw[name][:] for name in ("data", "indices", "indptr"))
        counts = np.zeros(raw.attrs["h5sparse_shape"])
    rows = np.repeat(np.arange(len(totals)), np.diff(ends))
    counts[rows, columns] = np.expm1(values.astype(float)) * totals[rows] / PER_CELL
    whole = np.rint(counts)
    if np.abs(counts - whole).max() > ROUNDING:
        raise ValueError(f"{file.name} holds no logarithms of counts")
    return whole.astype(np.int64)


def read_celltypist(file: Path = HERE / "celltypist_sample.matrix") -> np.ndarray:
    """559 immune cells by the 9,810 genes that any of them has; 54 MB of text, about a second to read."""
    with file.open(encoding="utf-8") as lines:
        genes = len(lines.readline().split(",")) - 1
        counts = np.loadtxt(lines, delimiter=",", usecols=range(1, genes + 1), dtype=np.float64)
    whole = np.rint(counts).astype(np.int64)
    return whole[:, whole.sum(axis=0) > 0]
