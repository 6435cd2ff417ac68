r"""KNN-Shapley: the exact Shapley values of a K-nearest-neighbour classifier, by sorting alone.

For one test point with label y and the training points in order of their distance, labels y_1 .. y_n, K <= n:

    s_n = 1[y_n = y] / n                                                                                    (1)
    s_i = s_(i+1) + (1[y_i = y] - 1[y_(i+1) = y]) / K * min(K, i) / i                                       (2)

averaged over the test points. The game is u(S) = (number of the min(K, |S|) nearest points of S with label y) / K;
:func:`knn_utility` is it, for comparisons.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from graphforget.errors import InputError
from graphforget.valuation.utility import BoolArray, Utility, Values, rows

CHUNK = 1 << 22  # distances held at once


def knn_shapley(
    x: npt.ArrayLike, y: npt.ArrayLike, x_val: npt.ArrayLike, y_val: npt.ArrayLike, *, neighbours: int = 5
) -> Values:
    """Value rows by (1) and (2); no model is trained.

    Args:
        x: [n, F], in a scale in which distances mean something.
        y: [n] labels.
        x_val: [v, F].
        y_val: [v] labels.
        neighbours: K.

    Raises:
        InputError: K larger than n, no rows, or NaN.

    Example:
        >>> knn_shapley([[0.0], [1.0]], [0, 1], [[0.1]], [0], neighbours=1).values.tolist()
        [1.0, 0.0]
    """
    train, labels = rows(x, y, "x")
    held, truth = rows(x_val, y_val, "x_val")
    n, k = len(train), neighbours
    if not 1 <= k <= n:
        raise InputError(f"neighbours must lie in [1, {n}], the training rows (got {k})")
    start, total = time.perf_counter(), np.zeros(n)
    place = np.arange(1, n)
    factor = np.minimum(k, place) / place / k
    for part in np.array_split(np.arange(len(held)), -(-len(held) * n // CHUNK)):
        order = _order(train, held[part])
        hit = (labels[order] == truth[part, None]).astype(np.float64)
        step = (hit[:, :-1] - hit[:, 1:]) * factor
        tail = np.concatenate([step, hit[:, -1:] / n], axis=1)
        found = np.cumsum(tail[:, ::-1], axis=1)[:, ::-1]
        np.add.at(total, order, found)
    return Values(total / len(held), "knn_shapley", 0, time.perf_counter() - start)


def knn_utility(
    x: npt.ArrayLike, y: npt.ArrayLike, x_val: npt.ArrayLike, y_val: npt.ArrayLike, *, neighbours: int = 5
) -> Utility:
    """u(S) whose Shapley values :func:`knn_shapley` gives."""
    train, labels = rows(x, y, "x")
    held, truth = rows(x_val, y_val, "x_val")
    order = _order(train, held)
    hit = labels[order] == truth[:, None]

    def worth(members: BoolArray, seed: int) -> float:
        inside = members[order]
        near = inside & (inside.cumsum(1) <= neighbours)
        return float((hit & near).sum(1).mean() / neighbours)

    return Utility(len(train), worth)


def _order(train: npt.NDArray[np.float64], held: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """[v, n] training rows by their distance from each held-out row; ties in their own order."""
    from sklearn.metrics.pairwise import euclidean_distances

    return np.argsort(euclidean_distances(held, train, squared=True), axis=1, kind="stable")
