"""Relabelling: each id gets the number of its first occurrence.

Two ways with one result. A :class:`Table` has an entry for every id there is and is never cleared: an entry counts only
if it is not below the batch's base, which rises past all numbers given out. A :class:`Hash` grows with what it holds;
it serves where an id is a pair (which subgraph, which node) and a table would be too large.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from graphforget.kernels.csr import IntArray
from graphforget.kernels.rng import mix


class Table:
    """Places of the ids in [0, limit); keep it from batch to batch, and in one thread at a time.

    Args:
        limit: number of ids.

    Example:
        >>> table = Table(10)
        >>> [part.tolist() for part in table.place(np.array([7, 3, 7]))]
        [[0, 1, 0], [7, 3]]
        >>> [part.tolist() for part in table.place(np.array([3, 9]))], table.restart().size
        ([[1, 2], [9]], 0)
    """

    def __init__(self, limit: int) -> None:
        self.table = np.zeros(limit, dtype=np.int64)
        self.base, self.size = 1, 0

    def restart(self) -> Table:
        """Forget everything, in constant time."""
        self.base += self.size
        self.size = 0
        return self

    def start(self, ids: IntArray) -> None:
        """Give the first numbers to some ids, one each; of equal ones the first counts."""
        self.restart()
        self.table[ids[::-1]] = np.arange(len(ids) - 1, -1, -1) + self.base
        self.size = len(ids)

    def place(self, ids: IntArray) -> tuple[IntArray, IntArray]:
        """Return ([n] the place of each id, those ids that are new, in order of their places).

        Raises:
            ValueError: an id is out of range.
        """
        places, new = np.empty_like(ids), np.empty(len(ids) + 1, dtype=np.int64)
        count = _place(ids, self.table, self.base, self.size, places, new)
        if count < 0:
            self.size += len(ids)  # what was written before it must not look like places of a later batch
            raise ValueError(f"indices must lie in [0, {len(self.table)}) (got {ids[-1 - count]})")
        self.size += count
        return places, new[:count].copy()

    def find(self, ids: IntArray) -> IntArray:
        """Return [n] the place of each id, -1 where it has none."""
        places: IntArray = np.maximum(self.table[ids] - self.base, -1)
        return places


@njit(cache=True, nogil=True)
def _place(ids: IntArray, table: IntArray, base: int, size: int, places: IntArray, new: IntArray) -> int:
    count, limit = 0, len(table)
    for i in range(len(ids)):  # no branch on what is found: it cannot be predicted
        one = ids[i]
        if one < 0 or one >= limit:
            return -1 - i
        found = table[one]
        fresh = found < base
        found = base + size + count if fresh else found
        table[one] = found
        places[i] = found - base
        new[count] = one
        count += fresh
    return count


class Hash:
    """Places of any ids of 0 or more, as :class:`Table` gives them.

    Example:
        >>> hashed = Hash()
        >>> [part.tolist() for part in hashed.place(np.array([7, 2**60, 7]))]
        [[0, 1, 0], [7, 1152921504606846976]]
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> Hash:
        """Forget everything."""
        self.keys = np.full(1024, -1, dtype=np.int64)
        self.values = np.empty(1024, dtype=np.int64)
        self.size = 0
        return self

    def start(self, ids: IntArray) -> None:
        """Give the first numbers to some distinct ids."""
        self.restart()
        self.place(ids)

    def place(self, ids: IntArray) -> tuple[IntArray, IntArray]:
        """Return ([n] the place of each id, those ids that are new, in order of their places)."""
        room = len(self.keys)
        while room < 2 * (self.size + len(ids)):
            room *= 2
        if room > len(self.keys):
            keys, values = np.full(room, -1, dtype=np.int64), np.empty(room, dtype=np.int64)
            _rehash(self.keys, self.values, keys, values)
            self.keys, self.values = keys, values
        places, new = np.empty_like(ids), np.empty(len(ids) + 1, dtype=np.int64)
        count = _hash(ids, self.keys, self.values, self.size, places, new)
        self.size += count
        return places, new[:count].copy()


@njit(cache=True, nogil=True)
def _slot(keys: IntArray, one: int) -> np.int64:
    last = len(keys) - 1
    slot = np.int64(mix(np.uint64(one)) & np.uint64(last))
    while keys[slot] >= 0 and keys[slot] != one:
        slot = (slot + 1) & last
    return slot


@njit(cache=True, nogil=True)
def _rehash(old_keys: IntArray, old_values: IntArray, keys: IntArray, values: IntArray) -> None:
    for i in range(len(old_keys)):
        if old_keys[i] >= 0:
            slot = _slot(keys, old_keys[i])
            keys[slot], values[slot] = old_keys[i], old_values[i]


@njit(cache=True, nogil=True)
def _hash(ids: IntArray, keys: IntArray, values: IntArray, size: int, places: IntArray, new: IntArray) -> int:
    count = 0
    for i in range(len(ids)):
        slot = _slot(keys, ids[i])
        if keys[slot] < 0:
            keys[slot], values[slot] = ids[i], size + count
            new[count] = ids[i]
            count += 1
        places[i] = values[slot]
    return count
