"""Draw neighbours: some of each row's slots, with or without replacement, up to a time where one is given.

Without replacement the draw is Floyd's, which takes one random number a neighbour and compares it with those already
drawn; where so many are drawn that the comparisons cost more than a walk over the row, it is Knuth's algorithm S.

Sources: Bentley and Floyd, "A sample of brilliance", CACM 1987; Knuth, TAOCP 2, 3.4.2, algorithm S.
"""

from __future__ import annotations

import operator

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from graphforget.kernels.csr import IntArray, as_csr, as_ids
from graphforget.kernels.rng import as_seed, below, bounded, stream
from graphforget.kernels.threads import threaded

ALL = -1
_FEW = 32  # up to here Floyd's comparisons are always cheap


def draw_neighbors(
    indptr: npt.ArrayLike,
    indices: npt.ArrayLike,
    nodes: npt.ArrayLike,
    fan_out: int,
    seed: int,
    replace: bool = False,
) -> tuple[IntArray, IntArray]:
    """Draw neighbours of some nodes, uniformly.

    Args:
        indptr: [N + 1].
        indices: [E].
        nodes: [n] rows in [0, N); each occurrence draws by itself.
        fan_out: how many a node; -1 takes all. A row of fewer gives all, in order, unless ``replace``.
        seed: an integer in [0, 2**64); entry i draws from its stream i.
        replace: the same slot may come several times, and every row that has any gives ``fan_out``.

    Returns:
        offsets [n + 1] and the slots [offsets[-1]]: those of entry i lie at [offsets[i], offsets[i + 1]).

    Raises:
        ValueError: the arrays do not fit together, a node is no row, or the fan-out is neither -1 nor 1 or more.

    Example:
        >>> offsets, slots = draw_neighbors([0, 3, 4, 4], [0, 1, 2, 0], [0, 1, 2], 2, seed=0)
        >>> offsets.tolist(), slots.tolist()
        ([0, 2, 3, 3], [0, 2, 3])
    """
    indptr, indices = as_csr(indptr, indices)
    nodes = as_ids("nodes", nodes, len(indptr) - 1)
    return slots_of(indptr, indices, nodes, as_fan_out(fan_out), as_seed(seed), replace)


def as_fan_out(fan_out: int, least: int = 1) -> int:
    """Check a fan-out: -1 for all, else ``least`` or more."""
    count = operator.index(fan_out)
    if count < least and count != ALL:
        raise ValueError(f"a fan-out must be -1 (all neighbours) or {least} or more (got {count})")
    return count


def slots_of(
    indptr: IntArray,
    indices: IntArray,
    nodes: IntArray,
    fan_out: int,
    seed: np.uint64,
    replace: bool,
    ends: IntArray | None = None,
    last: bool = False,
) -> tuple[IntArray, IntArray]:
    """:func:`draw_neighbors` of checked arguments; ``ends`` cuts the rows, ``last`` takes the last slots before it."""
    offsets = np.zeros(len(nodes) + 1, dtype=np.int64)
    starts, sizes = np.empty_like(nodes), np.empty_like(nodes)
    if ends is None:
        bad = _rows(indptr, nodes, len(indices), starts, sizes)
    else:
        starts, sizes, bad = indptr[nodes], ends - indptr[nodes], -1
    if bad >= 0:
        row = nodes[bad]
        raise ValueError(f"indptr must not decrease (got {indptr[row]} then {indptr[row + 1]} in row {row})")
    if fan_out == ALL:
        np.cumsum(sizes, out=offsets[1:])
    elif replace:
        np.cumsum(np.where(sizes > 0, fan_out, 0), out=offsets[1:])
    else:
        np.cumsum(np.minimum(sizes, fan_out), out=offsets[1:])
    if last and fan_out != ALL:
        starts += np.maximum(sizes - fan_out, 0)
        sizes = np.minimum(sizes, fan_out)
    slots = np.empty(offsets[-1], dtype=np.int64)
    _draw(starts, sizes, offsets, replace and fan_out != ALL, seed, slots)
    return offsets, slots


@threaded
def _rows(indptr: IntArray, nodes: IntArray, num_slots: int, starts: IntArray, sizes: IntArray) -> int:
    """Write where the rows start and how long they are; return a position whose row is out of order, else -1."""
    bad = -1
    for i in prange(len(nodes)):
        start, end = indptr[nodes[i]], indptr[nodes[i] + 1]
        starts[i], sizes[i] = start, end - start
        if start < 0 or end < start or end > num_slots:
            bad = max(bad, i)
    return bad


@threaded
def _draw(starts: IntArray, sizes: IntArray, offsets: IntArray, replace: bool, seed: np.uint64, out: IntArray) -> None:
    for i in prange(len(starts)):
        at, size, start = offsets[i], sizes[i], starts[i]
        count = offsets[i + 1] - at
        if replace:
            state = stream(seed, i)
            for j in range(count):
                rank, state = _rank(state, size)
                out[at + j] = start + rank
        elif count == size:
            for j in range(count):
                out[at + j] = start + j
        elif count <= _FEW or count * count <= 8 * size:
            state = stream(seed, i)
            for j in range(count):
                top = size - count + j
                rank, state = _rank(state, top + 1)
                slot = start + rank
                for other in range(at, at + j):
                    if out[other] == slot:
                        slot = start + top
                        break
                out[at + j] = slot
        else:
            state, left = stream(seed, i), count
            for j in range(size):
                rank, state = _rank(state, size - j)
                if rank < left:
                    out[at + count - left] = start + j
                    left -= 1
                    if left == 0:
                        break


@njit(cache=True, nogil=True)
def _rank(state: np.uint64, size: int) -> tuple[int, np.uint64]:
    if size < 2**32:
        return below(state, size)
    return bounded(state, size)


def ends_by_time(
    indptr: IntArray, nodes: IntArray, slot_time: npt.NDArray[np.int64], time: npt.NDArray[np.int64]
) -> IntArray:
    """Return [n] the slot at which each row's neighbours become later than ``time`` [n]; rows are sorted by time."""
    ends = np.empty_like(nodes)
    _ends(indptr, nodes, slot_time, time, ends)
    return ends


@threaded
def _ends(
    indptr: IntArray,
    nodes: IntArray,
    slot_time: npt.NDArray[np.int64],
    time: npt.NDArray[np.int64],
    out: IntArray,
) -> None:
    for i in prange(len(nodes)):
        start, end = indptr[nodes[i]], indptr[nodes[i] + 1]
        while start < end:
            middle = (start + end) // 2
            if slot_time[middle] <= time[i]:
                start = middle + 1
            else:
                end = middle
        out[i] = start
