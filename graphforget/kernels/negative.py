"""Negative sampling by order statistics: every draw is a non-edge, so there is no rejection and no retry.

A row with ``free`` non-neighbours gets a uniform rank r in [0, free); the r-th non-neighbour is found by binary search
in the sorted row, because below a neighbour ``row[j]`` lie ``row[j] - j`` non-neighbours. Duplicates in a row are
dropped first. Draws are independent, hence with replacement.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from graphforget.kernels.csr import IntArray, as_count, as_csr, as_ids, check_rows, lower_bound, remove, within
from graphforget.kernels.rng import as_seed, bounded, stream
from graphforget.kernels.threads import threaded


def structured_negatives(
    indptr: npt.ArrayLike,
    indices: npt.ArrayLike,
    sources: npt.ArrayLike,
    num_dst: int,
    seed: int,
    exclude_self: bool = True,
) -> IntArray:
    """Draw for each source a uniform destination that is not in its row.

    Args:
        indptr: [num_src + 1].
        indices: [E] in [0, num_dst), sorted within a row.
        sources: [n] in [0, num_src).
        num_dst: number of destinations.
        seed: an integer in [0, 2**64); entry i draws from its stream i.
        exclude_self: a node is no destination of itself; pass False for a bipartite graph.

    Returns:
        [n] destinations.

    Raises:
        ValueError: a source has every destination, a row is not sorted, or an id is out of range.

    Example:
        >>> structured_negatives([0, 2, 4, 6], [0, 1, 1, 2, 0, 2], [0, 1, 2, 0], 3, seed=0, exclude_self=False).tolist()
        [2, 0, 1, 2]
    """
    start, num_dst = as_seed(seed), as_count("num_dst", num_dst)
    indptr, indices = as_csr(indptr, indices)
    sources = as_ids("sources", sources, len(indptr) - 1)
    asked = np.zeros(len(indptr) - 1, dtype=bool)
    asked[sources] = True
    indptr, indices = distinct(indptr, indices, np.flatnonzero(asked), num_dst)
    out = np.empty(len(sources), dtype=np.int64)
    if _own_ranks(indptr, indices, sources, num_dst, bool(exclude_self), out):
        free = num_dst - (indptr[sources + 1] - indptr[sources]) - (out >= 0)
        row = sources[np.flatnonzero(free <= 0)[0]]
        raise ValueError(f"row {row} has no negative: all {num_dst} destinations are its neighbours (or itself)")
    _draw(indptr, indices, sources, num_dst, start, out)
    return out


@threaded
def _own_ranks(
    indptr: IntArray, indices: IntArray, sources: IntArray, num_dst: int, exclude_self: bool, out: IntArray
) -> int:
    """Write the rank of each source among its non-neighbours, -1 if it is none; count the saturated sources."""
    saturated = 0
    for i in prange(len(sources)):
        source, first, end = sources[i], indptr[sources[i]], indptr[sources[i] + 1]
        out[i] = -1
        if exclude_self and source < num_dst:
            slot = lower_bound(indices, first, end, source)
            if slot == end or indices[slot] != source:
                out[i] = source - (slot - first)
        if num_dst - (end - first) <= (out[i] >= 0):
            saturated += 1
    return saturated


@threaded
def _draw(indptr: IntArray, indices: IntArray, sources: IntArray, num_dst: int, seed: np.uint64, out: IntArray) -> None:
    for i in prange(len(sources)):
        first, end, own = indptr[sources[i]], indptr[sources[i] + 1], out[i]
        rank, _ = bounded(stream(seed, i), num_dst - (end - first) - (own >= 0))
        if own >= 0 and rank >= own:  # step over the source itself
            rank += 1
        out[i] = select(indices, first, end, 0, rank)


@njit(cache=True, nogil=True)
def select(indices: IntArray, first: int, end: int, low: int, rank: int) -> int:
    """Return the ``rank``-th id from ``low`` on that is not in the slots [first, end), all ``low`` or more."""
    start = first
    while start < end:  # count the neighbours below the answer
        middle = (start + end) // 2
        if indices[middle] - low - (middle - first) <= rank:
            start = middle + 1
        else:
            end = middle
    return low + rank + (start - first)


def uniform_negatives(
    indptr: npt.ArrayLike,
    indices: npt.ArrayLike,
    num: int,
    num_dst: int,
    seed: int,
    exclude_self: bool = True,
    upper: bool = False,
) -> IntArray:
    """Draw pairs uniformly among all non-edges.

    One draw on [0, number of non-edges) gives the row, by binary search in the cumulative sum, and the rank within it.
    The CSR of an undirected graph holds both directions, so both are excluded. O(N + E + num log N).

    Args:
        indptr: [num_src + 1].
        indices: [E] in [0, num_dst), sorted within a row.
        num: how many pairs.
        num_dst: number of destinations.
        seed: an integer in [0, 2**64); pair i draws from its stream i.
        exclude_self: (u, u) is no pair; pass False for a bipartite graph.
        upper: draw only pairs with u < v (u <= v unless ``exclude_self``): each pair of an undirected graph once.

    Returns:
        [2, num] sources and destinations.

    Raises:
        ValueError: there is no non-edge to draw, a row is not sorted, an id is out of range, or ``upper`` is asked of a
            CSR that is not square.

    Example:
        >>> uniform_negatives([0, 1, 3, 4], [1, 0, 2, 1], 2, 3, seed=0, upper=True).tolist()
        [[0, 0], [2, 2]]
    """
    start, num, num_dst = as_seed(seed), as_count("num", num), as_count("num_dst", num_dst)
    indptr, indices = as_csr(indptr, indices)
    num_src = len(indptr) - 1
    if upper and num_src != num_dst:
        raise ValueError(f"upper needs as many rows as destinations (got {num_src} and {num_dst})")
    if num_src * num_dst >= 2**63:
        raise ValueError(f"the number of pairs must fit int64 (got {num_src} * {num_dst})")
    indptr, indices = distinct(indptr, indices, np.arange(num_src), num_dst)
    offsets = np.zeros(num_src + 1, dtype=np.int64)
    _count_free(indptr, indices, num_dst, bool(exclude_self), bool(upper), offsets[1:])
    np.cumsum(offsets, out=offsets)
    if num and not offsets[-1]:
        raise ValueError(f"the graph has no non-edge to draw: all {num_src} rows have all of their destinations")
    out = np.empty((2, num), dtype=np.int64)
    _draw_pairs(indptr, indices, offsets, bool(exclude_self), bool(upper), start, out)
    return out


@threaded
def _count_free(
    indptr: IntArray, indices: IntArray, num_dst: int, exclude_self: bool, upper: bool, out: IntArray
) -> None:
    for row in prange(len(out)):
        first, end = indptr[row], indptr[row + 1]
        low = row + exclude_self if upper else 0
        first = lower_bound(indices, first, end, low)
        out[row] = num_dst - low - (end - first)
        if exclude_self and not upper and row < num_dst:
            slot = lower_bound(indices, first, end, row)
            if slot == end or indices[slot] != row:
                out[row] -= 1


@threaded
def _draw_pairs(
    indptr: IntArray,
    indices: IntArray,
    offsets: IntArray,
    exclude_self: bool,
    upper: bool,
    seed: np.uint64,
    out: IntArray,
) -> None:
    for i in prange(out.shape[1]):
        at, _ = bounded(stream(seed, i), offsets[-1])
        row = lower_bound(offsets, 0, len(offsets), at + 1) - 1  # the last offset that is at most `at`
        rank = at - offsets[row]
        low = row + exclude_self if upper else 0
        end = indptr[row + 1]
        first = lower_bound(indices, indptr[row], end, low)
        if exclude_self and not upper:
            slot = lower_bound(indices, first, end, row)
            if (slot == end or indices[slot] != row) and rank >= row - (slot - first):  # step over the row itself
                rank += 1
        out[0, i] = row
        out[1, i] = select(indices, first, end, low, rank)


def distinct(indptr: IntArray, indices: IntArray, rows: IntArray, num_dst: int) -> tuple[IntArray, IntArray]:
    """Verify the rows that will be read, and drop duplicates from the CSR where one of those rows holds any."""
    found = _worst(indptr, indices, rows, num_dst)
    if found == 3:
        check_rows(indptr, indices, rows)
    if found == 2:
        for row in rows:
            as_ids(f"indices of row {row}", ids := indices[indptr[row] : indptr[row + 1]], num_dst)
            if len(bad := np.flatnonzero(ids[1:] < ids[:-1])):
                raise ValueError(f"rows must be sorted (got {ids[bad[0]]} then {ids[bad[0] + 1]} in row {row})")
    if found == 0:
        return indptr, indices
    twin = np.zeros(len(indices) + 1, dtype=bool)
    twin[1:-1] = indices[1:] == indices[:-1]
    twin[indptr] = False  # the first of a row
    return remove(indptr, indices, np.flatnonzero(twin))


@threaded
def _worst(indptr: IntArray, indices: IntArray, rows: IntArray, num_dst: int) -> int:
    """Return 3 if a row is broken, else 2 if one is unsorted or out of range, 1 if one holds duplicates, else 0."""
    worst = 0
    for i in prange(len(rows)):
        last, found, first, end = -1, 0, indptr[rows[i]], indptr[rows[i] + 1]
        if not within(indptr, indices, rows[i]):
            found, end = 3, first
        for slot in range(first, end):
            node = indices[slot]
            if node < last or node < 0 or node >= num_dst:
                found = 2
            elif node == last and found == 0:
                found = 1
            last = node
        worst = max(worst, found)
    return worst
