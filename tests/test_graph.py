"""The data layer: construction, views, lookups and the checks at the door."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphforget.errors import InputError
from graphforget.graph import Graph
from tests.small import both_ways, edges_of, graphs, snapshot

EDGES = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6))), st.booleans())
def test_from_edges_keeps_each_edge_once_and_closes_twins(pairs, undirected):
    given_edges = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).T
    graph = Graph.from_edges(given_edges, 7, undirected=undirected)
    wanted = {(u, v) for u, v in pairs if u != v}
    wanted |= {(v, u) for u, v in wanted} if undirected else set()
    assert edges_of(graph.edge_index) == dict.fromkeys(wanted, 1)
    assert graph.validate() is graph


@pytest.mark.parametrize("bad", [7, -1])
def test_from_edges_names_an_id_out_of_range(bad):
    with pytest.raises(InputError, match=rf"\[0, 7\) \(got {bad}\)"):
        Graph.from_edges(torch.tensor([[0, 1], [2, bad]]), 7)


@given(graphs())
def test_lookups_agree_with_a_set(graph):
    size = graph.num_nodes
    every = torch.cartesian_prod(torch.arange(size), torch.arange(size)).T
    known = edges_of(graph.edge_index)
    columns = graph.locate(every)
    for (u, v), column in zip(every.T.tolist(), columns.tolist(), strict=True):
        if (u, v) in known:
            assert graph.edge_index[:, column].tolist() == [u, v]
        else:
            assert column == -1
    assert graph.has_edges(every).equal(columns >= 0)


@given(graphs())
def test_csr_holds_the_edges_in_sorted_rows_and_points_back(graph):
    indptr, indices, perm = graph.csr
    rows = np.repeat(np.arange(graph.num_nodes), np.diff(indptr))
    assert np.array_equal(graph.edge_index[:, torch.from_numpy(perm)].numpy(), np.stack([rows, indices]))
    assert all(np.all(np.diff(indices[a:b]) >= 0) for a, b in pairwise(indptr))
    assert graph.degree.tolist() == np.diff(indptr).tolist()


@given(graphs())
def test_pairs_name_each_edge_once(graph):
    once = edges_of(graph.pairs())
    assert max(once.values()) == 1
    assert both_ways(graph.pairs()) == both_ways(graph.edge_index)
    assert len(once) == graph.num_edges / (2 if graph.undirected else 1)


@given(graphs(), st.data())
def test_non_edges_avoid_both_directions_and_leave_out_removed_nodes(graph, data):
    gone = data.draw(st.sets(st.integers(0, graph.num_nodes - 1), max_size=2))
    removed = torch.zeros(graph.num_nodes, dtype=torch.bool)
    removed[list(gone)] = True
    indptr, indices, ids = replace(graph, removed=removed).non_edges
    found = {(int(ids[u]), int(ids[v])) for u in range(len(ids)) for v in indices[indptr[u] : indptr[u + 1]]}
    assert found == {(u, v) for u, v in both_ways(graph.edge_index) if not {u, v} & gone}
    assert set(ids.tolist()) == set(range(graph.num_nodes)) - gone


@given(graphs(), st.data())
def test_unlinked_takes_the_edges_their_twins_and_their_attributes(graph, data):
    columns = data.draw(st.lists(st.integers(0, graph.num_edges - 1), min_size=1, unique=True))
    chosen = graph.edge_index[:, columns]
    gone = both_ways(chosen) if graph.undirected else set(edges_of(chosen))
    before = snapshot(graph)
    left = graph.unlinked(chosen)
    assert edges_of(left.edge_index) == {edge: 1 for edge in edges_of(graph.edge_index) if edge not in gone}
    assert left.edge_attrs["weight"].equal(left.edge_index[0] * 100.0 + left.edge_index[1])
    assert all(before[name].equal(value) for name, value in snapshot(graph).items())


def test_a_mask_takes_parallel_edges_as_well():
    graph = Graph(torch.tensor([[0, 0, 1, 0], [1, 2, 2, 1]]), (3, 3))
    assert graph.edge_mask(torch.tensor([[0], [1]])).tolist() == [True, False, False, True]


def test_an_absent_edge_is_named():
    graph = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
    with pytest.raises(InputError, match=r"1 of the edges do not exist in the graph \(first: \[\(0, 2\)\]\)"):
        graph.unlinked(torch.tensor([[0, 0], [1, 2]]))
    with pytest.raises(InputError, match=r"\(1, 0\)"):
        Graph(torch.tensor([[0], [1]]), (2, 2)).edge_mask(torch.tensor([[1], [0]]))


@given(graphs(), st.data())
def test_without_is_the_difference_of_edges_and_nodes(graph, data):
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=graph.num_edges, max_size=graph.num_edges)))
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=graph.num_nodes, max_size=graph.num_nodes)))
    rest = graph.without(graph.with_edges(keep.bool(), node_mask=mask))
    assert edges_of(rest.edge_index) == edges_of(graph.edge_index[:, ~keep.bool()])
    assert rest.nodes().tolist() == (~mask).nonzero().flatten().tolist()


def test_a_view_on_the_same_device_is_the_same_object():
    graph = Graph(EDGES, (3, 3))
    assert graph.to("cpu") is graph
    graph = replace(graph, features={"x": torch.ones(3, 1)}, edge_attrs={"w": torch.ones(4)}, y=torch.ones(3))
    moved = graph.to("meta")
    assert {moved.edge_index.device.type, moved.x.device.type, moved.edge_attrs["w"].device.type} == {"meta"}
    assert moved.y.device.type == "meta"


def test_a_frozen_graph_refuses_assignment():
    with pytest.raises(AttributeError):
        Graph(EDGES, (3, 3)).edge_index = EDGES


def test_a_bipartite_graph_counts_both_sides_and_is_never_inferred():
    graph = Graph(torch.tensor([[0, 1], [4, 4]]), (2, 5), bipartite=True).validate()
    assert graph.num_nodes == 7
    assert graph.pairs().equal(graph.edge_index)
    with pytest.raises(InputError, match=r"equal sizes \(got \(2, 5\)\)"):
        Graph(torch.tensor([[0, 1], [4, 4]]), (2, 5)).validate()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edge_index": torch.tensor([[0, 1], [1, 3]])}, r"target ids must lie in \[0, 3\) \(got 3\)"),
        ({"edge_index": torch.tensor([[-2, 1], [1, 2]])}, r"source ids must lie in \[0, 3\) \(got -2\)"),
        (
            {"edge_index": torch.tensor([[0, 1, 1], [1, 0, 2]]), "undirected": True},
            r"1 edges have no twin.*\(1, 2\) without \(2, 1\)",
        ),
        ({"features": {"x": torch.tensor([[0.0], [1.0], [torch.nan]])}}, r"'x'.*NaN.*row 2"),
        ({"features": {"x": torch.tensor([[0.0], [torch.inf], [1.0]])}}, r"infinity.*row 1"),
        ({"features": {"x": torch.ones(4, 2)}}, r"3 rows \(got 4\)"),
        ({"y": torch.zeros(2, dtype=torch.int64)}, r"y must have 3 entries \(got 2\)"),
        ({"node_mask": torch.ones(5, dtype=torch.bool)}, r"node_mask must have 3 entries \(got 5\)"),
        ({"removed": torch.ones(5, dtype=torch.bool)}, r"removed must have 3 entries \(got 5\)"),
    ],
)
def test_validate_says_what_is_wrong(fields, message):
    with pytest.raises(InputError, match=message):
        Graph(**({"edge_index": EDGES, "size": (3, 3)} | fields)).validate()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edge_index": EDGES.T}, r"shape \[2, E\] \(got \[4, 2\]\)"),
        ({"edge_index": EDGES.int()}, r"int64 \(got torch.int32\)"),
        ({"edge_attrs": {"weight": torch.ones(3)}}, r"'weight'.*4 rows \(got 3\)"),
    ],
)
def test_a_malformed_graph_cannot_be_built(fields, message):
    with pytest.raises(InputError, match=message):
        Graph(**({"edge_index": EDGES, "size": (3, 3)} | fields))


def test_missing_features_are_named():
    with pytest.raises(InputError, match="no node features"):
        _ = Graph(EDGES, (3, 3)).x
