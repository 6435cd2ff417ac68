"""Games whose Shapley values are known in closed form: what an estimator is held against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from graphforget.valuation.utility import FloatArray, Utility


class Game(NamedTuple):
    """A utility and its Shapley values.

    Args:
        utility: u(S).
        shapley: [n] in closed form.
    """

    utility: Utility
    shapley: FloatArray


def airport(costs: Sequence[float]) -> Game:
    """u(S) = the largest cost in S; the k-th step of the runway is shared by all that need it.

    Example:
        >>> airport([1.0, 3.0]).shapley.tolist()
        [0.5, 2.5]
    """
    cost = np.asarray(costs, dtype=np.float64)
    order = np.argsort(cost)
    steps = np.diff(np.concatenate([[0.0], cost[order]])) / np.arange(len(cost), 0, -1)
    values = np.zeros(len(cost))
    values[order] = np.cumsum(steps)
    return Game(Utility(len(cost), lambda members, seed: float(cost[members].max(initial=0.0))), values)


def additive(worth: Sequence[float]) -> Game:
    """u(S) = the sum of its members' own worth, which is their value."""
    own = np.asarray(worth, dtype=np.float64)
    return Game(Utility(len(own), lambda members, seed: float(own[members].sum())), own.copy())


def pairs(weights: FloatArray) -> Game:
    """u(S) = the sum of the weights [n, n] between its members; each pair is shared by halves.

    Example:
        >>> pairs(np.array([[0.0, 4.0], [4.0, 0.0]])).shapley.tolist()
        [2.0, 2.0]
    """
    both = np.triu(weights, 1)
    both = both + both.T
    return Game(
        Utility(len(both), lambda members, seed: float(both[np.ix_(members, members)].sum() / 2)), both.sum(1) / 2
    )


def at_least(players: int, needed: int) -> Game:
    """u(S) = 1 where S has so many members: all are worth 1/n."""
    return Game(Utility(players, lambda members, seed: float(members.sum() >= needed)), np.full(players, 1 / players))
