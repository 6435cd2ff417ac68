"""Dot products of pairs of rows: the decoder of every dot-product link predictor.

It reads two rows a pair and writes one number; gathering the rows first, as tensor code must, moves them through memory
three times more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from graphforget.kernels.threads import threaded

Floats = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]


def pair_dot(rows: Floats, u: IntArray, v: IntArray) -> Floats:
    """Return <rows[u], rows[v]> of each pair.

    Args:
        rows: [N, d] float32 or float64, C-contiguous.
        u: [n] int64 in [0, N).
        v: [n] int64 in [0, N).

    Example:
        >>> pair_dot(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1]), np.array([1, 1])).tolist()
        [11.0, 25.0]
    """
    u, v = _checked(rows, u, v)
    out = np.empty(len(u), dtype=rows.dtype)
    _dot(np.ascontiguousarray(rows), u, v, out)
    return out


def _checked(rows: Floats, u: IntArray, v: IntArray) -> tuple[IntArray, IntArray]:
    u, v = np.ascontiguousarray(u, dtype=np.int64), np.ascontiguousarray(v, dtype=np.int64)
    if u.shape != v.shape or u.ndim != 1:
        raise ValueError(f"u and v must be of one length (got {u.shape} and {v.shape})")
    for ids in (u, v):
        if len(ids) and (ids.min() < 0 or ids.max() >= len(rows)):
            raise ValueError(f"ids must lie in [0, {len(rows)}) (got {ids.min()} to {ids.max()})")
    return u, v


@threaded
def _dot(rows: Floats, u: IntArray, v: IntArray, out: Floats) -> None:
    for i in prange(len(u)):
        a, b = u[i], v[i]
        total = rows[a, 0] * rows[b, 0]
        for j in range(1, rows.shape[1]):
            total += rows[a, j] * rows[b, j]
        out[i] = total
