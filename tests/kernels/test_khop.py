from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.utils import k_hop_subgraph

from graphforget.kernels import csr, khop
from tests import naive

N = 8
PAIRS = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=24)
NODES = st.lists(st.integers(0, N - 1), max_size=4)


def build(pairs, num_nodes=N):
    rows, cols = zip(*pairs, strict=True) if pairs else ((), ())
    return csr.from_coo(rows, cols, num_nodes, num_nodes)[:2]


@given(PAIRS, NODES, st.integers(0, N))
def test_distance_and_nodes_equal_powers_of_the_adjacency(pairs, seeds, k):
    indptr, indices = build(pairs)
    expected = naive.k_hop_distance(indptr, indices, seeds, k)
    distance = khop.k_hop_distance(indptr, indices, seeds, k)
    assert distance.dtype == np.int16
    assert distance.tolist() == expected
    nodes = khop.k_hop_nodes(indptr, indices, seeds, k)
    assert nodes.dtype == np.int64
    assert nodes.tolist() == [node for node, far in enumerate(expected) if far >= 0]


@given(PAIRS, st.sets(st.integers(0, N - 1)))
def test_induced_edges_equal_the_definition(pairs, chosen):
    indptr, indices = build(pairs)
    nodes = sorted(chosen)
    slots, sources, targets = khop.induced_edges(indptr, indices, nodes)
    found = list(zip(slots.tolist(), sources.tolist(), targets.tolist(), strict=True))
    assert found == naive.induced_edges(indptr, indices, nodes)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_equals_pyg_on_a_graph_of_more_than_65535_nodes(k):
    num = 70_000
    rows, cols = np.random.default_rng(1).integers(0, num, (2, 3 * num))
    indptr, indices, perm = csr.from_coo(rows, cols, num, num)
    seeds = [3, 69_999]
    edge_index = torch.from_numpy(np.stack([rows, cols]))
    subset, inner, _, mask = k_hop_subgraph(
        seeds, k, edge_index, relabel_nodes=True, num_nodes=num, flow="target_to_source"
    )
    nodes = khop.k_hop_nodes(indptr, indices, seeds, k)
    assert nodes.tolist() == subset.tolist()
    slots, sources, targets = khop.induced_edges(indptr, indices, nodes)
    assert sorted(perm[slots].tolist()) == mask.nonzero().flatten().tolist()
    assert sorted(zip(sources.tolist(), targets.tolist(), strict=True)) == sorted(map(tuple, inner.T.tolist()))


def test_few_and_many_nodes_come_out_sorted():
    """A small result is sorted, a large one is read off the marks: the same order either way."""
    indptr, indices = build([(0, 99), (99, 50), (50, 1), *((1, node) for node in range(2, 60))], 100)
    assert khop.k_hop_nodes(indptr, indices, [0], 3).tolist() == [0, 1, 50, 99]
    assert khop.k_hop_nodes(indptr, indices, [0], 4).tolist() == [*range(60), 99]


def test_a_long_path_counts_every_hop():
    num = 70_000
    indptr, indices, _ = csr.from_coo(np.arange(num - 1), np.arange(1, num), num, num)
    distance = khop.k_hop_distance(indptr, indices, [0], khop.MAX_HOPS)
    assert distance.max() == distance[khop.MAX_HOPS] == khop.MAX_HOPS
    assert (distance[khop.MAX_HOPS + 1 :] == -1).all()


def test_the_walk_follows_the_direction_of_the_rows():
    indptr, indices = build([(0, 1), (1, 2)])
    assert khop.k_hop_nodes(indptr, indices, [2], 5).tolist() == [2]
    assert khop.k_hop_nodes(*csr.transpose(indptr, indices, N)[:2], [2], 5).tolist() == [0, 1, 2]


def test_empty_isolated_looped_and_repeated():
    empty = np.zeros(1, np.int64), np.zeros(0, np.int64)
    assert khop.k_hop_nodes(*empty, [], 2).tolist() == khop.k_hop_distance(*empty, [], 2).tolist() == []
    assert [part.tolist() for part in khop.induced_edges(*empty, [])] == [[], [], []]
    graph = build([(1, 1), (1, 1), (1, 3)])
    assert khop.k_hop_nodes(*graph, [0, 0], 3).tolist() == [0]
    assert khop.k_hop_nodes(*graph, [], 3).tolist() == []
    assert khop.k_hop_nodes(*graph, [1], 3).tolist() == [1, 3]
    assert [part.tolist() for part in khop.induced_edges(*graph, [0, 1])] == [[0, 1], [1, 1], [1, 1]]


@pytest.mark.parametrize("walk", [khop.k_hop_nodes, khop.k_hop_distance])
@pytest.mark.parametrize(
    ("indices", "seeds", "k", "message"),
    [
        ([1, 0], [2], 1, r"seeds must lie in \[0, 2\) \(got 2"),
        ([1, 0], [0], -1, r"k must lie in \[0, 32766\] \(got -1\)"),
        ([1, 0], [0], 40_000, r"k must lie in \[0, 32766\] \(got 40000\)"),
        ([1, 7], [0], 2, r"rows of a square CSR \(got 7 in slot 1\)"),
        ([1, -1], [0], 2, r"rows of a square CSR \(got -1 in slot 1\)"),
    ],
)
def test_what_a_walk_refuses(walk, indices, seeds, k, message):
    with pytest.raises(ValueError, match=message):
        walk([0, 1, 2], indices, seeds, k)


@pytest.mark.parametrize(
    ("indices", "nodes", "message"),
    [
        ([1, 0], [1, 0], r"sorted and distinct \(got 1 then 0\)"),
        ([1, 0], [1, 1], r"sorted and distinct \(got 1 then 1\)"),
        ([1, 0], [0, 2], r"nodes must lie in \[0, 2\) \(got 2"),
        ([1, 7], [0, 1], r"rows of a square CSR \(got 7 in slot 1\)"),
    ],
)
def test_what_induced_edges_refuses(indices, nodes, message):
    with pytest.raises(ValueError, match=message):
        khop.induced_edges([0, 1, 2], indices, nodes)
