"""Paths of length three in a bipartite graph: how an item is tied to a user through the user's other items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from graphforget.kernels.csr import IntArray, as_csr, as_ids


def three_paths(
    indptr: npt.ArrayLike,
    indices: npt.ArrayLike,
    back_indptr: npt.ArrayLike,
    back_indices: npt.ArrayLike,
    users: npt.ArrayLike,
    items: npt.ArrayLike,
) -> IntArray:
    """Count the paths user - item' - user' - item of each pair that use neither the user again nor the pair's item.

    It is the number of times that the item occurs together with one of the user's other items, over all other users.
    The cost of a pair is the degrees of the item's users summed.

    Args:
        indptr: [U + 1] of the users' rows.
        indices: [E] items, sorted within a row.
        back_indptr: [I + 1] of the items' rows, the transpose.
        back_indices: [E] users, sorted within a row.
        users: [n].
        items: [n].

    Returns:
        [n] int64.

    Raises:
        ValueError: ids out of range, or lengths that differ.

    Example:
        >>> three_paths([0, 2, 4], [0, 1, 1, 2], [0, 1, 3, 4], [0, 0, 1, 1], [0, 0], [2, 1]).tolist()
        [1, 0]
    """
    indptr, indices = as_csr(indptr, indices)
    back_indptr, back_indices = as_csr(back_indptr, back_indices)
    users, items = as_ids("users", users, len(indptr) - 1), as_ids("items", items, len(back_indptr) - 1)
    if len(users) != len(items):
        raise ValueError(f"users and items must be of one length (got {len(users)} and {len(items)})")
    out = np.zeros(len(users), dtype=np.int64)
    order = np.argsort(users, kind="stable")
    mark = np.full(len(back_indptr) - 1, -1, dtype=np.int64)
    _count(indptr, indices, back_indptr, back_indices, users, items, order, mark, out)
    return out


@njit(cache=True, nogil=True)
def _count(
    indptr: IntArray,
    indices: IntArray,
    back_indptr: IntArray,
    back_indices: IntArray,
    users: IntArray,
    items: IntArray,
    order: IntArray,
    mark: IntArray,
    out: IntArray,
) -> None:
    last = -1
    for place in order:
        user, item, total = users[place], items[place], 0
        if user != last:  # pairs of one user come together: mark that user's items once
            for slot in range(indptr[user], indptr[user + 1]):
                mark[indices[slot]] = user
            last = user
        for slot in range(back_indptr[item], back_indptr[item + 1]):
            other = back_indices[slot]
            if other == user:
                continue
            for step in range(indptr[other], indptr[other + 1]):
                if mark[indices[step]] == user and indices[step] != item:
                    total += 1
        out[place] = total
