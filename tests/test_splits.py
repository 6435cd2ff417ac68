"""Splits without leaks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.splits import sample_negatives, split_edges, split_nodes
from tests.small import both_ways, edges_of, same_random_state, sbm, snapshot


def reciprocal() -> Graph:
    """A directed graph: a few edges have a reverse edge, one is there twice."""
    rng = torch.Generator().manual_seed(1)
    edges = torch.randint(30, (2, 150), generator=rng)
    edges = edges[:, edges[0] != edges[1]]
    return Graph(torch.cat([edges, edges[:, :40].flip(0), edges[:, :5]], dim=1), (30, 30))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("graph", [sbm(), reciprocal()], ids=["undirected", "directed"])
def test_edge_splits_leak_in_no_direction(graph, seed):
    before = snapshot(graph)
    train, val, test = split_edges(graph, val=0.1, test=0.2, seed=seed)
    parts = [both_ways(part.edge_index) for part in (train, val, test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert parts[0] | parts[1] | parts[2] == both_ways(graph.edge_index)
    assert train.undirected == graph.undirected
    train.validate()
    for view in (val, test):
        assert max(edges_of(view.edge_index).values()) == 1
        assert set(edges_of(view.edge_index)) <= set(edges_of(graph.edge_index))
    assert all(before[name].equal(value) for name, value in snapshot(graph).items())


@pytest.mark.parametrize("graph", [sbm(), reciprocal()], ids=["undirected", "directed"])
def test_held_out_negatives_are_non_edges_in_both_directions(graph):
    _, val, test = split_edges(graph, val=0.1, test=0.2, seed=3)
    for view in (val, test):
        assert view.negatives.shape == view.edge_index.shape
        assert not both_ways(view.negatives) & both_ways(graph.edge_index)
        assert (view.negatives[0] != view.negatives[1]).all()


def test_split_sizes_follow_the_shares():
    graph = sbm()
    count = graph.pairs().shape[1]
    train, val, test = split_edges(graph, val=0.1, test=0.2)
    assert (val.num_edges, test.num_edges) == (int(0.1 * count), int(0.2 * count))
    assert train.num_edges == 2 * (count - val.num_edges - test.num_edges)


@pytest.mark.parametrize("split", [split_edges, split_nodes])
def test_splits_follow_their_seed_alone(split):
    graph = sbm()
    with same_random_state():
        first = split(graph, seed=5)
    torch.rand(3)
    again, other = split(graph, seed=5), split(graph, seed=6)
    for a, b in zip(first, again, strict=True):
        assert all(value.equal(snapshot(b)[name]) for name, value in snapshot(a).items())
    key = "negatives" if split is split_edges else "node_mask"
    assert not getattr(first.test, key).equal(getattr(other.test, key))


def test_node_splits_are_disjoint_cover_the_labelled_and_hide_other_labels():
    graph = sbm()
    graph = replace(graph, y=graph.y.masked_fill(torch.arange(graph.num_nodes) < 6, -1))
    views = split_nodes(graph, seed=2)
    assert torch.stack([view.node_mask for view in views]).sum(0).tolist() == (graph.y >= 0).int().tolist()
    for view in views:
        assert view.y[view.node_mask].equal(graph.y[view.node_mask])
        assert (view.y[~view.node_mask] == -1).all()
        assert view.edge_index is graph.edge_index
    assert [int(view.node_mask.sum()) for view in views] == [39, 13, 14]


def test_drawn_negatives_avoid_both_graphs_removed_nodes_and_self_loops():
    graph = sbm(24, inside=0.5, between=0.2)
    removed = torch.zeros(24, dtype=torch.bool)
    removed[[3, 8]] = True
    keep = ~removed[graph.edge_index].any(0)
    context, gone = graph.with_edges(keep, removed=removed), graph.with_edges(torch.arange(0, graph.num_edges, 7))
    drawn = sample_negatives(context, 5000, seed=1, also=gone)
    assert drawn.shape == (2, 5000)
    assert not both_ways(drawn) & (both_ways(context.edge_index) | both_ways(gone.edge_index))
    assert not removed[drawn].any()
    assert (drawn[0] != drawn[1]).all()
    every = {(u, v) for u in range(24) for v in range(24) if u != v and u not in (3, 8) and v not in (3, 8)}
    allowed = every - both_ways(context.edge_index) - both_ways(gone.edge_index)
    assert set(edges_of(drawn)) == allowed  # 5000 draws reach each of the some 250 allowed pairs


def test_negatives_follow_their_seed():
    graph = sbm(24)
    assert sample_negatives(graph, 50, seed=4).equal(sample_negatives(graph, 50, seed=4))
    assert not sample_negatives(graph, 50, seed=4).equal(sample_negatives(graph, 50, seed=5))


def test_what_cannot_be_split_is_refused():
    graph = sbm(12)
    with pytest.raises(InputError, match=r"val=0.0, test=0.2"):
        split_edges(graph, val=0.0, test=0.2)
    with pytest.raises(InputError, match=r"val=0.5, test=0.5"):
        split_edges(graph, val=0.5, test=0.5)
    with pytest.raises(InputError, match=r"train=1\.0"):
        split_nodes(graph, train=1.0)
    with pytest.raises(InputError, match="no labels"):
        split_nodes(replace(graph, y=None))
    complete = Graph.from_edges(torch.combinations(torch.arange(4)).T, 4)
    with pytest.raises(InputError, match="no negatives can be drawn"):
        sample_negatives(complete, 1, seed=0)
