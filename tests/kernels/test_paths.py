from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphforget.kernels import csr, paths
from tests import naive

USERS, ITEMS = 5, 6
PAIRS = st.sets(st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)), max_size=20)


@given(PAIRS, st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)), min_size=1, max_size=6))
def test_three_paths_equal_the_definition(edges, asked):
    rows, cols = zip(*sorted(edges), strict=True) if edges else ((), ())
    indptr, indices, _ = csr.from_coo(rows, cols, USERS, ITEMS)
    back_indptr, back_indices, _ = csr.from_coo(cols, rows, ITEMS, USERS)
    users, items = np.array(asked).T
    found = paths.three_paths(indptr, indices, back_indptr, back_indices, users, items)
    assert found.tolist() == [naive.three_paths(edges, user, item) for user, item in asked]
    weights = np.linspace(0.5, 2, USERS), np.linspace(3, 1, ITEMS)
    found = paths.three_paths(indptr, indices, back_indptr, back_indices, users, items, *weights)
    assert found == pytest.approx([naive.three_paths(edges, user, item, *weights) for user, item in asked])


def test_refuses_weights_of_another_length():
    with pytest.raises(ValueError, match=r"\[1\] of users and \[1\] of items"):
        paths.three_paths([0, 0], [], [0, 0], [], [0], [0], [1.0, 2.0])


def test_refuses_pairs_of_different_lengths():
    with pytest.raises(ValueError, match="one length"):
        paths.three_paths([0, 0], [], [0, 0], [], [0, 0], [0])
