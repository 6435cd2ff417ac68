r"""Shapley values: by enumeration, and by truncated permutations (TMC-Shapley).

    phi_i = sum over S without i of |S|! (n - |S| - 1)! / n! (u(S + i) - u(S))                              (1)
          = the mean over orders of u(those before i, and i) - u(those before i)                            (2)

(1) takes 2^n trainings and is for small games. (2) is sampled; TMC cuts an order off as soon as the prefix is within
``tolerance`` of u(D), and those that follow count 0 there. Standard definitions, given from general knowledge and
pinned by games whose values are known.
"""

from __future__ import annotations

import math

import numpy as np

from graphforget.errors import InputError
from graphforget.valuation.utility import BoolArray, FloatArray, Utility, Values

MOST = 16  # players of an enumeration: 65,536 trainings


def coalitions(players: int) -> BoolArray:
    """[2^n, n] every coalition; the number of a row has the members as its bits.

    Raises:
        InputError: more than 16 players.
    """
    if players > MOST:
        raise InputError(f"an enumeration takes at most {MOST} players (got {players}); sample: tmc_shapley, banzhaf")
    return (np.arange(1 << players)[:, None] >> np.arange(players) & 1).astype(bool)


def exact_shapley(utility: Utility, *, seed: int = 0) -> Values:
    """Enumerate (1).

    Args:
        utility: of at most 16 players.
        seed: of the trainings.

    Example:
        >>> gloves = Utility(3, lambda members, seed: float(min(members[0], members[1] + members[2])))
        >>> exact_shapley(gloves).values.round(4).tolist()
        [0.6667, 0.1667, 0.1667]
    """
    before, n = utility.spent(), utility.players
    every = coalitions(n)
    worth = np.array([utility(each, seed) for each in every])
    size = every.sum(1)
    weight = np.array([math.factorial(s) * math.factorial(n - s - 1) / math.factorial(n) for s in range(n)])
    values = np.zeros(n)
    for player in range(n):
        without = np.flatnonzero(~every[:, player])
        values[player] = (weight[size[without]] * (worth[without | (1 << player)] - worth[without])).sum()
    return utility.valued("exact_shapley", before, values)


def tmc_shapley(utility: Utility, *, permutations: int = 100, tolerance: float = 0.0, seed: int = 0) -> Values:
    """Sample (2), cutting each order off where nothing is left to gain.

    Args:
        utility: of the game.
        permutations: orders that are drawn.
        tolerance: an order ends once the prefix is nearer than this to u(D); 0 never cuts.
        seed: of orders and trainings.

    Example:
        >>> u = Utility(2, lambda members, seed: float(members[0]) + 2.0 * float(members[1]))
        >>> tmc_shapley(u, permutations=4).values.tolist()
        [1.0, 2.0]
    """
    if permutations < 1:
        raise InputError(f"permutations must be at least 1 (got {permutations})")
    before, n = utility.spent(), utility.players
    rng, whole = np.random.default_rng(seed), utility(utility.everyone, seed)
    gains: FloatArray = np.zeros((permutations, n))
    nobody = utility(np.zeros(n, dtype=bool), seed)
    for row in gains:
        members, last = np.zeros(n, dtype=bool), nobody
        for player in rng.permutation(n):
            if abs(whole - last) < tolerance:
                break
            members[player] = True
            reached = utility(members.copy(), seed)
            row[player], last = reached - last, reached
    error = gains.std(0, ddof=1) / math.sqrt(permutations) if permutations > 1 else None
    return utility.valued("tmc_shapley", before, gains.mean(0), error)
