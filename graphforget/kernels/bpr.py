"""Negative items for pairwise ranking: uniform, or by weight (popularity), never one of the user's own.

The interactions are checked once; a draw then costs a binary search in the user's row. Uniform draws are ranks among
the items that are left, so nothing is rejected. Weighted draws come from an alias table and are rejected while they hit
the row; a user who rejects many (whose own items hold nearly all the weight) is served by one walk over the weights
that are left, so that no draw hangs and every draw has the right distribution.

Source: Vose, "A linear algorithm for generating random numbers with a given distribution", IEEE TSE 1991 (alias table).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from graphforget.kernels.csr import FloatArray, IntArray, as_csr, as_ids, lower_bound
from graphforget.kernels.negative import distinct, select
from graphforget.kernels.rng import as_seed, below, next_u64, stream
from graphforget.kernels.threads import threaded

TRIES = 32  # rejections before the walk


class Negatives:
    """Draw items that users have not interacted with.

    Args:
        indptr: [U + 1] of the interactions.
        indices: [E] items in [0, num_items), sorted within a user.
        num_items: number of items, below 2**32.
        weights: [num_items] how often each is drawn, in proportion; None draws uniformly.

    Raises:
        ValueError: a row is not sorted, an id is out of range, or a weight is negative or no number.

    Example:
        >>> Negatives([0, 2, 3], [0, 2, 1], 3).draw([0, 1, 0], seed=0).tolist()
        [1, 0, 1]
        >>> Negatives([0, 2, 3], [0, 2, 1], 3, weights=[1, 1, 0]).draw([0, 1, 1], seed=0).tolist()
        [1, 0, 0]
    """

    def __init__(
        self, indptr: npt.ArrayLike, indices: npt.ArrayLike, num_items: int, weights: npt.ArrayLike | None = None
    ) -> None:
        offsets, items = as_csr(indptr, indices)
        if not 0 <= num_items < 2**32:
            raise ValueError(f"num_items must lie in [0, 2**32) (got {num_items})")
        self.num_users, self.num_items = len(offsets) - 1, int(num_items)
        self.indptr, self.indices = distinct(offsets, items, np.arange(self.num_users), self.num_items)
        self.weights: FloatArray | None = None
        self.table: tuple[FloatArray, IntArray] | None = None
        self.full = np.diff(self.indptr) >= self.num_items
        if weights is not None:
            self.weights = _checked(weights, self.num_items)
            self.table = alias_table(self.weights)
            drawable = self.weights > 0
            used = np.concatenate([[0], np.cumsum(drawable[self.indices])])[self.indptr]
            self.full = np.diff(used) >= drawable.sum()

    def draw(self, users: npt.ArrayLike, seed: int) -> IntArray:
        """Draw an item for each of some users.

        Args:
            users: [n] in [0, U).
            seed: an integer in [0, 2**64); entry i draws from its stream i.

        Returns:
            [n] items.

        Raises:
            ValueError: a user is out of range or has every item there is.
        """
        start, users = as_seed(seed), as_ids("users", users, self.num_users)
        if (full := self.full[users]).any():
            raise ValueError(f"user {users[np.flatnonzero(full)[0]]} has every item: there is no negative to draw")
        out = np.empty(len(users), dtype=np.int64)
        if self.table is None or self.weights is None:
            _uniform(self.indptr, self.indices, users, self.num_items, start, out)
        else:
            _weighted(self.indptr, self.indices, users, *self.table, self.weights, start, out)
        return out


def _checked(weights: npt.ArrayLike, num_items: int) -> FloatArray:
    found: FloatArray = np.ascontiguousarray(weights, dtype=np.float64)
    if found.shape != (num_items,):
        raise ValueError(f"weights must have one entry an item, {num_items} (got shape {found.shape})")
    if len(bad := np.flatnonzero(~(found >= 0) | np.isinf(found))):
        raise ValueError(f"weights must be finite and 0 or more (got {found[bad[0]]} for item {bad[0]})")
    return found


def alias_table(weights: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
    """Build the table by which a draw in proportion to weights takes constant time.

    Args:
        weights: [n] finite, 0 or more.

    Returns:
        keep [n], the probability that a column drawn uniformly stands, and alias [n], what it else stands for.

    Raises:
        ValueError: a weight is negative or no number.

    Example:
        >>> [part.tolist() for part in alias_table([3, 1])]
        [[1.0, 0.5], [0, 0]]
    """
    given = np.asarray(weights, dtype=np.float64)
    checked = _checked(given, len(given))
    total = checked.sum()
    keep = checked * (len(checked) / total) if total > 0 else np.ones(len(checked))
    alias = np.arange(len(checked), dtype=np.int64)
    _vose(keep, alias)
    return keep, alias


@njit(cache=True, nogil=True)
def _vose(keep: FloatArray, alias: IntArray) -> None:
    """Pair each column that lacks with one that has too much; ``keep`` starts as n times the share."""
    size = len(keep)
    small, large = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    num_small, num_large = 0, 0
    for i in range(size):
        if keep[i] < 1:
            small[num_small] = i
            num_small += 1
        else:
            large[num_large] = i
            num_large += 1
    while num_small > 0 and num_large > 0:
        low, high = small[num_small - 1], large[num_large - 1]
        num_small -= 1
        alias[low] = high
        keep[high] -= 1 - keep[low]
        if keep[high] < 1:
            num_large -= 1
            small[num_small] = high
            num_small += 1
    for i in range(num_large):
        keep[large[i]] = 1
    for i in range(num_small):  # left over by rounding
        if alias[small[i]] == small[i]:
            keep[small[i]] = 1


@threaded
def _uniform(
    indptr: IntArray, indices: IntArray, users: IntArray, num_items: int, seed: np.uint64, out: IntArray
) -> None:
    for i in prange(len(users)):
        first, end = indptr[users[i]], indptr[users[i] + 1]
        rank, _ = below(stream(seed, i), num_items - (end - first))
        out[i] = select(indices, first, end, 0, rank)


@threaded
def _weighted(
    indptr: IntArray,
    indices: IntArray,
    users: IntArray,
    keep: FloatArray,
    alias: IntArray,
    weights: FloatArray,
    seed: np.uint64,
    out: IntArray,
) -> None:
    for i in prange(len(users)):
        first, end = indptr[users[i]], indptr[users[i] + 1]
        state = stream(seed, i)
        found = -1
        for _ in range(TRIES):
            item, state = below(state, len(keep))
            bits, state = next_u64(state)
            if _unit(bits) >= keep[item]:
                item = alias[item]
            slot = lower_bound(indices, first, end, item)
            if (slot == end or indices[slot] != item) and weights[item] > 0:
                found = item
                break
        if found < 0:
            bits, state = next_u64(state)
            found = _walk(indices, first, end, weights, _unit(bits))
        out[i] = found


@njit(cache=True, nogil=True)
def _unit(bits: np.uint64) -> float:
    """Return a number in [0, 1) from the upper 53 bits."""
    return np.int64(bits >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def _walk(indices: IntArray, first: int, end: int, weights: FloatArray, unit: float) -> int:
    """Return the item at a share ``unit`` of the weight that the row leaves."""
    total, slot = 0.0, first
    for item in range(len(weights)):
        if slot < end and indices[slot] == item:
            slot += 1
        else:
            total += weights[item]
    goal, seen, slot, last = unit * total, 0.0, first, -1
    for item in range(len(weights)):
        if slot < end and indices[slot] == item:
            slot += 1
        elif weights[item] > 0:
            seen += weights[item]
            last = item
            if seen > goal:
                break
    return last
