"""Compressed sparse rows: build, look up, intersect, delete, transpose.

Row ``r`` holds ``indices[indptr[r]:indptr[r + 1]]``, sorted; a *slot* is a position in ``indices``. All is int64.
Functions that take a CSR verify its ends, that each row they read lies within the slots, and trust the rest: call
:func:`check` once, where the arrays come in.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from graphforget.kernels.threads import threaded

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]


def as_ids(name: str, values: npt.ArrayLike, limit: int | None = None) -> IntArray:
    """Return a contiguous int64 vector (no copy of one that is), every value in [0, limit) where a limit is given."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have one dimension (got shape {array.shape})")
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold integers (got {array.dtype})")
    if array.size and array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must fit int64 (got {array.max()})")
    ids: IntArray = np.ascontiguousarray(array, dtype=np.int64)
    if limit is not None and len(ids) and (ids.min() < 0 or ids.max() >= limit):
        at = int(np.flatnonzero((ids < 0) | (ids >= limit))[0])
        raise ValueError(f"{name} must lie in [0, {limit}) (got {ids[at]} at position {at})")
    return ids


def as_csr(indptr: npt.ArrayLike, indices: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Return both arrays as int64; only their ends are verified, in constant time."""
    indptr, indices = as_ids("indptr", indptr), as_ids("indices", indices)
    if not len(indptr) or indptr[0] != 0:
        raise ValueError(f"indptr must start with 0 (got {indptr[0] if len(indptr) else 'no entry'})")
    if indptr[-1] != len(indices):
        raise ValueError(f"indptr must end with the number of indices, {len(indices)} (got {indptr[-1]})")
    return indptr, indices


def as_count(name: str, value: int) -> int:
    """Return a number of things, which fits int64."""
    count = operator.index(value)
    if count < 0:
        raise ValueError(f"{name} must not be negative (got {count})")
    if count >= 2**63:
        raise ValueError(f"{name} must fit int64 (got {count})")
    return count


def check_rows(indptr: IntArray, indices: IntArray, rows: IntArray | None = None) -> None:
    """Refuse rows that are none, or that do not lie within the slots; None: looks at all, in O(N).

    Raises:
        ValueError: the first such row.

    Example:
        >>> check_rows(np.array([0, 9, 1]), np.array([4]))
        Traceback (most recent call last):
        ValueError: indptr must not decrease or pass its end, 1 (got 0 then 9 in row 0)
    """
    if rows is None:
        starts, ends = indptr[:-1], indptr[1:]
    else:
        as_ids("rows", rows, len(indptr) - 1)
        starts, ends = indptr[rows], indptr[rows + 1]
    if len(bad := np.flatnonzero((starts < 0) | (ends < starts) | (ends > len(indices)))):
        row = int(bad[0]) if rows is None else int(rows[bad[0]])
        raise ValueError(
            f"indptr must not decrease or pass its end, {len(indices)} (got {indptr[row]} then {indptr[row + 1]} in "
            f"row {row})"
        )


@njit(cache=True, nogil=True)
def within(indptr: IntArray, indices: IntArray, row: int) -> bool:
    """Do the slots of a row lie within the array; for other kernels, of a row there is."""
    inside: bool = 0 <= indptr[row] <= indptr[row + 1] <= len(indices)
    return inside


def check(indptr: npt.ArrayLike, indices: npt.ArrayLike, num_cols: int) -> None:
    """Verify a CSR entirely, in O(N + E).

    Args:
        indptr: [num_rows + 1] offsets.
        indices: [E] column ids, sorted within a row; duplicates are allowed.
        num_cols: the ids lie in [0, num_cols).

    Raises:
        ValueError: what is wrong, where, and the offending value.

    Example:
        >>> check([0, 2, 1], [0], 3)
        Traceback (most recent call last):
        ValueError: indptr must not decrease (got 2 then 1 in row 1)
    """
    offsets = as_ids("indptr", indptr)
    if len(bad := np.flatnonzero(offsets < 0)):
        raise ValueError(f"indptr must not be negative (got {offsets[bad[0]]} at position {bad[0]}): overflow?")
    if len(bad := np.flatnonzero(offsets[1:] < offsets[:-1])):
        row = int(bad[0])
        raise ValueError(f"indptr must not decrease (got {offsets[row]} then {offsets[row + 1]} in row {row})")
    offsets, columns = as_csr(offsets, as_ids("indices", indices, num_cols))
    falls = np.flatnonzero(columns[1:] < columns[:-1]) + 1
    rows = np.searchsorted(offsets, falls, side="right") - 1
    if len(bad := np.flatnonzero(offsets[rows] != falls)):  # a fall from one row to the next is none
        slot, row = falls[bad[0]], rows[bad[0]]
        raise ValueError(f"rows must be sorted (got {columns[slot - 1]} then {columns[slot]} in row {row})")


def from_coo(
    rows: npt.ArrayLike, cols: npt.ArrayLike, num_rows: int, num_cols: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Build a CSR from pairs by two stable counting sorts, in O(E + num_rows + num_cols).

    Args:
        rows: [E] in [0, num_rows).
        cols: [E] in [0, num_cols).
        num_rows: number of rows.
        num_cols: number of columns.

    Returns:
        indptr [num_rows + 1], indices [E] sorted within a row with duplicates kept, and perm [E]: the position in the
        input that each slot came from. Duplicates keep the order of the input.

    Raises:
        ValueError: the lengths differ or an id is out of range.

    Example:
        >>> [part.tolist() for part in from_coo([1, 0, 1], [2, 1, 0], 2, 3)]
        [[0, 1, 3], [1, 0, 2], [1, 2, 0]]
    """
    rows, cols = as_ids("rows", rows, num_rows), as_ids("cols", cols, num_cols)
    if len(rows) != len(cols):
        raise ValueError(f"rows and cols must be of one length (got {len(rows)} and {len(cols)})")
    _, by_column = _sorted_by(cols, num_cols, np.arange(len(cols)))
    indptr, perm = _sorted_by(rows, num_rows, by_column)
    return indptr, cols[perm], perm


def transpose(indptr: npt.ArrayLike, indices: npt.ArrayLike, num_cols: int) -> tuple[IntArray, IntArray, IntArray]:
    """Transpose a CSR, in O(E + num_rows + num_cols).

    Args:
        indptr: [num_rows + 1].
        indices: [E] in [0, num_cols).
        num_cols: number of columns, the rows of the result.

    Returns:
        indptr [num_cols + 1], indices [E] sorted within a row, and perm [E]: the slot each new slot came from.

    Raises:
        ValueError: the arrays do not fit together or an id is out of range.

    Example:
        >>> [part.tolist() for part in transpose([0, 1, 3], [1, 0, 1], 2)]
        [[0, 1, 3], [1, 0, 1], [1, 0, 2]]
    """
    indptr, indices = as_csr(indptr, as_ids("indices", indices, num_cols))
    check_rows(indptr, indices)
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    turned, perm = _sorted_by(indices, num_cols, np.arange(len(indices)))
    return turned, rows[perm], perm


def _sorted_by(keys: IntArray, num_keys: int, order: IntArray) -> tuple[IntArray, IntArray]:
    """Return (the offset of each key, ``order`` stably sorted by ``keys[order]``)."""
    offsets = np.zeros(num_keys + 1, dtype=np.int64)
    np.cumsum(np.bincount(keys, minlength=num_keys), out=offsets[1:])
    out = np.empty_like(order)
    _counting_sort(keys, order, offsets[:-1].copy(), out)
    return offsets, out


@njit(cache=True, nogil=True)
def _counting_sort(keys: IntArray, order: IntArray, free: IntArray, out: IntArray) -> None:
    for i in range(len(order)):
        key = keys[order[i]]
        out[free[key]] = order[i]
        free[key] += 1


@njit(cache=True, nogil=True)
def lower_bound(indices: IntArray, start: int, end: int, value: int) -> int:
    """Return the first slot of [start, end) whose id is not below ``value``, else ``end``; for other kernels."""
    while start < end:
        middle = (start + end) // 2
        if indices[middle] < value:
            start = middle + 1
        else:
            end = middle
    return start


def locate(indptr: npt.ArrayLike, indices: npt.ArrayLike, rows: npt.ArrayLike, cols: npt.ArrayLike) -> IntArray:
    """Find the slots of pairs by binary search.

    Args:
        indptr: [num_rows + 1].
        indices: [E].
        rows: [n] in [0, num_rows).
        cols: [n]; a column that no row holds is not found.

    Returns:
        [n] slot (the first of duplicates), -1 where there is no such pair.

    Raises:
        ValueError: the lengths differ, a row is out of range or does not lie within the slots.

    Example:
        >>> locate([0, 2, 3], [1, 4, 0], [0, 1], [4, 4]).tolist()
        [1, -1]
    """
    indptr, indices = as_csr(indptr, indices)
    rows, cols = as_ids("rows", rows, len(indptr) - 1), as_ids("cols", cols)
    if len(rows) != len(cols):
        raise ValueError(f"rows and cols must be of one length (got {len(rows)} and {len(cols)})")
    out = np.empty(len(rows), dtype=np.int64)
    if _locate(indptr, indices, rows, cols, out):
        check_rows(indptr, indices, rows)
    return out


@threaded
def _locate(indptr: IntArray, indices: IntArray, rows: IntArray, cols: IntArray, out: IntArray) -> int:
    """Write the slots; return how many rows do not lie within the array."""
    broken = 0
    for i in prange(len(rows)):
        if within(indptr, indices, rows[i]):
            end = indptr[rows[i] + 1]
            slot = lower_bound(indices, indptr[rows[i]], end, cols[i])
            out[i] = slot if slot < end and indices[slot] == cols[i] else -1
        else:
            broken += 1
    return broken


def contains(indptr: npt.ArrayLike, indices: npt.ArrayLike, rows: npt.ArrayLike, cols: npt.ArrayLike) -> BoolArray:
    """Return [n] bool: which pairs are there; arguments and raises as for :func:`locate`.

    Example:
        >>> contains([0, 2, 3], [1, 4, 0], [0, 1], [4, 4]).tolist()
        [True, False]
    """
    found: BoolArray = locate(indptr, indices, rows, cols) >= 0
    return found


def common_neighbors(
    indptr: npt.ArrayLike,
    indices: npt.ArrayLike,
    u: npt.ArrayLike,
    v: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
) -> npt.NDArray[Any]:
    """Count the columns that two rows share, or sum their weights (Adamic-Adar: 1 / log degree); duplicates count once.

    Args:
        indptr: [num_rows + 1].
        indices: [E].
        u: [n] rows.
        v: [n] rows.
        weights: [num_cols] weight of each column.

    Returns:
        [n], int64 without weights, float64 with them.

    Raises:
        ValueError: the lengths differ, a row is out of range, or a column has no weight.

    Example:
        >>> common_neighbors([0, 2, 4], [1, 2, 2, 3], [0], [1]).tolist()
        [1]
    """
    indptr, indices = as_csr(indptr, indices)
    u, v = as_ids("u", u, len(indptr) - 1), as_ids("v", v, len(indptr) - 1)
    if len(u) != len(v):
        raise ValueError(f"u and v must be of one length (got {len(u)} and {len(v)})")
    if weights is None:
        counts = np.zeros(len(u), dtype=np.int64)
        if _intersect(indptr, indices, u, v, None, counts):
            check_rows(indptr, indices, np.concatenate([u, v]))
        return counts
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    sums = np.zeros(len(u), dtype=np.float64)
    if weights.ndim != 1 or _intersect(indptr, indices, u, v, weights, sums):
        check_rows(indptr, indices, np.concatenate([u, v]))
        raise ValueError(f"weights must have one entry for each of the columns (got shape {weights.shape})")
    return sums


@threaded
def _intersect(
    indptr: IntArray, indices: IntArray, u: IntArray, v: IntArray, weights: FloatArray | None, out: npt.NDArray[Any]
) -> int:
    """Write the counts or sums; return how many rows or columns are broken."""
    broken = 0
    for i in prange(len(u)):
        a, a_end, b, b_end = indptr[u[i]], indptr[u[i] + 1], indptr[v[i]], indptr[v[i] + 1]
        if not (within(indptr, indices, u[i]) and within(indptr, indices, v[i])):
            broken += 1
            b_end = b
        while a < a_end and b < b_end:
            x, y = indices[a], indices[b]
            if x == y:
                if weights is None:
                    out[i] += 1
                elif 0 <= x < len(weights):
                    out[i] += weights[x]
                else:
                    broken += 1
            if x <= y:
                a += 1
                while a < a_end and indices[a] == x:
                    a += 1
            if y <= x:
                b += 1
                while b < b_end and indices[b] == y:
                    b += 1
    return broken


def remove(indptr: npt.ArrayLike, indices: npt.ArrayLike, slots: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """Delete a batch of slots, in O(E); a slot named twice is deleted once.

    Args:
        indptr: [num_rows + 1].
        indices: [E].
        slots: [n] in [0, E), as :func:`locate` finds them.

    Returns:
        The new indptr [num_rows + 1] and indices; the arguments stay as they are.

    Raises:
        ValueError: a slot is out of range (-1: the pair was not found).

    Example:
        >>> [part.tolist() for part in remove([0, 2, 3], [1, 4, 0], [0])]
        [[0, 1, 2], [4, 0]]
    """
    indptr, indices = as_csr(indptr, indices)
    check_rows(indptr, indices)
    keep = np.ones(len(indices), dtype=bool)
    keep[as_ids("slots", slots, len(indices))] = False
    return indptr - np.searchsorted(np.flatnonzero(~keep), indptr), indices[keep]
