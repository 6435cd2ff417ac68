from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from graphforget.kernels import csr, hops, neighbor, places

N = 8
PAIRS = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=40)


def build(pairs, num_nodes=N):
    rows, cols = zip(*pairs, strict=True) if pairs else ((), ())
    return csr.from_coo(rows, cols, num_nodes, num_nodes)[:2]


@given(PAIRS, st.lists(st.integers(0, N - 1), max_size=6), st.integers(-1, 9).filter(bool), st.booleans())
def test_each_row_gives_its_own_slots_and_as_many_as_asked(pairs, nodes, fan_out, replace):
    indptr, indices = build(pairs)
    offsets, slots = neighbor.draw_neighbors(indptr, indices, nodes, fan_out, seed=1, replace=replace)
    assert slots.dtype == offsets.dtype == np.int64
    for i, node in enumerate(nodes):
        mine, row = slots[offsets[i] : offsets[i + 1]].tolist(), range(indptr[node], indptr[node + 1])
        assert set(mine) <= set(row)
        if fan_out == -1 or (not replace and fan_out >= len(row)):
            assert mine == list(row)
        else:
            assert len(mine) == (fan_out if len(row) else 0)
            assert replace or len(set(mine)) == len(mine)


@pytest.mark.parametrize(("size", "count"), [(5, 2), (6, 3), (5, 4)])
def test_every_subset_is_as_likely(size, count):
    """Without replacement the subsets are uniform, not only the single slots."""
    indptr, indices = [0, size], np.arange(size)
    offsets, slots = neighbor.draw_neighbors(indptr, indices, np.zeros(6000, np.int64), count, seed=2)
    drawn = Counter(tuple(sorted(slots[offsets[i] : offsets[i + 1]].tolist())) for i in range(6000))
    subsets = list(combinations(range(size), count))
    assert stats.chisquare([drawn[each] for each in subsets]).pvalue > 1e-4


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize(("size", "count"), [(200, 40), (3000, 40)])
def test_single_slots_are_uniform_by_both_algorithms(size, count, replace):
    _, slots = neighbor.draw_neighbors([0, size], np.arange(size), np.zeros(3000, np.int64), count, 3, replace)
    hits = np.bincount(slots, minlength=size)
    assert hits.sum() == 3000 * count
    spread = ((hits - hits.mean()) ** 2).sum() / hits.mean()  # chi-square, of about ``size`` degrees of freedom
    if not replace:
        spread /= 1 - count / size  # slots of one row avoid each other, which narrows the counts
    assert abs(spread / size - 1) < 5 * np.sqrt(2 / size)


def test_more_than_65535_entries_and_an_isolated_row():
    num = 70_000
    indptr = np.concatenate([[0], np.full(num, num)])  # row 0 has all, the others none
    offsets, slots = neighbor.draw_neighbors(indptr, np.arange(num), [0, 5, 0], 66_000, seed=1)
    assert np.diff(offsets).tolist() == [66_000, 0, 66_000]
    assert len(np.unique(slots[:66_000])) == 66_000
    assert not np.array_equal(slots[:66_000], slots[66_000:])


@pytest.mark.parametrize(
    ("indptr", "nodes", "fan_out", "message"),
    [
        ([0, 1, 2], [2], 1, r"nodes must lie in \[0, 2\) \(got 2"),
        ([0, 1, 2], [0], 0, r"-1 \(all neighbours\) or 1 or more \(got 0\)"),
        ([0, 1, 2], [0], -2, r"got -2"),
        ([0, 2, 1, 2], [1], 1, r"must not decrease \(got 2 then 1 in row 1\)"),
        ([0, 5, 2], [0], 1, r"in row 0"),
    ],
)
def test_what_a_draw_refuses(indptr, nodes, fan_out, message):
    with pytest.raises(ValueError, match=message):
        neighbor.draw_neighbors(indptr, [0, 1], nodes, fan_out, seed=0)


# --- places


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), min_size=1, max_size=4))
def test_table_and_hash_number_by_first_occurrence(batches):
    table, hashed = places.Table(31), places.Hash()
    for _ in range(2):
        table.restart(), hashed.restart()
        known: list[int] = []
        for batch in batches:
            for each in batch:
                known.extend([] if each in known else [each])
            expected = [known.index(each) for each in batch]
            for one in (table, hashed):
                found, new = one.place(np.array(batch, dtype=np.int64))
                assert found.tolist() == expected
                assert new.tolist() == known[len(known) - len(new) :]
                assert one.size == len(known)


def test_a_hash_grows_and_a_table_refuses_what_it_has_no_entry_for():
    ids = np.random.default_rng(0).integers(0, 2**62, 20_000)
    found, new = places.Hash().place(np.concatenate([ids, ids]))
    assert len(new) == len(np.unique(ids))
    assert found[:20_000].tolist() == found[20_000:].tolist()
    table = places.Table(3)
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 3\) \(got -1\)"):
        table.place(np.array([0, -1]))
    table.start(np.array([1]))
    assert table.place(np.array([0]))[0].tolist() == [1]  # nothing is left of the batch that failed
    with pytest.raises(ValueError, match=r"got 3\)"):
        places.Table(3).place(np.array([3]))


# --- hops (the contract is tested through PyG's sampler)


def test_two_hops_by_hand_and_a_saturated_graph():
    indptr, indices = build([(u, v) for u in range(4) for v in range(4)], 4)
    nodes, rows, cols, slots = hops.sample_neighbors(indptr, indices, [2], [-1, 9], seed=0)
    assert nodes.tolist() == [2, 0, 1, 3]
    assert len(slots) == 16
    assert indices[slots].tolist() == nodes[rows].tolist()
    assert sorted(Counter(cols.tolist()).values()) == [4, 4, 4, 4]


def test_a_self_loop_and_no_edge():
    nodes, rows, cols, _ = hops.sample_neighbors(*build([(1, 1)]), [1, 0], [3, 3], seed=0)
    assert (nodes.tolist(), rows.tolist(), cols.tolist()) == ([1, 0], [0], [0])
    nodes, rows, _, _ = hops.sample_neighbors(*build([]), [3], [-1, 5], seed=0)
    assert (nodes.tolist(), rows.tolist()) == ([3], [])
    assert [len(part) for part in hops.sample_neighbors(*build([]), [], [2], seed=0)] == [0, 0, 0, 0]


def test_what_a_hop_sampler_refuses():
    one = hops.Relation("", "", np.array([0, 1, 2]), np.array([1, 0]))
    with pytest.raises(ValueError, match="as many fan-outs"):
        hops.HopSampler({"a": one, "b": one}, {"": 2}, {"a": [1], "b": [1, 1]})
    with pytest.raises(ValueError, match="must have 3 rows"):
        hops.HopSampler({"a": one}, {"": 3}, {"a": [1]})
    with pytest.raises(ValueError, match=r"got 0 in hop 1"):
        hops.HopSampler({"a": one}, {"": 2}, {"a": [0, 1]})
    with pytest.raises(ValueError, match="a kind of"):
        hops.HopSampler({"a": one}, {"": 2}, {"a": [1]}).sample({"user": [0]}, 0)
    with pytest.raises(ValueError, match=r"indices must lie in \[0, 2\) \(got 9\)"):
        hops.sample_neighbors([0, 1, 2], [9, 0], [0], [1], seed=0)
    with pytest.raises(ValueError, match="got 0"):
        hops.sample_neighbors([0, 1, 2], [1, 0], [0], [1, 0], seed=0)
    with pytest.raises(ValueError, match=r"sorted by time \(got 5 then 3 in row 0\)"):
        hops.Relation("", "", np.array([0, 2]), np.array([0, 0]), np.array([5, 3]))
    with pytest.raises(ValueError, match="an entry for each"):
        hops.Relation("", "", np.array([0, 2]), np.array([0, 0]), np.array([5]))
    timed = hops.Relation("", "", np.array([0, 2]), np.array([0, 0]), np.array([3, 5]))
    with pytest.raises(ValueError, match="disjoint=True"):
        hops.HopSampler({"a": timed}, {"": 1}, {"a": [1]})
    sampler = hops.HopSampler({"a": timed}, {"": 1}, {"a": [1]}, disjoint=True)
    with pytest.raises(ValueError, match="one entry a seed"):
        sampler.sample({"": [0]}, 0, {"": [1, 2]})
    with pytest.raises(ValueError, match="all seeds together"):
        sampler.sample({"": [0]}, 0, {"": [1]}, induced=True)
