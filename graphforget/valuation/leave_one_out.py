r"""Leave-one-out: v_i = u(D) - u(D \ {i}).

n + 1 trainings. Two rows that say the same are both worth nothing by it.
"""

from __future__ import annotations

import numpy as np

from graphforget.valuation.utility import Utility, Values


def leave_one_out(utility: Utility, *, seed: int = 0) -> Values:
    """Value each player by what is lost without him.

    Args:
        utility: of the game.
        seed: of the trainings.

    Example:
        >>> u = Utility(3, lambda members, seed: float(members[0]) + 2.0 * float(members[1]))
        >>> leave_one_out(u).values.tolist(), u.trainings
        ([1.0, 2.0, 0.0], 4)
    """
    before = utility.spent()
    everyone, left = utility.everyone, np.zeros(utility.players)
    whole = utility(everyone, seed)
    for player in range(utility.players):
        everyone[player] = False
        left[player] = utility(everyone.copy(), seed)
        everyone[player] = True
    return utility.valued("leave_one_out", before, whole - left)
