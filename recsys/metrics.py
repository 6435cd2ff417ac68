"""Ranking figures, over all items and all users asked about.

``recall@k`` is the mean over users of hits / positives, ``ndcg@k`` has the ideal length min(positives, k), as in MMRec
and RecBole. Nothing is rounded; ties go to the lower item; a NaN score raises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.kernels import csr, topk
from graphforget.metrics import js

IntArray = npt.NDArray[np.int64]
BLOCK = 512  # users scored at once
CUTS = (5, 10, 20, 50)


@dataclass(frozen=True, eq=False)
class Rankings:
    """The best items of each user.

    Args:
        users: [n] user ids.
        items: [n, k] item ids, best first; -1 where fewer than k items may be shown.
    """

    users: IntArray
    items: IntArray

    def take(self, rows: npt.NDArray[np.bool_] | IntArray) -> Rankings:
        """Return the rankings of some of the users."""
        return Rankings(self.users[rows], self.items[rows])


def rank(user: Tensor, item: Tensor, users: Tensor, mask: tuple[IntArray, IntArray], k: int) -> Rankings:
    """Rank all items for some users by the dot product of their embeddings.

    Args:
        user: [U, d].
        item: [I, d].
        users: [n] whom to rank for.
        mask: (indptr [U + 1], indices) of the items that each user is not shown.
        k: length of the rankings.

    Raises:
        InputError: a score is NaN.

    Example:
        >>> mask = (np.array([0, 1]), np.array([2]))
        >>> rank(torch.ones(1, 1), torch.tensor([[1.0], [2.0], [9.0]]), torch.tensor([0]), mask, 2).items.tolist()
        [[1, 0]]
    """
    found = [np.empty((0, k), dtype=np.int64)]
    for block in users.split(BLOCK):
        scores = (user.index_select(0, block) @ item.T).detach().cpu().numpy()
        try:
            found.append(topk.masked_top_k(scores, *mask, block.cpu().numpy(), k))
        except ValueError as error:
            raise InputError(f"the recommender's scores cannot be ranked: {error}") from error
    return Rankings(users.cpu().numpy(), np.concatenate(found))


def hits(ranked: Rankings, truth: tuple[IntArray, IntArray]) -> npt.NDArray[np.bool_]:
    """[n, k] bool: is the item at this place one of the user's positives.

    Args:
        ranked: whose.
        truth: (indptr [U + 1], indices sorted within a row) of the positives.
    """
    users = np.repeat(ranked.users, ranked.items.shape[1])
    items = ranked.items.ravel()
    found = np.zeros(len(items), dtype=bool)
    shown = items >= 0
    found[shown] = csr.contains(*truth, users[shown], items[shown])
    return found.reshape(ranked.items.shape)


def figures(
    ranked: Rankings, truth: tuple[IntArray, IntArray], cuts: tuple[int, ...] = CUTS
) -> dict[str, npt.NDArray[np.float64]]:
    """recall, ndcg and precision at each cut, a value a user; every user must have a positive.

    Args:
        ranked: at least ``max(cuts)`` long.
        truth: positives as (indptr, indices).
        cuts: the k of ``@k``.

    Example:
        >>> truth = (np.array([0, 2]), np.array([1, 3]))
        >>> found = figures(Rankings(np.array([0]), np.array([[3, 0, 1]])), truth, (2,))
        >>> {name: round(float(value[0]), 3) for name, value in found.items()}
        {'recall@2': 0.5, 'ndcg@2': 0.613, 'precision@2': 0.5}
    """
    hit = hits(ranked, truth)
    positives = (truth[0][ranked.users + 1] - truth[0][ranked.users]).astype(np.float64)
    gain = 1 / np.log2(np.arange(2, hit.shape[1] + 2))
    ideal = np.concatenate([[0.0], np.cumsum(gain)])
    found: dict[str, npt.NDArray[np.float64]] = {}
    for k in cuts:
        count = hit[:, :k].sum(1)
        best = ideal[np.minimum(positives, min(k, hit.shape[1])).astype(np.int64)]
        found[f"recall@{k}"] = count / positives
        found[f"ndcg@{k}"] = (hit[:, :k] * gain[:k]).sum(1) / best
        found[f"precision@{k}"] = count / k
    return found


def overlap(a: Rankings, b: Rankings, k: int) -> npt.NDArray[np.float64]:
    """[n] share of the k best items that two rankings of the same users have in common.

    Example:
        >>> one, two = np.array([[0, 1, 2]]), np.array([[2, 0, 5]])
        >>> overlap(Rankings(np.array([0]), one), Rankings(np.array([0]), two), 2).tolist()
        [0.5]
    """
    same = a.items[:, :k, None] == b.items[:, None, :k]
    return np.asarray((same.any(2) & (a.items[:, :k] >= 0)).sum(1) / k, dtype=np.float64)


def coverage(ranked: Rankings, num_items: int, k: int) -> float:
    """Share of the items that are among the k best of anybody."""
    shown = ranked.items[:, :k]
    return len(np.unique(shown[shown >= 0])) / num_items


def gini(ranked: Rankings, num_items: int, k: int) -> float:
    """Gini index of how often items are shown: 0 when all alike, near 1 when a few take all.

    Example:
        >>> gini(Rankings(np.array([0, 1]), np.array([[0], [1]])), 2, 1)
        0.0
    """
    shown = ranked.items[:, :k]
    counts = np.sort(np.bincount(shown[shown >= 0], minlength=num_items))
    place = np.arange(1, num_items + 1)
    return float(((2 * place - num_items - 1) * counts).sum() / (num_items * counts.sum()))


def divergence(user_a: Tensor, item_a: Tensor, user_b: Tensor, item_b: Tensor, users: Tensor) -> float:
    """Mean Jensen-Shannon divergence (nats) of two models' softmax over all items, for some users."""
    parts = [
        js(user_a.index_select(0, block) @ item_a.T, user_b.index_select(0, block) @ item_b.T)
        for block in users.split(BLOCK)
    ]
    return float(torch.cat(parts).mean())


def thinned(users: Tensor, limit: int | None) -> Tensor:
    """[n] at most ``limit`` of the users, evenly spaced."""
    if limit is None or len(users) <= limit:
        return users
    return users[torch.linspace(0, len(users) - 1, limit).round().long()]
