from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphforget.kernels import csr
from tests import naive

ROWS, COLS = 6, 9
PAIRS = st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, COLS - 1)), max_size=40)


def build(pairs, num_rows=ROWS, num_cols=COLS):
    rows, cols = zip(*pairs, strict=True) if pairs else ((), ())
    return csr.from_coo(rows, cols, num_rows, num_cols)


def lists(arrays):
    return [array.tolist() for array in arrays]


@given(PAIRS)
def test_from_coo_equals_a_stable_sort(pairs):
    built = build(pairs)
    assert lists(built) == list(naive.from_coo(pairs, ROWS))
    assert {array.dtype for array in built} == {np.dtype(np.int64)}
    csr.check(*built[:2], COLS)


@given(PAIRS)
def test_transpose_turns_every_pair_and_back(pairs):
    indptr, indices, _ = build(pairs)
    turned, columns, perm = csr.transpose(indptr, indices, COLS)
    flipped = [(v, u) for u, row in enumerate(naive.rows_of(indptr, indices)) for v in row]
    assert lists((turned, columns, perm)) == list(naive.from_coo(flipped, COLS))
    assert lists(csr.transpose(turned, columns, ROWS)[:2]) == lists((indptr, indices))


@given(PAIRS, PAIRS)
def test_locate_finds_the_first_slot_of_each_pair(pairs, others):
    indptr, indices, _ = build(pairs)
    u, v = np.array(pairs + others, dtype=np.int64).reshape(-1, 2).T
    assert csr.locate(indptr, indices, u, v).tolist() == naive.locate(indptr, indices, pairs + others)
    assert csr.contains(indptr, indices, u, v).tolist() == [pair in pairs for pair in pairs + others]


@given(PAIRS, st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, ROWS - 1)), max_size=9))
def test_common_neighbors_equals_the_intersection_of_sets(pairs, asked):
    indptr, indices, _ = build(pairs)
    u, v = np.array(asked, dtype=np.int64).reshape(-1, 2).T
    counts = csr.common_neighbors(indptr, indices, u, v)
    assert counts.dtype == np.int64
    assert counts.tolist() == naive.common_neighbors(indptr, indices, asked)
    weights = np.sqrt(np.arange(COLS) + 0.5)
    sums = csr.common_neighbors(indptr, indices, u, v, weights)
    assert sums.dtype == np.float64
    assert sums.tolist() == naive.common_neighbors(indptr, indices, asked, weights.tolist())


@given(PAIRS, st.data())
def test_remove_leaves_the_other_slots(pairs, data):
    indptr, indices, _ = build(pairs)
    before = lists((indptr, indices))
    slots = data.draw(st.lists(st.integers(0, len(pairs) - 1), max_size=50)) if pairs else []
    left = csr.remove(indptr, indices, slots)
    assert naive.rows_of(*left) == naive.remove(indptr, indices, slots)
    assert left[0].dtype == left[1].dtype == np.int64
    csr.check(*left, COLS)
    assert lists((indptr, indices)) == before


def test_removing_every_pair_empties_the_rows():
    indptr, indices, _ = build([(0, 1), (0, 1), (2, 3), (5, 8)])
    assert lists(csr.remove(indptr, indices, range(4))) == [[0] * (ROWS + 1), []]


@pytest.mark.parametrize("size", [(0, 0), (0, 4), (4, 0), (3, 3)])
def test_an_empty_graph_goes_through_everything(size):
    indptr, indices, perm = csr.from_coo([], [], *size)
    assert lists((indptr, indices, perm)) == [[0] * (size[0] + 1), [], []]
    csr.check(indptr, indices, size[1])
    assert lists(csr.transpose(indptr, indices, size[1])) == [[0] * (size[1] + 1), [], []]
    assert csr.locate(indptr, indices, [], []).tolist() == []
    assert csr.common_neighbors(indptr, indices, [], [], np.ones(size[1])).tolist() == []
    assert lists(csr.remove(indptr, indices, [])) == lists((indptr, indices))


def test_rows_that_are_isolated_or_looped():
    indptr, indices, _ = build([(1, 1), (3, 1), (3, 3)], 5, 5)
    assert csr.locate(indptr, indices, [0, 1, 4], [0, 1, 4]).tolist() == [-1, 0, -1]
    assert csr.common_neighbors(indptr, indices, [0, 1, 3], [3, 3, 3]).tolist() == [0, 1, 2]


def test_more_than_65535_entries_and_columns():
    num = 70_000
    cols = np.random.default_rng(0).permutation(num)
    indptr, indices, perm = csr.from_coo(np.ones(num, np.int64), cols, 3, num)
    assert indptr.tolist() == [0, 0, num, num]
    assert np.array_equal(indices, np.arange(num))
    assert np.array_equal(cols[perm], indices)
    assert np.array_equal(csr.locate(indptr, indices, np.ones(num, np.int64), cols), cols)
    assert csr.common_neighbors(indptr, indices, [1, 0], [1, 1]).tolist() == [num, 0]
    turned, columns, _ = csr.transpose(indptr, indices, num)
    assert np.array_equal(turned, np.arange(num + 1))
    assert (columns == 1).all()


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.uint64, ">i8"])
def test_any_integer_type_will_do(dtype):
    built = csr.from_coo(np.array([1, 0], dtype), np.array([0, 1], dtype), 2, 2)
    assert lists(built) == [[0, 1, 2], [1, 0], [1, 0]]


def test_strided_and_read_only_arrays_will_do():
    edges = np.array([[0, 1], [1, 0], [1, 1]])
    edges.flags.writeable = False
    assert lists(csr.from_coo(edges[:, 0], edges[:, 1], 2, 2)) == [[0, 1, 3], [1, 0, 1], [0, 1, 2]]


INT32_OVERFLOW = np.array([0, 2**31 - 1, -(2**31)], np.int32)


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([], [], r"start with 0 \(got no entry\)"),
        ([1, 2], [0, 1], r"start with 0 \(got 1\)"),
        ([0, 3], [0, 1], r"number of indices, 2 \(got 3\)"),
        ([0, 2, 1, 2], [0, 1], r"decrease \(got 2 then 1 in row 1\)"),
        (INT32_OVERFLOW, [0], r"negative \(got -2147483648 at position 2\): overflow"),
        (np.array([0, 2**63], np.uint64), [0], r"indptr must fit int64 \(got 9223372036854775808\)"),
        ([0, 2], [0, -7], r"indices must lie in \[0, 9\) \(got -7 at position 1\)"),
        ([0, 2], [0, 9], r"indices must lie in \[0, 9\) \(got 9 at position 1\)"),
        ([0, 1, 4], [8, 1, 5, 4], r"sorted \(got 5 then 4 in row 1\)"),
        ([[0, 1]], [0], r"indptr must have one dimension \(got shape \(1, 2\)\)"),
        ([0, 1], [0.5], r"indices must hold integers \(got float64\)"),
        ([0, 1], [True], r"indices must hold integers \(got bool\)"),
    ],
)
def test_check_names_what_is_wrong(indptr, indices, message):
    with pytest.raises(ValueError, match=message):
        csr.check(indptr, indices, COLS)


def test_check_accepts_falls_between_rows_and_duplicates():
    assert csr.check([0, 2, 2, 4], [5, 8, 1, 1], COLS) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: csr.from_coo([0, 6], [0, 0], 6, 9), r"rows must lie in \[0, 6\) \(got 6 at position 1\)"),
        (lambda: csr.from_coo([0], [-1], 6, 9), r"cols must lie in \[0, 9\) \(got -1"),
        (lambda: csr.from_coo([0], [0, 1], 6, 9), r"one length \(got 1 and 2\)"),
        (lambda: csr.locate([0, 1], [0], [1], [0]), r"rows must lie in \[0, 1\) \(got 1"),
        (lambda: csr.locate([0, 1], [0], [0], []), r"one length \(got 1 and 0\)"),
        (lambda: csr.locate([0, 2], [0], [0], [0]), r"number of indices, 1 \(got 2\)"),
        (lambda: csr.common_neighbors([0, 1], [0], [0], [2]), r"v must lie in \[0, 1\) \(got 2"),
        (lambda: csr.common_neighbors([0, 1], [0], [0, 0], [0]), r"one length \(got 2 and 1\)"),
        (lambda: csr.common_neighbors([0, 1], [4], [0], [0], [1.0] * 4), r"weights must .* \(got shape \(4,\)\)"),
        (lambda: csr.transpose([0, 1], [4], 4), r"indices must lie in \[0, 4\) \(got 4"),
        (lambda: csr.remove([0, 1], [0], [-1]), r"slots must lie in \[0, 1\) \(got -1"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
