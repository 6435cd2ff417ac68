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
    The cost is that of the degrees of a user's items summed, once a user, and of the item's degree for each pair.

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
    reached = np.zeros(len(indptr) - 1)
    _weigh(indptr, indices, back_indptr, back_indices, users, items, by_user, by_item, order, reached, out)
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
    reached: npt.NDArray[np.float64],
    out: npt.NDArray[np.float64],
) -> None:
    """``reached`` [U], zeros: weight of the two-step paths from the user at hand to every other; pairs share them."""
    last = -1
    for place in order:
        user, item = users[place], items[place]
        if user != last:
            if last >= 0:
                _spread(indptr, indices, back_indptr, back_indices, item_weight, last, reached, False)
            _spread(indptr, indices, back_indptr, back_indices, item_weight, user, reached, True)
            last = user
        own = 0.0  # what passes through the item itself, where the user has it
        for slot in range(indptr[user], indptr[user + 1]):
            if indices[slot] == item:
                own = item_weight[item]
        total = 0.0
        for slot in range(back_indptr[item], back_indptr[item + 1]):
            other = back_indices[slot]
            if other != user:
                total += user_weight[other] * (reached[other] - own)
        out[place] = total


@njit(cache=True, nogil=True)
def _spread(
    indptr: IntArray,
    indices: IntArray,
    back_indptr: IntArray,
    back_indices: IntArray,
    item_weight: npt.NDArray[np.float64],
    user: int,
    reached: npt.NDArray[np.float64],
    add: bool,
) -> None:
    """Add the user's two-step paths, or set what they reached to zero."""
    for slot in range(indptr[user], indptr[user + 1]):
        item = indices[slot]
        for step in range(back_indptr[item], back_indptr[item + 1]):
            if add:
                reached[back_indices[step]] += item_weight[item]
            else:
                reached[back_indices[step]] = 0.0
