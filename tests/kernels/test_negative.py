from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from graphforget.kernels import csr
from graphforget.kernels.negative import structured_negatives, uniform_negatives
from tests import naive

ROWS = 6
SEEDS = st.integers(0, 2**64 - 1)


@st.composite
def graphs(draw, square=False):
    """(indptr, indices, num_dst): few rows, dense, with duplicates and self-loops; more or fewer columns than rows."""
    num_dst = ROWS if square else draw(st.integers(1, 9))
    pairs = draw(st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, num_dst - 1)), max_size=40))
    return *build(pairs, num_dst), num_dst


def build(pairs, num_dst=ROWS, num_src=ROWS):
    rows, cols = zip(*pairs, strict=True) if pairs else ((), ())
    return csr.from_coo(rows, cols, num_src, num_dst)[:2]


@given(graphs(), SEEDS, st.booleans(), st.data())
def test_structured_equals_a_look_up_in_the_list_of_non_neighbours(graph, seed, exclude_self, data):
    free = naive.non_edges(*graph, exclude_self=exclude_self)
    rows = [row for row in range(ROWS) if free[row]]
    assume(rows)
    sources = data.draw(st.lists(st.sampled_from(rows), max_size=8))
    drawn = structured_negatives(*graph[:2], sources, graph[2], seed, exclude_self)
    assert drawn.dtype == np.int64
    assert drawn.tolist() == naive.structured_negatives(free, sources, seed)


@given(st.booleans().flatmap(lambda upper: st.tuples(graphs(square=upper), st.just(upper))), SEEDS, st.booleans())
def test_uniform_equals_a_look_up_in_the_list_of_non_edges(case, seed, exclude_self):
    graph, upper = case
    free = naive.non_edges(*graph, exclude_self=exclude_self, upper=upper)
    assume(any(free))
    drawn = uniform_negatives(*graph[:2], 9, graph[2], seed, exclude_self, upper)
    assert drawn.dtype == np.int64
    assert drawn.shape == (2, 9)
    assert [tuple(pair) for pair in drawn.T.tolist()] == naive.uniform_negatives(free, 9, seed)


def test_structured_is_uniform_over_the_non_neighbours():
    indptr, indices = build([(2, 0), (2, 5), (2, 5), (2, 9)], 12)
    drawn = np.bincount(structured_negatives(indptr, indices, [2] * 20_000, 12, seed=1), minlength=12)
    assert np.flatnonzero(drawn).tolist() == [1, 3, 4, 6, 7, 8, 10, 11]
    assert stats.chisquare(drawn[drawn > 0]).pvalue > 1e-4


@pytest.mark.parametrize("upper", [False, True])
def test_uniform_is_uniform_over_the_non_edges_of_rows_of_unequal_degree(upper):
    """One row is nearly full, one is full and one is empty: the source must follow the number of non-neighbours."""
    half = [(0, v) for v in range(1, ROWS)] + [(1, 2), (1, 3), (1, 4)]
    indptr, indices = build([(u, v) for u, v in half] + [(v, u) for u, v in half])
    free = naive.non_edges(indptr, indices, ROWS, exclude_self=True, upper=upper)
    pairs = [(u, v) for u, row in enumerate(free) for v in row]
    drawn = uniform_negatives(indptr, indices, 20_000, ROWS, seed=2, upper=upper)
    counts = np.bincount(drawn[0] * ROWS + drawn[1], minlength=ROWS**2)
    assert [divmod(code, ROWS) for code in np.flatnonzero(counts).tolist()] == pairs
    assert stats.chisquare(counts[counts > 0]).pvalue > 1e-4


def test_other_seeds_and_other_entries_draw_otherwise():
    indptr, indices = np.zeros(2, np.int64), np.zeros(0, np.int64)
    first, again, other = (structured_negatives(indptr, indices, [0] * 500, 10**9, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert len({*first.tolist(), *other.tolist()}) == 1000


def test_more_than_65535_entries_in_a_row():
    """Row 0 holds every even id: the odd ones are what is left, and the only free id of row 1 is found."""
    num = 140_000
    rows = np.repeat([0, 1], [num // 2, num - 1])
    cols = np.concatenate([np.arange(0, num, 2), np.delete(np.arange(num), 131_073)])
    indptr, indices, _ = csr.from_coo(rows, cols, 2, num)
    drawn = structured_negatives(indptr, indices, [0] * 5000 + [1] * 5, num, seed=3, exclude_self=False)
    assert (drawn[:5000] % 2 == 1).all()
    assert drawn[:5000].max() > 130_000
    assert drawn[5000:].tolist() == [131_073] * 5
    pairs = uniform_negatives(indptr, indices, 5000, num, seed=4, exclude_self=False)
    assert not csr.contains(indptr, indices, *pairs).any()


def test_nearly_complete_rows_need_no_luck():
    """A rejection loop would need a million tries a draw."""
    num = 1_000_000
    indptr, indices, _ = csr.from_coo(np.zeros(num - 1, np.int64), np.delete(np.arange(num), 77), 1, num)
    assert structured_negatives(indptr, indices, [0] * 3, num, seed=0, exclude_self=False).tolist() == [77] * 3
    assert uniform_negatives(indptr, indices, 2, num, seed=0, exclude_self=False).tolist() == [[0, 0], [77, 77]]


def test_empty_isolated_and_nothing_asked():
    nothing = np.zeros(1, np.int64), np.zeros(0, np.int64)
    assert structured_negatives(*nothing, [], 0, seed=0).tolist() == []
    assert uniform_negatives(*nothing, 0, 0, seed=0).tolist() == [[], []]
    isolated = np.zeros(3, np.int64), np.zeros(0, np.int64)
    assert structured_negatives(*isolated, [0, 1, 1], 2, seed=0).tolist() == [1, 0, 0]
    pairs = uniform_negatives(*isolated, 50, 2, seed=0)
    assert {tuple(pair) for pair in pairs.T.tolist()} == {(0, 1), (1, 0)}


def test_a_self_loop_counts_once_and_may_be_drawn_where_self_is_allowed():
    indptr, indices = build([(0, 0), (0, 1)], 3, 3)
    assert set(structured_negatives(indptr, indices, [0] * 20, 3, seed=0).tolist()) == {2}
    assert set(structured_negatives(indptr, indices, [1] * 50, 3, seed=0, exclude_self=False).tolist()) == {0, 1, 2}
    upper = uniform_negatives(indptr, indices, 200, 3, seed=0, exclude_self=False, upper=True)
    assert {tuple(pair) for pair in upper.T.tolist()} == {(0, 2), (1, 1), (1, 2), (2, 2)}


def test_a_source_beyond_the_destinations_is_no_destination_of_its_own():
    indptr, indices = build([(4, 0)], 2)
    assert structured_negatives(indptr, indices, [4] * 3, 2, seed=0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("pairs", "exclude_self", "row"),
    [
        ([(1, 0), (1, 1), (1, 2)], False, 1),
        ([(1, 0), (1, 2)], True, 1),  # only itself is left
        ([(2, 0), (2, 0), (2, 1), (2, 2)], True, 2),  # duplicates do not hide it
    ],
)
def test_a_saturated_row_is_named(pairs, exclude_self, row):
    indptr, indices = build(pairs, 3, 3)
    with pytest.raises(ValueError, match=f"row {row} has no negative: all 3 destinations"):
        structured_negatives(indptr, indices, [0, row], 3, seed=0, exclude_self=exclude_self)
    assert structured_negatives(indptr, indices, [0], 3, seed=0, exclude_self=exclude_self).shape == (1,)


@pytest.mark.parametrize("upper", [False, True])
def test_a_complete_graph_has_no_non_edge(upper):
    indptr, indices = build([(u, v) for u in range(4) for v in range(4) if u != v], 4, 4)
    with pytest.raises(ValueError, match="no non-edge to draw: all 4 rows"):
        uniform_negatives(indptr, indices, 1, 4, seed=0, upper=upper)
    assert uniform_negatives(indptr, indices, 0, 4, seed=0, upper=upper).shape == (2, 0)
    loops = uniform_negatives(indptr, indices, 30, 4, seed=0, exclude_self=False, upper=upper)
    assert (loops[0] == loops[1]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: structured_negatives([0, 2], [1, 0], [0], 3, seed=0), r"sorted \(got 1 then 0 in row 0\)"),
        (lambda: structured_negatives([0, 1], [3], [0], 3, seed=0), r"row 0 must lie in \[0, 3\) \(got 3"),
        (lambda: structured_negatives([0, 1], [0], [1], 3, seed=0), r"sources must lie in \[0, 1\) \(got 1"),
        (lambda: structured_negatives([0, 1], [0], [0], 3, seed=-1), r"seed must be .* \(got -1\)"),
        (lambda: uniform_negatives([0, 2], [1, 0], 1, 3, seed=0), r"sorted \(got 1 then 0 in row 0\)"),
        (lambda: uniform_negatives([0, 1], [0], -1, 3, seed=0), r"num must not be negative \(got -1\)"),
        (lambda: uniform_negatives([0, 1], [0], 1, 3, seed=0, upper=True), r"destinations \(got 1 and 3\)"),
        (lambda: uniform_negatives([0, 0, 0], [], 1, 2**62, seed=0), r"fit int64 \(got 2 \* 4611686018427387904\)"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
