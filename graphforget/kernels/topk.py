"""The k best columns of each row of a score matrix, leaving out a sorted list of columns a row.

One pass a row; a block of columns of which none beats the k-th best so far is skipped. Equal scores keep the lower
column first.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from graphforget.kernels.csr import IntArray, as_csr, as_ids, check_rows, lower_bound, within
from graphforget.kernels.threads import threaded

Floats = npt.NDArray[Any]
NAN, MASK = 1, 2  # what is wrong with a row
BLOCK = 64  # columns that are compared with the k-th best at once


def masked_top_k(
    scores: Floats, indptr: npt.ArrayLike, indices: npt.ArrayLike, rows: npt.ArrayLike, k: int
) -> IntArray:
    """Return the columns of the k highest scores of each row, highest first, masked columns left out.

    Args:
        scores: [B, I] float32 or float64; left untouched.
        indptr: [U + 1] of the mask.
        indices: [E] masked columns in [0, I), sorted within a row.
        rows: [B] the mask's row of each row of scores.
        k: how many, at least 1.

    Returns:
        [B, k] column ids; -1 where a row has fewer than k unmasked columns.

    Raises:
        ValueError: a score is NaN, the shapes do not fit, or the mask of a row is not sorted or out of range.

    Example:
        >>> masked_top_k(np.array([[0.1, 0.9, 0.5, 0.9]]), [0, 1], [1], [0], 2).tolist()
        [[3, 2]]
    """
    indptr, indices = as_csr(indptr, indices)
    rows = as_ids("rows", rows, len(indptr) - 1)
    k = operator.index(k)
    if scores.ndim != 2 or len(scores) != len(rows):
        raise ValueError(f"scores must have shape [{len(rows)}, I] (got {scores.shape})")
    if k < 1:
        raise ValueError(f"k must be at least 1 (got {k})")
    scores = np.ascontiguousarray(scores)
    out = np.full((len(rows), k), -1, dtype=np.int64)
    best = np.empty((len(rows), k), dtype=scores.dtype)
    bad = np.zeros(len(rows), dtype=np.int8)
    _top_k(scores, indptr, indices, rows, best, out, bad)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        if bad[at] == NAN:
            raise ValueError(f"scores must be numbers (got NaN in row {at})")
        row = rows[at]
        check_rows(indptr, indices, rows)
        mask = as_ids(f"the mask of row {row}", indices[indptr[row] : indptr[row + 1]], scores.shape[1])
        fall = int(np.flatnonzero(mask[1:] < mask[:-1])[0])
        raise ValueError(f"the mask of row {row} must be sorted (got {mask[fall]} then {mask[fall + 1]})")
    return out


@threaded
def _top_k(
    scores: Floats,
    indptr: IntArray,
    indices: IntArray,
    rows: IntArray,
    best: Floats,
    out: IntArray,
    bad: npt.NDArray[np.int8],
) -> None:
    k, width = out.shape[1], scores.shape[1]
    for b in prange(len(rows)):
        slot, end, count, start = indptr[rows[b]], indptr[rows[b] + 1], 0, 0
        if not within(indptr, indices, rows[b]):
            bad[b], slot, end = MASK, 0, 0
        last = 0
        for place in range(slot, end):
            if indices[place] < last or indices[place] >= width:
                bad[b] = MASK
            last = indices[place]
        while start < width:
            stop = min(start + BLOCK, width)
            if count == k:  # compare a block at once: the loop has no branch, so it becomes vector code
                least, hits = best[b, k - 1], 0
                for column in range(start, stop):
                    hits += not scores[b, column] <= least  # NaN counts too
                if hits == 0:
                    start = stop
                    continue
            for column in range(start, stop):
                score = scores[b, column]
                if count == k and score <= best[b, k - 1]:
                    continue
                slot = lower_bound(indices, slot, end, column)
                if slot < end and indices[slot] == column:
                    continue
                if score != score:
                    bad[b] = NAN
                    continue
                place = count if count < k else k - 1
                while place > 0 and best[b, place - 1] < score:
                    best[b, place], out[b, place] = best[b, place - 1], out[b, place - 1]
                    place -= 1
                best[b, place], out[b, place] = score, column
                count = min(count + 1, k)
            start = stop
