"""Data Banzhaf by maximum sample reuse: v_i = mean u(S with i) - mean u(S without i), over random half-subsets.

One training serves all players. Over all 2^n subsets it is the Banzhaf value itself,
``2^(1 - n) sum over S without i of u(S + i) - u(S)``. Standard, given from general knowledge.
"""

from __future__ import annotations

import numpy as np

from graphforget.errors import InputError
from graphforget.valuation.shapley import coalitions
from graphforget.valuation.utility import Utility, Values


def banzhaf(utility: Utility, *, samples: int | None = 200, seed: int = 0) -> Values:
    """Value players by random half-subsets.

    Args:
        utility: of the game.
        samples: subsets that are drawn; None enumerates all of at most 16 players.
        seed: of subsets and trainings.

    Raises:
        InputError: so few samples that some player is in all of them or in none.

    Example:
        >>> u = Utility(3, lambda members, seed: float(members.sum() >= 2))
        >>> banzhaf(u, samples=None).values.tolist()
        [0.5, 0.5, 0.5]
    """
    before, n = utility.spent(), utility.players
    drawn = coalitions(n) if samples is None else np.random.default_rng(seed).random((samples, n)) < 0.5
    inside = drawn.sum(0)
    if (inside == 0).any() or (inside == len(drawn)).any():
        raise InputError(f"a player is in none or in all of the {len(drawn)} subsets; draw more samples")
    worth = np.array([utility(each, seed) for each in drawn])
    values = worth @ drawn / inside - worth @ ~drawn / (len(drawn) - inside)
    return utility.valued("banzhaf", before, values)
