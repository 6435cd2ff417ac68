"""Values of games whose answers are known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from graphforget.errors import GraphforgetError, InputError
from graphforget.valuation.banzhaf import banzhaf
from graphforget.valuation.games import additive, airport, at_least, pairs
from graphforget.valuation.knn_shapley import knn_shapley, knn_utility
from graphforget.valuation.leave_one_out import leave_one_out
from graphforget.valuation.shapley import exact_shapley, tmc_shapley
from graphforget.valuation.utility import Utility, grouped

GAMES = {
    "airport": airport([3.0, 1.0, 2.0, 2.0]),
    "additive": additive([0.5, -1.0, 2.0]),
    "pairs": pairs(np.arange(16.0).reshape(4, 4)),
    "at_least": at_least(5, 3),
}


def by_orders(utility: Utility) -> np.ndarray:
    """Shapley values from the definition by orders: slow and obvious."""
    total = np.zeros(utility.players)
    for order in itertools.permutations(range(utility.players)):
        members = np.zeros(utility.players, dtype=bool)
        for player in order:
            before = utility(members.copy())
            members[player] = True
            total[player] += utility(members.copy()) - before
    return total / math.factorial(utility.players)


@pytest.mark.parametrize("name", GAMES)
def test_enumeration_gives_the_closed_form(name):
    utility, shapley = GAMES[name]
    assert exact_shapley(utility).values == pytest.approx(shapley, abs=1e-12)
    assert by_orders(utility) == pytest.approx(shapley, abs=1e-12)


def test_the_axioms_hold_on_a_game_of_four():
    """The third and fourth are twins, the second does nothing."""
    worth = lambda members, seed: 2.0 * members[0] * (members[2] or members[3]) + 0.5 * members[0]  # noqa: E731
    for found in (exact_shapley(Utility(4, worth)), tmc_shapley(Utility(4, worth), permutations=3000, seed=1)):
        values = found.values
        assert values.sum() == pytest.approx(2.5)  # efficiency, in each order
        assert values[1] == 0  # null player
        assert values[2] == pytest.approx(values[3], abs=0.06)  # symmetry
    assert exact_shapley(Utility(4, worth)).values[2] == exact_shapley(Utility(4, worth)).values[3]


@pytest.mark.parametrize("name", GAMES)
def test_permutations_come_to_the_closed_form_within_their_own_error(name):
    utility, shapley = GAMES[name]
    found = tmc_shapley(utility, permutations=2000, seed=3)
    assert (np.abs(found.values - shapley) <= 4 * found.error + 1e-12).all()


def test_truncation_saves_trainings_and_costs_at_most_its_tolerance():
    costs = np.r_[np.full(9, 0.01), 1.0]
    whole, cut = (tmc_shapley(airport(costs).utility, permutations=30, tolerance=t, seed=0) for t in (0.0, 0.005))
    assert cut.trainings < whole.trainings
    assert np.abs(cut.values - whole.values).max() <= 0.005


def test_banzhaf_enumerated_is_its_definition():
    utility, _ = GAMES["airport"]
    wanted = np.zeros(4)
    for player in range(4):
        for bits in itertools.product([False, True], repeat=4):
            if not bits[player]:
                wanted[player] += utility(np.array(bits) | (np.arange(4) == player)) - utility(np.array(bits))
    assert banzhaf(utility, samples=None).values == pytest.approx(wanted / 8, abs=1e-12)
    assert banzhaf(utility, samples=4000, seed=0).values == pytest.approx(wanted / 8, abs=0.1)


@pytest.mark.parametrize(("n", "k"), [(6, 2), (7, 3), (8, 5), (5, 5)])
def test_knn_shapley_is_the_shapley_value_of_its_game(n, k):
    rng = np.random.default_rng(n)
    x, y, x_val, y_val = rng.normal(size=(n, 2)), rng.integers(0, 2, n), rng.normal(size=(4, 2)), rng.integers(0, 2, 4)
    found = knn_shapley(x, y, x_val, y_val, neighbours=k).values
    assert found == pytest.approx(exact_shapley(knn_utility(x, y, x_val, y_val, neighbours=k)).values, abs=1e-12)


def test_leave_one_out_and_groups():
    utility, _ = GAMES["additive"]
    assert leave_one_out(utility).values == pytest.approx([0.5, -1.0, 2.0])
    assert leave_one_out(grouped(utility, [0, 0, 1])).values == pytest.approx([-0.5, 2.0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Utility(0, lambda members, seed: 0.0), "at least one player"),
        (lambda: leave_one_out(Utility(2, lambda members, seed: float("nan"))), r"finite number \(got nan for 2 of 2"),
        (lambda: exact_shapley(Utility(2, lambda members, seed: float("inf"))), "got inf"),
        (lambda: leave_one_out(Utility(2, lambda members, seed: None)), "must be a finite number .*got NoneType"),
        (lambda: leave_one_out(Utility(2, lambda members, seed: np.ones(2))), "must be a finite number .*got ndarray"),
        (lambda: exact_shapley(at_least(17, 3).utility), "at most 16 players"),
        (lambda: banzhaf(at_least(3, 2).utility, samples=1), "draw more samples"),
        (lambda: tmc_shapley(at_least(3, 2).utility, permutations=0), "permutations must be at least 1"),
        (lambda: grouped(at_least(3, 2).utility, [0, 2, 2]), "without a gap"),
        (lambda: knn_shapley([[0.0]], [0], [[0.0]], [0], neighbours=2), r"must lie in \[1, 1\]"),
        (lambda: knn_shapley([[np.nan]], [0], [[0.0]], [0], neighbours=1), "x holds NaN"),
        (lambda: knn_shapley(np.zeros((0, 2)), [], [[0.0]], [0]), "at least one row"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_a_utility_that_fails_half_way_leaves_what_it_had():
    """The third training fails; the two before it are counted and kept."""

    def worth(members, seed):
        return float("nan") if members.sum() == 1 else 1.0

    utility = Utility(2, worth)
    utility(np.array([True, True]))
    with pytest.raises(GraphforgetError):
        leave_one_out(utility)
    assert utility.trainings == 1
