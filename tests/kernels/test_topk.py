from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphforget.kernels import csr, topk
from tests import naive

COLUMNS = 7
ROW = st.lists(st.sampled_from([0.0, 0.5, 1.0, -2.0, float("inf"), float("-inf")]), min_size=COLUMNS, max_size=COLUMNS)


@given(st.lists(st.tuples(ROW, st.sets(st.integers(0, COLUMNS - 1))), min_size=1, max_size=4), st.integers(1, 9))
def test_equals_a_full_sort_by_score_then_id(cases, k):
    scores = np.array([row for row, _ in cases])
    mask = [(row, column) for row, (_, hidden) in enumerate(cases) for column in hidden]
    rows, cols = zip(*mask, strict=True) if mask else ((), ())
    indptr, indices, _ = csr.from_coo(rows, cols, len(cases), COLUMNS)
    found = topk.masked_top_k(scores, indptr, indices, np.arange(len(cases)), k)
    assert found.tolist() == [naive.top_k(row, hidden, k) for row, hidden in cases]


def test_the_last_column_can_be_found_and_a_row_of_the_mask_can_be_used_twice():
    indptr, indices, _ = csr.from_coo([1], [0], 2, 3)
    scores = np.array([[3.0, 1.0, 2.0], [3.0, 1.0, 9.0]], dtype=np.float32)
    assert topk.masked_top_k(scores, indptr, indices, [1, 1], 2).tolist() == [[2, 1], [2, 1]]


def test_refuses_what_it_cannot_rank():
    with pytest.raises(ValueError, match="NaN in row 1"):
        topk.masked_top_k(np.array([[0.0, 1.0], [np.nan, 1.0]]), [0, 0, 0], [], [0, 1], 1)
    with pytest.raises(ValueError, match="k must be at least 1"):
        topk.masked_top_k(np.zeros((1, 2)), [0, 0], [], [0], 0)
    with pytest.raises(ValueError, match=r"shape \[2, I\]"):
        topk.masked_top_k(np.zeros((1, 2)), [0, 0], [], [0, 0], 1)
