from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from graphforget.kernels import bpr, csr

USERS, ITEMS = 4, 7
PAIRS = st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)), max_size=20)
WEIGHTS = st.none() | st.lists(st.sampled_from([0.0, 0.5, 1.0, 1e-6, 1e6]), min_size=ITEMS, max_size=ITEMS)


def build(pairs, users=USERS, items=ITEMS):
    rows, cols = zip(*pairs, strict=True) if pairs else ((), ())
    return csr.from_coo(rows, cols, users, items)[:2]


@given(PAIRS, WEIGHTS, st.integers(0, 2**64 - 1))
def test_a_draw_is_never_a_positive_and_never_without_weight(pairs, weights, seed):
    negatives = bpr.Negatives(*build(pairs), ITEMS, weights)
    for user in range(USERS):
        free = {i for i in range(ITEMS) if (user, i) not in pairs and (weights is None or weights[i] > 0)}
        if free:
            assert set(negatives.draw([user] * 20, seed).tolist()) <= free
        else:
            with pytest.raises(ValueError, match=f"user {user} has every item"):
                negatives.draw([user], seed)


@pytest.mark.parametrize("weights", [None, [5.0, 1.0, 2.0, 0.0, 3.0, 1.0, 8.0]])
def test_draws_have_the_distribution_that_is_asked_for(weights):
    pairs = [(0, 0), (0, 0), (0, 3), (0, 6), (1, 2)]
    negatives = bpr.Negatives(*build(pairs), ITEMS, weights)
    for user in (0, 1, 2):
        share = np.array(weights or [1.0] * ITEMS)
        share[[i for u, i in pairs if u == user]] = 0
        drawn = np.bincount(negatives.draw(np.full(20_000, user), seed=user), minlength=ITEMS)
        allowed = share > 0
        assert not drawn[~allowed].any()
        assert stats.chisquare(drawn[allowed], (share / share.sum() * 20_000)[allowed]).pvalue > 1e-4


def test_a_user_who_owns_nearly_all_of_the_weight_is_served_in_the_right_shares():
    weights = np.ones(1000)
    weights[0], weights[1], weights[2] = 1e12, 3, 1
    indptr, indices = build([(0, 0), *((0, item) for item in range(3, 1000))], 1, 1000)
    drawn = np.bincount(bpr.Negatives(indptr, indices, 1000, weights).draw(np.zeros(4000, np.int64), 1), minlength=3)
    assert drawn[1] + drawn[2] == 4000
    assert stats.binomtest(int(drawn[1]), 4000, 0.75).pvalue > 1e-4


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=30).filter(lambda w: sum(w) > 0))
def test_an_alias_table_holds_the_shares(weights):
    keep, alias = bpr.alias_table(weights)
    found = np.zeros(len(weights))
    np.add.at(found, np.arange(len(weights)), keep)
    np.add.at(found, alias, 1 - keep)
    assert np.allclose(found / len(weights), np.array(weights) / sum(weights), atol=1e-9)


def test_more_than_65535_items():
    negatives = bpr.Negatives([0, 69_999], np.arange(1, 70_000), 70_000)
    assert negatives.draw([0, 0], seed=3).tolist() == [0, 0]
    wide = bpr.Negatives([0, 0], [], 10**9).draw(np.zeros(1000, np.int64), seed=0)
    assert wide.max() > 9.9e8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 2], [1, 0], 3), r"rows must be sorted \(got 1 then 0 in row 0\)"),
        (([0, 1], [3], 3), r"\[0, 3\) \(got 3"),
        (([0, 1], [-1], 3), r"got -1"),
        (([0, 1], [0], 2**32), "num_items must lie"),
        (([0, 1], [0], 3, [1, 1]), "one entry an item"),
        (([0, 1], [0], 3, [1, -1, 1]), "got -1.0 for item 1"),
        (([0, 1], [0], 3, [1, np.nan, 1]), "got nan for item 1"),
        (([0, 1], [0], 3, [1, np.inf, 1]), "got inf for item 1"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        bpr.Negatives(*arguments)
    with pytest.raises(ValueError, match=r"users must lie in \[0, 1\)"):
        bpr.Negatives([0, 1], [0], 3).draw([1], 0)
