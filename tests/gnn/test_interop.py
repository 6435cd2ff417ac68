"""Graphs of other packages in and out, against the real packages: what holds for all, PyG, and masks."""

from __future__ import annotations

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import Compose, RandomLinkSplit, ToSparseTensor, ToUndirected

from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.gnn.interop import (
    MarkForget,
    from_dgl,
    from_networkx,
    from_pyg,
    from_scipy,
    like,
    request_from_masks,
    to_dgl,
    to_graph,
    to_networkx,
    to_pyg,
    to_scipy,
)
from graphforget.graph import Graph
from tests.gnn.doors import bipartite, forget, path4, same
from tests.small import both_ways, edges_of, graphs, same_random_state, sbm

# --- every package


WAYS = {"pyg": (to_pyg, from_pyg), "networkx": (to_networkx, from_networkx), "dgl": (to_dgl, from_dgl)}


@pytest.mark.parametrize("way", WAYS)
@given(graph=graphs())
def test_there_and_back(way, graph):
    if way == "dgl":
        pytest.importorskip("dgl")
    out, back = WAYS[way]
    found = back(out(graph))
    if found.undirected != graph.undirected:  # a directed graph that happens to have every twin
        assert bool(graph.has_edges(graph.edge_index.flip(0)).all())
        found = replace(found, undirected=graph.undirected)
    if way == "networkx" and graph.undirected:  # one weight an edge there
        graph, found = replace(graph, edge_attrs={}), replace(found, edge_attrs={})
    assert same(found, graph)


@given(graph=graphs())
def test_scipy_there_and_back(graph):
    found = from_scipy(to_scipy(graph))
    assert edges_of(found.edge_index) == edges_of(graph.edge_index)
    assert to_scipy(found).toarray().tolist() == to_scipy(graph).toarray().tolist()


@pytest.mark.parametrize("kind", ["pyg", "hetero", "networkx", "digraph", "csr", "coo_array", "dgl"])
def test_like_gives_back_the_same_kind_without_the_forgotten(kind):
    graph = Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4)
    hetero = HeteroData()
    hetero["n"].num_nodes, hetero["n", "to", "n"].edge_index = 4, graph.edge_index
    if kind == "dgl":
        pytest.importorskip("dgl")
    original = {
        "pyg": lambda: to_pyg(graph),
        "hetero": lambda: hetero,
        "networkx": lambda: to_networkx(graph),
        "digraph": lambda: nx.DiGraph([(0, 1), (1, 2), (2, 3)]),
        "csr": lambda: to_scipy(graph).astype(bool),
        "coo_array": lambda: sp.coo_array(to_scipy(graph).astype(np.float64) * 2),
        "dgl": lambda: to_dgl(graph),
    }[kind]()
    whole = to_graph(original)
    result = like(original, forget(whole, edge=[[1], [2]]))
    assert type(result) is type(original)
    again = to_graph(result)
    assert again.size == whole.size == (4, 4)
    assert both_ways(again.edge_index) == both_ways(torch.tensor([[0, 2], [1, 3]]))
    assert both_ways(to_graph(original).edge_index) == both_ways(graph.edge_index)  # untouched
    if kind.startswith("c"):
        assert (result.format, result.dtype) == (original.format, original.dtype)
        assert set(result.tocsr().data.tolist()) <= {True, 2.0}
    assert same(to_graph(like(original, whole)), whole)


def test_like_of_a_graph_and_of_a_file_is_the_graph(tmp_path):
    graph = sbm()
    assert like(graph, graph) is graph
    assert like(tmp_path / "edges.csv", graph) is graph


def test_another_kind_is_refused():
    with pytest.raises(InputError, match="got list"):
        to_graph([[0, 1]])
    with pytest.raises(InputError, match="no way back to list"):
        like([[0, 1]], sbm())


@pytest.mark.parametrize("original", [path4(), nx.path_graph(4), sp.eye(4)])
def test_a_graph_of_other_nodes_is_refused(original):
    with pytest.raises(InputError, match="same nodes"):
        like(original, sbm())


def test_bad_graphs_are_refused_at_the_door():
    with pytest.raises(InputError, match="NaN"):
        to_graph(Data(x=torch.full((2, 1), torch.nan), edge_index=torch.tensor([[0], [1]])))
    with pytest.raises(InputError, match="must lie in"):
        to_graph(Data(edge_index=torch.tensor([[0], [5]]), num_nodes=2))
    with pytest.raises(InputError, match="adj_t"):
        to_graph(ToSparseTensor(layout=torch.sparse_csr)(path4()))


# --- PyG


def test_pyg_attributes_masks_and_labels():
    data = path4(
        edge_weight=torch.arange(6.0), edge_attr=torch.ones(6, 3), train_mask=torch.tensor([1, 1, 0, 0]).bool()
    )
    data.edge_type, data.y = torch.arange(6) % 2, data.y[:, None]
    graph = from_pyg(data)
    assert set(graph.edge_attrs) == {"weight", "attr", "type"}
    assert graph.y.tolist() == [0, 1, 0, 1]
    assert graph.node_mask.tolist() == [True, True, False, False]
    assert graph.undirected
    assert from_pyg(Data(y=torch.rand(2), edge_index=torch.tensor([[0], [1]]), num_nodes=2)).y is None
    assert not from_pyg(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)).undirected


def test_like_data_carries_everything_over_and_clears_forgotten_nodes():
    data = path4(
        edge_weight=torch.arange(6.0),
        pos=torch.ones(4, 3),
        train_mask=torch.tensor([1, 1, 1, 0]).bool(),
        test_mask=torch.tensor([0, 0, 1, 1]).bool(),
        name="mine",
        ids=torch.arange(4),
    )
    before = {key: value.clone() for key, value in data.items() if isinstance(value, torch.Tensor)}
    result = like(data, forget(from_pyg(data), node=[2]))
    assert result.edge_index.tolist() == [[0, 1], [1, 0]]
    assert result.edge_weight.tolist() == [0, 1]
    assert result.x.tolist() == [[1, 2], [3, 4], [0, 0], [7, 8]]
    assert result.y.tolist() == [0, 1, -1, 1]
    assert result.pos.tolist() == [[1] * 3, [1] * 3, [0] * 3, [1] * 3]
    assert result.train_mask.tolist() == [True, True, False, False]
    assert result.test_mask.tolist() == [False, False, False, True]
    assert (result.name, result.ids.tolist(), result.num_nodes) == ("mine", [0, 1, 2, 3], 4)
    assert all(data[key].equal(value) for key, value in before.items())


def test_the_number_of_nodes_is_kept_when_it_was_guessed():
    data = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
    result = like(data, forget(from_pyg(data), edge=[[1], [2]]))
    assert result.num_nodes == 3


def test_forgotten_edges_leave_the_edge_labels_as_well():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        train, _, _ = RandomLinkSplit(is_undirected=True, num_val=0.1, num_test=0.1)(to_pyg(sbm()))
    pair = train.edge_label_index[:, :1]
    assert int(train.edge_label[0]) == 1
    result = like(train, forget(from_pyg(train), edge=pair.tolist()))
    left = both_ways(result.edge_label_index)
    assert (int(pair[0]), int(pair[1])) not in left
    assert result.edge_label.shape[0] == result.edge_label_index.shape[1] == train.edge_label.shape[0] - 1
    assert set(from_pyg(train).edge_attrs) == set()
    gone = like(train, forget(from_pyg(train), node=[int(pair[0])]))
    assert int(pair[0]) not in gone.edge_label_index.flatten().tolist()


def shop(mirror: bool = False) -> HeteroData:
    data = HeteroData()
    data["user"].x, data["item"].x = torch.ones(2, 4), torch.ones(3, 2)
    data["item"].image = torch.rand(3, 5)
    data["user", "buys", "item"].edge_index = torch.tensor([[0, 0, 1], [0, 2, 1]])
    data["user", "buys", "item"].edge_weight = torch.tensor([1.0, 2, 3])
    return ToUndirected()(data) if mirror else data


@pytest.mark.parametrize("mirror", [False, True])
def test_a_user_item_heterodata(mirror):
    data = shop(mirror)
    graph = from_pyg(data)
    assert (graph.bipartite, graph.undirected, graph.size) == (True, False, (2, 3))
    assert graph.edge_index.tolist() == [[0, 0, 1], [0, 2, 1]]
    assert {name: value.shape[1] for name, value in graph.features.items()} == {"item": 2, "image": 5}
    result = like(data, forget(graph, edge=[[0], [2]]))
    assert result["user", "buys", "item"].edge_index.tolist() == [[0, 1], [0, 1]]
    assert result["user", "buys", "item"].edge_weight.tolist() == [1, 3]
    if mirror:
        assert result["item", "rev_buys", "user"].edge_index.tolist() == [[0, 1], [0, 1]]
        assert result["item", "rev_buys", "user"].edge_weight.tolist() == [1, 3]
    gone = like(data, forget(graph, node=[3]))  # items follow the users
    assert gone["item"].image[1].tolist() == [0] * 5
    assert gone["item"].num_nodes == 3
    assert data["user", "buys", "item"].edge_index.shape[1] == 3
    assert bool(data["item"].image[1].any())


def test_features_of_equal_width_are_one_x():
    data = shop()
    data["item"].x = torch.zeros(3, 4)
    assert from_pyg(data).x.shape == (5, 4)
    back = to_pyg(from_pyg(data))
    assert back["user"].x.shape == (2, 4)
    assert back["item"].image.equal(data["item"].image)
    assert same(from_pyg(to_pyg(bipartite())), bipartite())


def test_a_heterodata_of_one_node_type():
    data = HeteroData()
    plain = path4(train_mask=torch.tensor([1, 1, 1, 0]).bool())
    data["paper"].x, data["paper"].y, data["paper"].train_mask = plain.x, plain.y, plain.train_mask
    data["paper", "cites", "paper"].edge_index = plain.edge_index
    graph = from_pyg(data)
    assert same(graph, from_pyg(plain))
    result = like(data, forget(graph, node=[0]))
    assert result["paper"].y.tolist() == [-1, 1, 0, 1]
    assert result["paper"].x[0].tolist() == [0, 0]
    assert result["paper"].train_mask.tolist() == [False, True, True, False]
    assert result["paper", "cites", "paper"].edge_index.shape[1] == 4


def test_several_relations_are_refused():
    data = shop()
    data["user", "likes", "item"].edge_index = torch.tensor([[0], [0]])
    with pytest.raises(InputError, match="one relation"):
        from_pyg(data)
    crooked = shop(mirror=True)
    crooked["item", "rev_buys", "user"].edge_index = torch.tensor([[0], [0]])
    with pytest.raises(InputError, match="do not mirror"):
        from_pyg(crooked)


# --- masks


def test_marked_edges_and_nodes_become_the_request():
    with same_random_state():
        data = path4()
        marked = Compose([MarkForget(edges=[[2], [1]], nodes=[3])])(data)
        request = request_from_masks(marked)
    assert "edge_forget_mask" not in data
    assert marked.edge_forget_mask.tolist() == [False, False, True, True, False, False]
    assert marked.node_forget_mask.tolist() == [False, False, False, True]
    assert request.parts["edge"].tolist() == [[1], [2]]
    assert request.parts["node"].tolist() == [3]
    result = like(marked, ForgetSplit.of(from_pyg(marked), request, from_pyg(marked)).retain)
    assert "edge_forget_mask" not in result
    assert "node_forget_mask" not in result
    assert "edge_forget_mask" in marked
    assert repr(MarkForget(edges=[[2], [1]], nodes=[3])) == "MarkForget(1 edges, 1 nodes)"


def test_one_marked_direction_is_enough():
    data = path4(edge_forget_mask=torch.tensor([0, 0, 0, 1, 0, 0]).bool())
    assert request_from_masks(data).parts["edge"].tolist() == [[1], [2]]
    data.node_forget_mask = torch.zeros(4, dtype=torch.bool)
    assert request_from_masks(data).kinds == ("edge",)


@pytest.mark.parametrize(
    ("marks", "error"),
    [
        ({}, "nothing to forget"),
        ({"edge_forget_mask": torch.zeros(6, dtype=torch.bool)}, "empty"),
        (
            {"edge_forget_mask": torch.ones(5, dtype=torch.bool)},
            r"edge_forget_mask must be a bool tensor of shape \[6\]",
        ),
        (
            {"node_forget_mask": torch.ones(4)},
            r"node_forget_mask must be a bool tensor of shape \[4\] \(got torch.float32",
        ),
        ({"node_forget_mask": [True]}, "got list"),
    ],
)
def test_bad_masks_are_refused(marks, error):
    with pytest.raises(InputError, match=error):
        request_from_masks(path4(**marks))


@pytest.mark.parametrize(
    ("marks", "error"),
    [
        ({}, "nothing to mark"),
        ({"edges": [[0], [3]]}, "do not exist"),
        ({"edges": [[0], [9]]}, r"\[0, 4\)"),
        ({"nodes": [9]}, r"\[0, 4\)"),
        ({"nodes": [1, 1]}, "unique"),
    ],
)
def test_marks_that_do_not_fit_are_refused(marks, error):
    with pytest.raises(InputError, match=error):
        MarkForget(**marks)(path4())


def test_masks_of_a_heterodata():
    data = shop()
    data["user", "buys", "item"].edge_forget_mask = torch.tensor([False, True, False])
    data["item"].node_forget_mask = torch.tensor([False, True, False])
    request = request_from_masks(data)
    assert request.parts["edge"].tolist() == [[0], [2]]
    assert request.parts["node"].tolist() == [3]
    result = like(data, ForgetSplit.of(from_pyg(data), request, from_pyg(data)).retain)
    assert "node_forget_mask" not in result["item"]
    assert "edge_forget_mask" not in result["user", "buys", "item"]


def test_other_kinds_have_no_masks():
    with pytest.raises(InputError, match="nothing to forget"):
        request_from_masks(nx.path_graph(3))
