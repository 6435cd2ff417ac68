"""Neighbourhoods by frontier expansion: the cost is that of the rows visited, never that of all edges.

The CSR is square (rows and columns are the same nodes) and is followed from a row to its columns: pass the transpose to
walk the other way. A bipartite CSR is refused as soon as the walk meets an id that is no row.
"""

from __future__ import annotations

import operator

import numpy as np
import numpy.typing as npt
from numba import njit

from graphforget.kernels.csr import IntArray, as_csr, as_ids, check_rows, within
from graphforget.kernels.rng import wrapping

MAX_HOPS = np.iinfo(np.int16).max - 1


def k_hop_nodes(indptr: npt.ArrayLike, indices: npt.ArrayLike, seeds: npt.ArrayLike, k: int) -> IntArray:
    """Return the nodes within ``k`` hops of the seeds, the seeds included.

    Args:
        indptr: [N + 1].
        indices: [E] in [0, N).
        seeds: [n] nodes; duplicates count once.
        k: 0 or more.

    Returns:
        The ids, sorted.

    Raises:
        ValueError: a seed or a column met on the way is no row, or ``k`` is out of range.

    Example:
        >>> k_hop_nodes([0, 1, 2, 3, 3], [1, 2, 3], [0], 2).tolist()
        [0, 1, 2]
    """
    marks, nodes = _expanded(indptr, indices, seeds, k)
    if len(nodes) <= len(marks) // 256:
        return np.sort(nodes)
    out, words = np.empty(len(nodes), dtype=np.int64), np.zeros(len(marks) // 64 + 1, dtype=np.uint64)
    _in_order(nodes, words, out)
    return out


def k_hop_distance(
    indptr: npt.ArrayLike, indices: npt.ArrayLike, seeds: npt.ArrayLike, k: int
) -> npt.NDArray[np.int16]:
    """Return how many hops each node is away from the nearest seed.

    Args:
        indptr: [N + 1].
        indices: [E] in [0, N).
        seeds: [n] nodes.
        k: how far to look, from 0 to 32,766.

    Returns:
        [N] int16: 0 for the seeds, -1 for what lies beyond ``k`` hops.

    Raises:
        ValueError: a seed or a column met on the way is no row, or ``k`` is out of range.

    Example:
        >>> k_hop_distance([0, 1, 2, 3, 3], [1, 2, 3], [0], 2).tolist()
        [0, 1, 2, -1]
    """
    marks, _ = _expanded(indptr, indices, seeds, k)
    marks -= 1
    return marks


def _expanded(
    indptr: npt.ArrayLike, indices: npt.ArrayLike, seeds: npt.ArrayLike, k: int
) -> tuple[npt.NDArray[np.int16], IntArray]:
    """Return ([N] one more than the distance, 0 where not reached; the nodes reached, nearest first)."""
    indptr, indices = as_csr(indptr, indices)
    num_nodes = len(indptr) - 1
    seeds = as_ids("seeds", seeds, num_nodes)
    if not 0 <= operator.index(k) <= MAX_HOPS:
        raise ValueError(f"k must lie in [0, {MAX_HOPS}] (got {k})")
    marks = np.zeros(num_nodes, dtype=np.int16)
    queue = np.empty(num_nodes, dtype=np.int64)  # pages that are never written cost nothing
    count = _expand(indptr, indices, seeds, k, marks, queue)
    if count < 0:
        _refuse(indptr, indices, -1 - count)
    return marks, queue[:count]


@njit(cache=True, nogil=True)
def _expand(
    indptr: IntArray, indices: IntArray, seeds: IntArray, k: int, marks: npt.NDArray[np.int16], queue: IntArray
) -> int:
    """Write what is reached and return how much, or -1 minus the broken slot (of a broken row: E plus the row)."""
    count = 0
    for seed in seeds:
        if marks[seed] == 0:
            marks[seed] = 1
            queue[count] = seed
            count += 1
    start = 0
    for hop in range(1, k + 1):
        end = count
        if start == end:
            break
        for i in range(start, end):
            if not within(indptr, indices, queue[i]):
                return -1 - len(indices) - int(queue[i])
            for slot in range(indptr[queue[i]], indptr[queue[i] + 1]):
                node = indices[slot]
                if node < 0 or node >= len(marks):
                    return -1 - slot
                if marks[node] == 0:
                    marks[node] = hop + 1
                    queue[count] = node
                    count += 1
        start = end
    return count


def induced_edges(
    indptr: npt.ArrayLike, indices: npt.ArrayLike, nodes: npt.ArrayLike
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the edges among some nodes, relabelled to their positions.

    Args:
        indptr: [N + 1].
        indices: [E] in [0, N).
        nodes: [n] distinct and sorted, as :func:`k_hop_nodes` returns them.

    Returns:
        slots [m] of the edges, ascending; src_local [m] and dst_local [m], positions in ``nodes``.

    Raises:
        ValueError: the nodes are not sorted and distinct, or a node or a column met on the way is no row.

    Example:
        >>> [part.tolist() for part in induced_edges([0, 1, 3, 3], [1, 0, 2], [1, 2])]
        [[2], [0], [1]]
    """
    indptr, indices = as_csr(indptr, indices)
    num_nodes = len(indptr) - 1
    nodes = as_ids("nodes", nodes, num_nodes)
    if len(bad := np.flatnonzero(nodes[1:] <= nodes[:-1])):
        raise ValueError(f"nodes must be sorted and distinct (got {nodes[bad[0]]} then {nodes[bad[0] + 1]})")
    words = np.zeros(num_nodes // 64 + 1, dtype=np.uint64)
    before = np.zeros(len(words), dtype=np.int64)
    limit = _mark(indptr, indices, nodes, words, before) + 1
    if limit <= 0:
        _refuse(indptr, indices, -limit)
    slots, sources, targets = (np.empty(limit, dtype=np.int64) for _ in range(3))  # what is not written costs nothing
    count = _induce(indptr, indices, nodes, num_nodes, words, before, slots, sources, targets)
    if count < 0:
        _refuse(indptr, indices, -1 - count)
    return slots[:count], sources[:count], targets[:count]


@njit(cache=True, nogil=True)
def _mark(indptr: IntArray, indices: IntArray, nodes: IntArray, words: npt.NDArray[np.uint64], before: IntArray) -> int:
    """Set a bit for each node, and for each word the nodes before its own; return how many slots the nodes have.

    Of a broken row it returns -1 minus E minus the row.
    """
    one, limit = np.uint64(1), 0
    for i in range(len(nodes)):
        node = nodes[i]
        if words[node >> 6] == 0:
            before[node >> 6] = i
        words[node >> 6] |= one << np.uint64(node & 63)
        if not within(indptr, indices, node):
            return -1 - len(indices) - int(node)
        limit += indptr[node + 1] - indptr[node]
    return limit


@njit(cache=True, nogil=True)
def _induce(
    indptr: IntArray,
    indices: IntArray,
    nodes: IntArray,
    num_nodes: int,
    words: npt.NDArray[np.uint64],
    before: IntArray,
    slots: IntArray,
    sources: IntArray,
    targets: IntArray,
) -> int:
    """Look each neighbour up in a bit a node; a bit's rank is the node's position. The bits stay in the cache."""
    count, one = 0, np.uint64(1)
    for i in range(len(nodes)):
        for slot in range(indptr[nodes[i]], indptr[nodes[i] + 1]):
            node = indices[slot]
            if node < 0 or node >= num_nodes:
                return -1 - slot
            slots[count], sources[count], targets[count] = slot, i, node  # stands if the bit is set: no branch
            count += np.int64((words[node >> 6] >> np.uint64(node & 63)) & one)  # type: ignore[assignment]
    for j in range(count):
        node = targets[j]
        below = words[node >> 6] & ((one << np.uint64(node & 63)) - one)
        targets[j] = before[node >> 6] + _ones(below)
    return count


@njit(cache=True, nogil=True)
def _in_order(nodes: IntArray, words: npt.NDArray[np.uint64], out: IntArray) -> None:
    """Sort distinct ids by setting a bit for each and reading the bits."""
    count, one = 0, np.uint64(1)
    for node in nodes:
        words[node >> 6] |= one << np.uint64(node & 63)
    for i in range(len(words)):
        word = words[i]
        while word:
            below = (word & (~word + one)) - one  # ones below the lowest bit
            out[count] = 64 * i + _ones(below)
            count += 1
            word &= word - one


@wrapping
def _ones(word: np.uint64) -> int:
    """Count the bits of a word."""
    pairs, nibbles, bytes_ = np.uint64(0x5555555555555555), np.uint64(0x3333333333333333), np.uint64(0x0F0F0F0F0F0F0F0F)
    word = word - ((word >> np.uint64(1)) & pairs)
    word = (word & nibbles) + ((word >> np.uint64(2)) & nibbles)
    word = (word + (word >> np.uint64(4))) & bytes_
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))  # type: ignore[return-value]


def _refuse(indptr: IntArray, indices: IntArray, slot: int) -> None:
    if slot >= len(indices):
        check_rows(indptr, indices, np.array([slot - len(indices)]))
    raise ValueError(
        f"indices must lie in [0, {len(indptr) - 1}), the rows of a square CSR (got {indices[slot]} in slot {slot})"
    )
