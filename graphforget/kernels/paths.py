"""Paths of length three in a bipartite graph: how an item is tied to a user through the user's other items."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from graphforget.kernels.csr import IntArray, as_csr, as_ids, check_rows


def three_paths(
    indptr: npt.ArrayLike,
    indices: npt.ArrayLike,
    back_indptr: npt.ArrayLike,
    back_indices: npt.ArrayLike,
    users: npt.ArrayLike,
    items: npt.ArrayLike,
    user_weight: npt.ArrayLike | None = None,
    item_weight: npt.ArrayLike | None = None,
) -> npt.NDArray[np.float64]:
    """Count, or weigh, each pair's paths user - item' - user' - item without the user or the item in between.

    A count is how often the item occurs together with one of the user's other items, over all other users.
    The cost of a pair is the degrees of the item's users summed.

    Args:
        indptr: [U + 1] of the users' rows.
        indices: [E] items, sorted within a row.
        back_indptr: [I + 1] of the items' rows, the transpose.
        back_indices: [E] users, sorted within a row.
        users: [n].
        items: [n].
        user_weight: [U] a path counts by the weights of its user' and its item'; 1 without.
        item_weight: [I].

    Returns:
        [n].

    Raises:
        ValueError: ids out of range, or lengths that differ.

    Example:
        >>> three_paths([0, 2, 4], [0, 1, 1, 2], [0, 1, 3, 4], [0, 0, 1, 1], [0, 0], [2, 1]).tolist()
        [1.0, 0.0]
    """
    indptr, indices = as_csr(indptr, indices)
    back_indptr, back_indices = as_csr(back_indptr, back_indices)
    check_rows(indptr, as_ids("indices", indices, len(back_indptr) - 1))
    check_rows(back_indptr, as_ids("back_indices", back_indices, len(indptr) - 1))
    users, items = as_ids("users", users, len(indptr) - 1), as_ids("items", items, len(back_indptr) - 1)
    if len(users) != len(items):
        raise ValueError(f"users and items must be of one length (got {len(users)} and {len(items)})")
    sizes = len(indptr) - 1, len(back_indptr) - 1
    by_user = np.ones(sizes[0]) if user_weight is None else np.ascontiguousarray(user_weight, dtype=np.float64)
    by_item = np.ones(sizes[1]) if item_weight is None else np.ascontiguousarray(item_weight, dtype=np.float64)
    if (len(by_user), len(by_item)) != sizes:
        raise ValueError(f"weights must be [{sizes[0]}] of users and [{sizes[1]}] of items")
    out = np.zeros(len(users))
    order = np.argsort(users, kind="stable")
    mark = np.full(len(back_indptr) - 1, -1, dtype=np.int64)
    _weigh(indptr, indices, back_indptr, back_indices, users, items, by_user, by_item, order, mark, out)
    return out


@njit(cache=True, nogil=True)
def _weigh(
    indptr: IntArray,
    indices: IntArray,
    back_indptr: IntArray,
    back_indices: IntArray,
    users: IntArray,
    items: IntArray,
    user_weight: npt.NDArray[np.float64],
    item_weight: npt.NDArray[np.float64],
    order: IntArray,
    mark: IntArray,
    out: npt.NDArray[np.float64],
) -> None:
    last = -1
    for place in order:
        user, item, total = users[place], items[place], 0.0
        if user != last:  # pairs of one user come together: mark that user's items once
            for slot in range(indptr[user], indptr[user + 1]):
                mark[indices[slot]] = user
            last = user
        for slot in range(back_indptr[item], back_indptr[item + 1]):
            other = back_indices[slot]
            if other == user:
                continue
            through = 0.0
            for step in range(indptr[other], indptr[other + 1]):
                if mark[indices[step]] == user and indices[step] != item:
                    through += item_weight[indices[step]]
            total += user_weight[other] * through
        out[place] = total
