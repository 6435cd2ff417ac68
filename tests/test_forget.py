"""Requests resolved on graphs: what goes, what stays, and that nothing shifts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from tests.small import both_ways, edges_of, graphs, snapshot

KINDS = ["edge", "node", "feature", "label"]


@st.composite
def requests(draw, kinds=KINDS):
    """A graph with a mixed request that leaves something."""
    graph = draw(graphs())
    parts, size = {}, graph.num_nodes
    for kind in draw(st.lists(st.sampled_from(kinds), min_size=1, unique=True)):
        limit = graph.num_edges if kind == "edge" else size
        ids = draw(st.lists(st.integers(0, limit - 1), min_size=1, max_size=3, unique=True))
        parts[kind] = graph.edge_index[:, ids] if kind == "edge" and draw(st.booleans()) else torch.tensor(ids)
    gone, nodes = forgotten_edges(graph, parts), set(parts.get("node", torch.tensor([])).tolist())
    labels = set(parts.get("label", torch.tensor([])).tolist())
    assume(set(edges_of(graph.edge_index)) - gone)
    assume(len(nodes | labels) < size)
    assume(len(nodes | set(parts.get("feature", torch.tensor([])).tolist())) < size)
    return graph, ForgetRequest(parts)


def forgotten_edges(graph, parts):
    """The plain definition: named edges, their twins, and what touches a forgotten node."""
    named = parts.get("edge", torch.zeros(2, 0, dtype=torch.int64))
    named = graph.edge_index[:, named] if named.dim() == 1 else named
    named = both_ways(named) if graph.undirected else set(edges_of(named))
    nodes = set(parts.get("node", torch.tensor([])).tolist())
    return {edge for edge in edges_of(graph.edge_index) if edge in named or set(edge) & nodes}


@given(requests(["edge", "node", "label"]))
def test_forget_and_retain_partition_the_edges(world):
    graph, request = world
    forget, retain = graph.partition(request.parts)
    assert edges_of(forget.edge_index) + edges_of(retain.edge_index) == edges_of(graph.edge_index)
    assert set(edges_of(forget.edge_index)) == forgotten_edges(graph, request.parts)
    for part in (forget, retain):  # attributes travel with their edge
        assert part.edge_attrs["weight"].equal(part.edge_index[0] * 100.0 + part.edge_index[1])


@given(requests())
def test_no_forgotten_edge_is_retained_in_either_direction(world):
    graph, request = world
    retain = ForgetSplit.of(graph, request, graph).retain
    gone = forgotten_edges(graph, request.parts)
    if graph.undirected:
        assert not both_ways(retain.edge_index) & gone
        retain.validate()  # twins are closed on both sides
    assert not set(edges_of(retain.edge_index)) & gone


@given(requests())
def test_ids_never_shift_and_the_data_is_untouched(world):
    graph, request = world
    before, ids = snapshot(graph), {kind: value.clone() for kind, value in request.parts.items()}
    split = ForgetSplit.of(graph, request, graph)
    for part in (split.forget, split.retain, split.held_out):
        assert part.size == graph.size
        assert part.x.shape == graph.x.shape
        assert part.y.shape == graph.y.shape
    assert split.data is graph
    assert all(before[name].equal(value) for name, value in snapshot(graph).items())
    assert all(ids[kind].equal(value) for kind, value in request.parts.items())


@given(requests())
def test_nodes_go_with_edges_features_and_labels(world):
    graph, request = world
    forget, retain = graph.partition(request.parts)
    nodes = set(request.parts.get("node", torch.tensor([])).tolist())
    for v in range(graph.num_nodes):
        gone = v in nodes
        assert bool(retain.removed is not None and retain.removed[v]) == gone
        if gone:
            assert not retain.x[v].any()
            assert retain.y[v] == -1
            assert v not in retain.nodes()
            assert v in forget.nodes()
        assert forget.x[v].equal(graph.x[v])  # the old values
        assert forget.y[v] == graph.y[v]


@given(requests())
def test_values_go_and_their_rows_stay(world):
    graph, request = world
    _, retain = graph.partition(request.parts)
    nodes = set(request.parts.get("node", torch.tensor([])).tolist())
    masked = set(request.parts.get("feature", torch.tensor([])).tolist())
    unlabelled = set(request.parts.get("label", torch.tensor([])).tolist())
    for v in set(range(graph.num_nodes)) - nodes:
        assert retain.x[v].equal(torch.zeros(3) if v in masked else graph.x[v])
        assert retain.y[v] == (-1 if v in unlabelled else graph.y[v])
        assert bool((retain.nodes() == v).any()) == (v not in unlabelled)


@given(graphs(), st.data())
def test_a_feature_request_keeps_every_edge_and_asks_about_those_at_the_node(graph, data):
    node, column = data.draw(st.integers(0, graph.num_nodes - 1)), data.draw(st.integers(0, 2))
    forget, retain = graph.partition({"feature": torch.tensor([[node, column]])})
    assert retain.edge_index.equal(graph.edge_index)
    changed = retain.x != graph.x
    assert changed.nonzero().tolist() == [[node, column]]
    assert retain.x[node, column] == 0
    assert retain.removed is None
    assert forget.nodes().tolist() == [node]
    assert set(edges_of(forget.edge_index)) == {edge for edge in edges_of(graph.edge_index) if node in edge}


@given(requests())
def test_untouched_and_gone_are_the_two_differences(world):
    graph, request = world
    split = ForgetSplit.of(graph, request, graph)
    forget, retain = edges_of(split.forget.edge_index), edges_of(split.retain.edge_index)
    assert edges_of(split.untouched.edge_index) == retain - forget
    assert edges_of(split.gone.edge_index) == forget - retain
    assert not set(split.untouched.nodes().tolist()) & set(split.forget.nodes().tolist())
    assert set(split.gone.nodes().tolist()) == set(split.forget.nodes().tolist()) - set(split.retain.nodes().tolist())
    if request.kinds == ("feature",):
        assert split.gone.num_edges == 0
        assert len(split.gone.nodes()) == 0


@given(requests())
def test_a_sequence_ends_at_the_same_graph_as_one_shot(world):
    graph, request = world
    once = ForgetSplit.of(graph, request, graph)
    split = None
    for kind in ("edge", "feature", "label", "node"):  # nodes last: what goes with them cannot be asked for again
        if kind in request.parts:
            part = ForgetRequest({kind: request.parts[kind]})
            split = ForgetSplit.of(graph, part, graph) if split is None else split.then(part)
    for name, value in snapshot(once.retain).items():
        assert snapshot(split.retain)[name].equal(value), name
    for name, value in snapshot(once.held_out).items():
        assert snapshot(split.held_out)[name].equal(value), name


def test_what_is_gone_cannot_be_forgotten_again():
    graph = Graph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), 5, features={"x": torch.ones(5, 1)})
    split = ForgetSplit.of(graph, ForgetRequest.of("node", [1]), graph)
    with pytest.raises(InputError, match="node 1 was forgotten"):
        split.then(ForgetRequest.of("node", [1, 3]))
    with pytest.raises(InputError, match=r"\(0, 1\)"):
        split.then(ForgetRequest.of("edge", [[0], [1]]))
    with pytest.raises(InputError, match="node 1 was forgotten"):
        split.then(ForgetRequest.of("feature", [1]))


@given(requests(), st.integers(0, 10**6))
def test_the_held_out_part_is_scrubbed(world, seed):
    graph, request = world
    rng = torch.Generator().manual_seed(seed)
    some = torch.randint(graph.num_nodes, (2, 8), generator=rng)
    view = replace(graph, edge_index=torch.cat([some, graph.edge_index], dim=1), edge_attrs={}, negatives=some.flip(0))
    held_out = ForgetSplit.of(graph, request, replace(view, undirected=False)).held_out
    nodes = request.parts.get("node", torch.tensor([], dtype=torch.int64))
    labels = request.parts.get("label", torch.tensor([], dtype=torch.int64))
    features = request.parts.get("feature", torch.tensor([], dtype=torch.int64))
    left = set(edges_of(held_out.edge_index))
    assert not left & {edge[::way] for edge in forgotten_edges(graph, request.parts) for way in (1, -1)}
    assert not torch.isin(held_out.edge_index, nodes).any()
    assert not torch.isin(held_out.negatives, nodes).any()
    assert not held_out.x[torch.cat([nodes, features])].any()
    assert (held_out.y[torch.cat([nodes, labels])] == -1).all()
    assert not torch.isin(held_out.nodes(), torch.cat([nodes, labels])).any()
    untouched = [e for e in edges_of(view.edge_index) if not set(e) & set(nodes.tolist())]
    assert {e for e in untouched if not {e, e[::-1]} & forgotten_edges(graph, request.parts)} <= left


def test_a_forgotten_class_is_gone_from_the_held_out_part_too():
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    whole = Graph.from_edges(torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]), 6, features={"x": torch.ones(6, 1)}, y=y)
    train, val = torch.tensor([1, 1, 1, 0, 0, 0]).bool(), torch.tensor([0, 0, 0, 1, 1, 1]).bool()
    data = replace(whole, node_mask=train, y=y.masked_fill(~train, -1))
    held_out = replace(whole, node_mask=val, y=y.masked_fill(~val, -1))
    split = ForgetSplit.of(data, ForgetRequest.of("node_class", [1]), held_out)
    assert split.forget.nodes().tolist() == [1]
    assert 4 not in split.held_out.nodes().tolist()


def test_classes_of_nodes_and_edges_resolve_by_label_and_relation():
    edges = torch.tensor([[0, 1, 2, 3, 1, 2, 3, 4], [1, 2, 3, 4, 0, 1, 2, 3]])
    kind = torch.tensor([7, 8, 8, 9, 7, 8, 8, 9])
    y = torch.tensor([0, 0, 1, 1, 2])
    graph = Graph(edges, (5, 5), undirected=True, edge_attrs={"type": kind}, y=y)
    forget, _ = graph.partition({"edge_class": torch.tensor([8])})
    assert both_ways(forget.edge_index) == {(1, 2), (2, 1), (2, 3), (3, 2)}
    forget, _ = graph.partition({"edge_class": torch.tensor([[1, 0]])})
    assert set(edges_of(forget.edge_index)) == {(1, 2), (2, 1)}
    forget, retain = graph.partition({"node_class": torch.tensor([1])})
    assert retain.removed.tolist() == [False, False, True, True, False]
    assert set(edges_of(retain.edge_index)) == {(0, 1), (1, 0)}
    assert forget.num_edges == 6


def test_an_edge_is_named_by_either_direction_of_an_undirected_graph():
    graph = Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4)
    one, other = (graph.partition({"edge": torch.tensor(pair)}) for pair in ([[1], [2]], [[2], [1]]))
    assert one[1].edge_index.equal(other[1].edge_index)
    assert one[0].num_edges == 2


@given(st.sampled_from(["node", "edge", "feature"]), st.integers(1, 7), st.integers(7, 20))
def test_batches_partition_a_request_in_order(kind, count, size):
    ids = torch.arange(size) if kind == "node" else torch.stack([torch.arange(size), torch.arange(size) + 1])
    request = ForgetRequest({kind: ids.T if kind == "feature" else ids})
    pieces = [batch.parts[kind] for batch in request.batches(count)]
    assert torch.cat(pieces, dim=1 if kind == "edge" else 0).equal(request.parts[kind])
    sizes = [piece.shape[1 if kind == "edge" else 0] for piece in pieces]
    assert len(sizes) == count
    assert max(sizes) - min(sizes) <= 1


def test_batches_refuse_what_would_shift_or_be_empty():
    with pytest.raises(InputError, match="columns shift"):
        ForgetRequest.of("edge", [3, 4]).batches(2)
    with pytest.raises(InputError, match=r"\[1, 2\] \(got 3\)"):
        ForgetRequest.of("node", [3, 4]).batches(3)
    with pytest.raises(InputError, match="one kind"):
        (ForgetRequest.of("node", [3]) + ForgetRequest.of("label", [4])).batches(1)


def test_requests_add_up():
    total = ForgetRequest.of("node", [1]) + ForgetRequest.of("feature", [2]) + ForgetRequest.of("node", [3])
    assert total.kinds == ("feature", "node")
    assert total.parts["node"].tolist() == [1, 3]
    with pytest.raises(InputError, match=r"unique \(got 1 "):
        total + ForgetRequest.of("node", [1])
    with pytest.raises(InputError, match="different forms"):
        ForgetRequest.of("edge", [1]) + ForgetRequest.of("edge", [[1], [2]])


def test_digests_tell_requests_apart():
    requests = [
        ForgetRequest.of("node", [1, 2]),
        ForgetRequest.of("node", [1, 3]),
        ForgetRequest.of("feature", [1, 2]),
        ForgetRequest.of("edge", [[1], [2]]),
        ForgetRequest.of("edge", [1, 2]),
        ForgetRequest.of("node", [1]) + ForgetRequest.of("feature", [2]),
    ]
    assert len({request.digest for request in requests}) == len(requests)
    assert ForgetRequest.of("node", [1, 2]).digest == requests[0].digest
    assert (ForgetRequest.of("feature", [2]) + ForgetRequest.of("node", [1])).digest == requests[-1].digest


def test_the_digest_of_a_later_request_depends_on_the_earlier_ones():
    graph = Graph.from_edges(torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), 5, features={"x": torch.ones(5, 1)})
    first, second = ForgetRequest.of("node", [0]), ForgetRequest.of("node", [4])
    later = ForgetSplit.of(graph, first, graph).then(second)
    alone = ForgetSplit.of(graph, second, graph)
    assert later.digest != alone.digest  # a cached gold of the one must not pass for a gold of the other


WORLD = Graph.from_edges(
    torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]),
    6,
    features={"x": torch.arange(12.0).view(6, 2)},
    y=torch.tensor([0, 1, 2, 0, 1, -1]),
)


@pytest.mark.parametrize(
    ("kind", "ids", "message"),
    [
        ("node", [2, 99], r"node ids must lie in \[0, 6\) \(got 99\)"),
        ("node", [-1], r"\(got -1\)"),
        ("node", [2, 4, 2], r"unique \(got 2 more than once\)"),
        ("node", [], "empty"),
        ("node", list(range(6)), "covers everything"),
        ("node", [[1, 2]], r"shape \[n\]"),
        ("edge", [[0], [5]], r"do not exist.*\(0, 5\)"),
        ("edge", [[0, 0], [1, 1]], r"unique \(got \[0, 1\]"),
        ("edge", [[0], [9]], r"\[0, 6\) \(got 9\)"),
        ("edge", [99], r"\[0, 10\) \(got 99\)"),
        ("edge", [[0, 1], [1, 2], [2, 3]], r"pairs \[2, n\] \(got \[3, 2\]\)"),
        ("edge", list(range(10)), "covers everything"),
        ("edge", [], "empty"),
        ("feature", [7], r"\(got 7\)"),
        ("feature", [[1, 2]], r"feature column ids must lie in \[0, 2\) \(got 2\)"),
        ("feature", [[1, 0], [1, 0]], r"unique \(got \[1, 0\]"),
        ("feature", list(range(6)), "covers everything"),
        ("label", [5], "node 5 has no label"),
        ("label", [0, 1, 2, 3, 4], "covers everything"),
        ("node_class", [9], r"label 9; known labels: \[0, 1, 2\]"),
        ("node_class", [-1], "label -1"),
        ("node_class", [0, 1, 2], "covers everything"),
        ("edge_class", [1], 'edge_attrs\\["type"\\]'),
        ("edge_class", [[0, 9]], r"\[\[0, 9\]\]"),
        ("edge_class", [[0, 1], [1, 2], [2, 0], [1, -1]], "covers everything"),
    ],
)
def test_a_bad_request_is_refused_with_its_value_and_changes_nothing(kind, ids, message):
    before = snapshot(WORLD)
    with pytest.raises(InputError, match=message):
        ForgetSplit.of(WORLD, ForgetRequest.of(kind, ids), WORLD)
    assert all(before[name].equal(value) for name, value in snapshot(WORLD).items())


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.tensor([0.0, 1.0]), "integers.*float32"),
        (torch.tensor([False, True]), "nonzero"),  # as ids it would silently mean nodes 0 and 1
        (torch.tensor(3), r"shape.*\[\]"),
    ],
)
def test_ids_that_are_no_ids_are_refused(ids, message):
    with pytest.raises(InputError, match=message):
        ForgetRequest.of("node", ids)


def test_an_empty_request_and_an_unknown_kind_are_refused():
    with pytest.raises(InputError, match="empty"):
        ForgetRequest({})
    with pytest.raises(UnknownName, match="did you mean 'node'"):
        ForgetSplit.of(WORLD, ForgetRequest.of("nodes", [1]), WORLD)
    with pytest.raises(InputError, match="no labels"):
        ForgetSplit.of(replace(WORLD, y=None), ForgetRequest.of("label", [1]), WORLD)
    with pytest.raises(InputError, match="no node features"):
        ForgetSplit.of(replace(WORLD, features={}), ForgetRequest.of("feature", [1]), WORLD)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"features": {"x": torch.full((6, 2), torch.nan)}}, "NaN"),
        ({"edge_index": WORLD.edge_index[:, 1:], "edge_attrs": {}}, "no twin"),
        ({"size": (4, 4)}, r"\[0, 4\)"),
    ],
)
def test_a_broken_graph_is_refused_before_anything_is_resolved(fields, message):
    with pytest.raises(InputError, match=message):
        ForgetSplit.of(replace(WORLD, **fields), ForgetRequest.of("node", [3]), WORLD)


def test_a_node_of_a_bipartite_graph_is_a_user_or_an_item_never_both():
    graph = Graph(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), (3, 4), bipartite=True)
    _, retain = graph.partition({"node": torch.tensor([1])})  # user 1
    assert edges_of(retain.edge_index) == Counter([(0, 1), (2, 1)])
    _, retain = graph.partition({"node": torch.tensor([3 + 1])})  # item 1: items follow the users
    assert edges_of(retain.edge_index) == Counter([(1, 0), (1, 2)])
