"""Sparse times dense, row by row: the propagation of every network and recommender on the CPU.

Rows are handed to the threads in blocks of about as many entries each, and a row's sum is always taken in the order of
its slots, so that the number of threads does not change a bit of the result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from graphforget.kernels.csr import IntArray, as_csr, as_ids, check_rows
from graphforget.kernels.threads import threaded

Floats = npt.NDArray[Any]
BLOCKS = 64


def spmm(indptr: npt.ArrayLike, indices: npt.ArrayLike, values: Floats, dense: Floats) -> Floats:
    """Multiply a CSR matrix by a dense one.

    Args:
        indptr: [n + 1].
        indices: [E] in [0, m).
        values: [E] float32 or float64.
        dense: [m, d] of the same type, C-contiguous.

    Returns:
        [n, d].

    Raises:
        ValueError: the shapes or types do not fit together, or an id is out of range.

    Example:
        >>> spmm([0, 2, 2], [0, 1], np.array([1.0, 2.0]), np.array([[1.0, 0.0], [0.0, 3.0]])).tolist()
        [[1.0, 6.0], [0.0, 0.0]]
    """
    indptr, indices = as_csr(indptr, indices)
    if dense.ndim != 2 or values.shape != indices.shape or values.dtype != dense.dtype:
        shapes = f"{values.shape} {values.dtype} and {dense.shape} {dense.dtype}"
        raise ValueError(f"values and dense must have shapes [{len(indices)}] and [m, d] and one type (got {shapes})")
    check_rows(indptr, as_ids("indices", indices, len(dense)))
    out = np.zeros((len(indptr) - 1, dense.shape[1]), dtype=dense.dtype)
    share = np.arange(BLOCKS + 1) * (len(indices) / BLOCKS)
    starts = np.searchsorted(indptr, share.astype(np.int64))
    starts[0], starts[-1] = 0, len(indptr) - 1
    _spmm(indptr, indices, values, np.ascontiguousarray(dense), starts, out)
    return out


@threaded
def _spmm(indptr: IntArray, indices: IntArray, values: Floats, dense: Floats, starts: IntArray, out: Floats) -> None:
    width = dense.shape[1]
    for block in prange(len(starts) - 1):
        for row in range(starts[block], starts[block + 1]):
            total = out[row]
            for slot in range(indptr[row], indptr[row + 1]):
                weight, source = values[slot], dense[indices[slot]]
                for column in range(width):
                    total[column] += weight * source[column]
