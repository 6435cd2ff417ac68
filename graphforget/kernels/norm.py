"""The symmetric normalisation of an adjacency, 1 / sqrt(degree * degree), and its patch after a deletion.

A deletion changes the degrees of its end points only, so only the slots in their rows and the twins of those change:
the patch reads these and nothing else. A deleted slot keeps its place with the value 0, so the CSR need not be built
anew, and patches follow one another.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from graphforget.kernels.csr import FloatArray, IntArray, as_csr, as_ids, check_rows, lower_bound, within
from graphforget.kernels.threads import threaded


class Patch(NamedTuple):
    """What a deletion changes: ``values[slots] = new`` and ``degree[nodes] = left`` bring it about.

    Args:
        slots: [m] ascending.
        new: [m] float64 value of each, 0 where the edge is gone.
        nodes: [n] whose degree changes, ascending.
        left: [n] their new degrees.
    """

    slots: IntArray
    new: FloatArray
    nodes: IntArray
    left: IntArray


def sym_norm(indptr: npt.ArrayLike, indices: npt.ArrayLike) -> FloatArray:
    """Return [E] the values 1 / sqrt(degree * degree) of a symmetric adjacency; self-loops are slots as any other.

    Args:
        indptr: [N + 1].
        indices: [E] in [0, N).

    Raises:
        ValueError: the arrays do not fit together, a column is no row, or a neighbour has no row of its own.

    Example:
        >>> sym_norm([0, 1, 3, 4], [1, 0, 2, 1]).round(3).tolist()
        [0.707, 0.707, 0.707, 0.707]
    """
    indptr, indices = as_csr(indptr, as_ids("indices", indices, len(np.asarray(indptr)) - 1))
    check_rows(indptr, indices)
    if len(lone := np.flatnonzero(np.diff(indptr)[indices] == 0)):
        raise ValueError(f"slot {lone[0]} (to {indices[lone[0]]}) has no twin; pass a symmetric adjacency")
    out = np.empty(len(indices))
    _norm(indptr, indices, out)
    return out


@threaded
def _norm(indptr: IntArray, indices: IntArray, out: FloatArray) -> None:
    for row in prange(len(indptr) - 1):
        own = indptr[row + 1] - indptr[row]
        for slot in range(indptr[row], indptr[row + 1]):
            other = indptr[indices[slot] + 1] - indptr[indices[slot]]
            out[slot] = 1 / np.sqrt(float(own) * float(other))


def norm_patch(
    indptr: npt.ArrayLike, indices: npt.ArrayLike, values: FloatArray, degree: IntArray, slots: npt.ArrayLike
) -> Patch:
    """Return what a deletion changes in the values of :func:`sym_norm`, reading only the rows of its end points.

    Args:
        indptr: [N + 1] of a symmetric adjacency.
        indices: [E] in [0, N), sorted within a row, without duplicates.
        values: [E] as they are, 0 for what was deleted before; left untouched.
        degree: [N] as it is; left untouched.
        slots: [n] to delete, in one direction or in both; :func:`graphforget.kernels.locate` finds them.

    Raises:
        ValueError: a slot is out of range or deleted already, or has no twin.

    Example:
        >>> indptr, indices = [0, 1, 3, 4], [1, 0, 2, 1]
        >>> patch = norm_patch(indptr, indices, sym_norm(indptr, indices), np.array([1, 2, 1]), [0])
        >>> patch.slots.tolist(), patch.new.tolist(), patch.nodes.tolist(), patch.left.tolist()
        ([0, 1, 2, 3], [0.0, 0.0, 1.0, 1.0], [0, 1], [0, 1])
    """
    indptr, indices = as_csr(indptr, indices)
    slots = np.unique(as_ids("slots", slots, len(indices)))
    if len(values) != len(indices) or len(degree) != len(indptr) - 1:
        raise ValueError(f"values and degree must have {len(indices)} and {len(indptr) - 1} entries")
    if len(gone := slots[values[slots] == 0]):
        raise ValueError(f"slot {gone[0]} is deleted already")
    twins = np.empty_like(slots)
    rows = np.searchsorted(indptr, slots, side="right") - 1
    check_rows(indptr, indices, rows)
    _refuse(indices, slots, _twins(indptr, indices, rows, slots, twins))
    dead = np.unique(np.concatenate([slots, twins]))
    ends = np.searchsorted(indptr, dead, side="right") - 1
    nodes, lost = np.unique(ends, return_counts=True)
    left = degree[nodes] - lost
    sizes = indptr[nodes + 1] - indptr[nodes]
    own = np.repeat(indptr[nodes] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    own = own[values[own] != 0]
    own_rows = np.searchsorted(indptr, own, side="right") - 1
    other = np.empty_like(own)
    _refuse(indices, own, _twins(indptr, indices, own_rows, own, other))
    changed = np.unique(np.concatenate([own, other]))
    source = np.searchsorted(indptr, changed, side="right") - 1
    target = indices[changed]
    new = np.zeros(len(changed))
    alive = ~np.isin(changed, dead, assume_unique=True)
    product = _now(source, degree, nodes, left) * _now(target, degree, nodes, left).astype(np.float64)
    new[alive] = 1 / np.sqrt(product[alive])
    return Patch(changed, new, nodes, left)


def _now(of: IntArray, degree: IntArray, nodes: IntArray, left: IntArray) -> IntArray:
    """Return the degrees of some nodes after the deletion."""
    found: IntArray = degree[of]
    if len(nodes):
        at = np.minimum(np.searchsorted(nodes, of), len(nodes) - 1)
        found = np.where(nodes[at] == of, left[at], found)
    return found


def _refuse(indices: IntArray, slots: IntArray, missing: int) -> None:
    if missing >= 0:
        raise ValueError(
            f"slot {slots[missing]} (to {indices[slots[missing]]}) has no twin; pass a symmetric adjacency, sorted"
        )


@njit(cache=True, nogil=True)
def _twins(indptr: IntArray, indices: IntArray, rows: IntArray, slots: IntArray, out: IntArray) -> int:
    """Write the slot of each edge in the other direction; return the first that has none, else -1."""
    for i in range(len(slots)):
        row = indices[slots[i]]
        if row < 0 or row >= len(indptr) - 1 or not within(indptr, indices, row):
            return i
        end = indptr[row + 1]
        slot = lower_bound(indices, indptr[row], end, rows[i])
        if slot == end or indices[slot] != rows[i]:
            return i
        out[i] = slot
    return -1
