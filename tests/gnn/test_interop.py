"""Graphs of other packages in and out, against the real packages."""

from __future__ import annotations

import builtins
import copy
import gc
import gzip
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from torch import nn
from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import Compose, RandomLinkSplit, ToSparseTensor, ToUndirected

from graphforget.errors import InputError, MissingExtra
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.fresh import fresh
from graphforget.gnn import dgl_interop
from graphforget.gnn.interop import (
    DGLModule,
    MarkForget,
    from_dgl,
    from_edge_list,
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
from tests.small import both_ways, edges_of, equal_states, graphs, same_random_state, sbm, state


def path4(**more) -> Data:
    """0 - 1 - 2 - 3 with features and labels."""
    edges = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    return Data(x=torch.arange(1.0, 9).view(4, 2), edge_index=edges, y=torch.tensor([0, 1, 0, 1]), **more)


def forget(graph: Graph, **parts) -> Graph:
    """The retain part of a request."""
    request = ForgetRequest({kind: torch.tensor(ids) for kind, ids in parts.items()})
    return ForgetSplit.of(graph, request, graph).retain


def same(a: Graph, b: Graph) -> bool:
    def attrs(graph):
        rows = [tuple(column) for column in zip(*graph.edge_index.tolist(), strict=True)]
        values = [v.tolist() for _, v in sorted(graph.edge_attrs.items())]
        return sorted(zip(rows, *values, strict=True))

    return (
        (a.size, a.bipartite, a.undirected) == (b.size, b.bipartite, b.undirected)
        and attrs(a) == attrs(b)
        and a.features.keys() == b.features.keys()
        and all(a.features[name].equal(b.features[name]) for name in a.features)
        and (a.y is None) == (b.y is None)
        and (a.y is None or a.y.equal(b.y))
    )


def bipartite() -> Graph:
    image = torch.arange(6.0).view(3, 2)
    return Graph(torch.tensor([[0, 0, 1], [0, 2, 1]]), (2, 3), bipartite=True, features={"image": image})


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


# --- networkx


def test_networkx_names_and_attributes():
    named = nx.Graph()
    named.add_node("b", x=[1.0, 2], y=1, colour="red")
    named.add_node("a", x=[3.0, 4], y=0, colour="blue")
    named.add_node("c", x=[5.0, 6], y=1, colour="green")
    named.add_edge("a", "b", weight=0.5)
    named.add_edge("c", "c", weight=2.5)
    graph = from_networkx(named)
    assert edges_of(graph.edge_index) == edges_of(torch.tensor([[0, 1, 2], [1, 0, 2]]))
    assert graph.edge_attrs["weight"].tolist() == [0.5, 0.5, 2.5]
    assert graph.x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert graph.y.tolist() == [1, 0, 1]
    result = like(named, forget(graph, node=[1]))
    assert list(result.nodes) == ["b", "a", "c"]  # ids never shift
    assert result.nodes["a"] == {"x": [0, 0], "y": -1}
    assert result.nodes["b"] == {"x": [1.0, 2], "y": 1, "colour": "red"}
    assert list(result.edges) == [("c", "c")]
    assert named.nodes["a"]["colour"] == "blue"
    assert from_networkx(result).y.tolist() == [1, -1, 1]
    masked = like(named, forget(graph, feature=[[0, 1]]))
    assert masked.nodes["b"]["x"] == [1, 0]


def test_networkx_kinds():
    multi = nx.MultiDiGraph([(0, 1), (0, 1), (1, 0)])
    graph = from_networkx(multi)
    assert (graph.num_edges, graph.undirected) == (3, False)
    assert type(to_networkx(graph)) is nx.MultiDiGraph
    assert list(like(multi, forget(graph, edge=[[0], [1]])).edges()) == [(1, 0)]
    assert nx.is_bipartite(to_networkx(bipartite()))
    assert from_networkx(nx.empty_graph(3)).num_edges == 0


def test_networkx_attributes_are_all_or_none():
    named = nx.path_graph(3)
    named.nodes[0]["y"] = 1
    with pytest.raises(InputError, match="2 of 3 have no node attribute 'y'"):
        from_networkx(named)
    weighted = nx.path_graph(3)
    weighted.edges[0, 1]["weight"] = 1.0
    with pytest.raises(InputError, match="edge attribute 'weight'"):
        from_networkx(weighted)


# --- scipy


def test_scipy_shapes_weights_and_symmetry():
    square = sp.csr_matrix(np.array([[0, 2.0], [3, 0]]))
    graph = to_graph(square)
    assert graph.undirected
    assert graph.edge_attrs["weight"].tolist() == [2, 3]
    stored_zero = sp.csr_matrix((np.array([0.0, 1.0]), (np.array([0, 1]), np.array([1, 0]))), shape=(2, 2))
    assert to_graph(stored_zero).edge_index.tolist() == [[1], [0]]
    assert not to_graph(stored_zero).undirected
    wide = sp.csr_array(np.array([[0, 1, 1]]))
    with pytest.raises(InputError, match="bipartite=True"):
        to_graph(wide)
    assert to_graph(wide, bipartite=True).size == (1, 3)
    assert not to_graph(square, bipartite=True).undirected  # users are no items, whatever the pattern
    with pytest.raises(InputError, match="NaN"):
        to_graph(sp.csr_matrix(np.array([[np.nan, 1], [0, 0]])))


# --- edge lists


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "source,target\n0,1\n1,2\n2,1\n3,3\n"),
        ("a.csv", "0,1\n1,2\n2,1\n3,3\n"),
        ("a.csv", '\ufeff"0","1"\r\n"1","2"\r\n\r\n3,3\r\n'),
        ("a.tsv", "u\tv\n0\t1\n1\t2\n3\t3\n"),
        ("a.txt", "# comment\n% another\n0 1\n 1   2\n3 3\n"),
        ("a.txt", "from to\n0;1\n".replace("from to", "from;to") + "1;2\n3;3\n"),
    ],
)
def test_edge_lists(name, text, tmp_path):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    graph = to_graph(path)
    assert graph.size == (4, 4)  # node 3 has only a loop, which is dropped; the node stays
    assert edges_of(graph.edge_index) == edges_of(torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]))
    assert to_graph(str(path)).undirected


def test_edge_lists_with_weights_directed_bipartite_and_packed(tmp_path):
    path = tmp_path / "a.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("u,v,w\n0,1,0.5\n1,0,2\n0,1,9\n1,2,1e-3\n")
    graph = from_edge_list(path)
    assert dict(zip(map(tuple, graph.edge_index.T.tolist()), graph.edge_attrs["weight"].tolist(), strict=True)) == {
        (0, 1): 0.5,
        (1, 0): 0.5,
        (1, 2): pytest.approx(1e-3),
        (2, 1): pytest.approx(1e-3),
    }
    directed = from_edge_list(path, undirected=False)
    assert edges_of(directed.edge_index) == edges_of(torch.tensor([[0, 1, 1], [1, 0, 2]]))
    users = to_graph(path, bipartite=True)
    assert (users.size, users.num_edges, users.undirected) == ((2, 3), 4, False)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("0,1\n1\n", r"a\.csv, line 2: expected 2 columns \(got 1: '1'\)"),
        ("0,1\n1,2,3\n", r"line 2: expected 2 columns \(got 3"),
        ("u,v\n0,1\n\n1,x\n", r"line 4: ids must be whole numbers.*'1,x'"),
        ("0,1\n1,-2\n", "line 2: ids must be whole numbers from 0"),
        ("0,1\n1,2.5\n", "line 2: ids must be whole numbers"),
        ("0,1,1\n1,2,heavy\n", r"line 2: the third column must be a number.*'heavy'"),
        ("0,1,1\n1,2,nan\n", "line 2: the weight must be finite"),
        ("0,1,1,1\n", "line 1: expected 2 or 3 columns"),
        ("u,v\nx,y\n", "line 2: ids"),
        ("u,v\n", "holds no edge"),
        ("", "holds no edge"),
    ],
)
def test_broken_rows_are_named(text, error, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=error):
        from_edge_list(tmp_path / "a.csv")


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read"):
        to_graph(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"a\.csv cannot be read"):
        to_graph(tmp_path / "a.csv")
    (tmp_path / "a.csv.gz").write_bytes(b"not packed")
    with pytest.raises(InputError, match=r"a\.csv\.gz cannot be read"):
        to_graph(tmp_path / "a.csv.gz")


# --- DGL


@pytest.fixture(scope="module")
def dgl():
    return pytest.importorskip("dgl")


def test_dgl_frames(dgl):
    made = dgl.graph((torch.tensor([0, 1, 1, 2]), torch.tensor([1, 0, 2, 1])), num_nodes=4, idtype=torch.int32)
    made.ndata["feat"], made.ndata["label"] = torch.ones(4, 2), torch.tensor([0, 1, 1, 0])
    made.ndata["train_mask"], made.ndata["extra"] = torch.tensor([1, 1, 0, 0]).bool(), torch.ones(4)
    made.edata["weight"] = torch.arange(4.0)
    graph = to_graph(made)
    assert graph.undirected
    assert graph.edge_index.dtype == torch.int64
    assert (graph.y.tolist(), graph.node_mask.tolist()) == ([0, 1, 1, 0], [True, True, False, False])
    result = like(made, forget(graph, node=[2]))
    assert result.idtype == torch.int32
    assert result.num_nodes() == 4
    assert [part.tolist() for part in result.edges(order="eid")] == [[0, 1], [1, 0]]
    assert result.edata["weight"].tolist() == [0, 1]
    assert result.ndata["feat"].sum(1).tolist() == [2, 2, 0, 2]
    assert result.ndata["label"].tolist() == [0, 1, -1, 0]
    assert result.ndata["train_mask"].tolist() == [True, True, False, False]
    assert result.ndata["extra"].tolist() == [1, 1, 0, 1]
    assert made.ndata["extra"].tolist() == [1, 1, 1, 1]
    made.edata["edge_forget_mask"] = torch.tensor([1, 0, 0, 0]).bool()
    assert request_from_masks(made).parts["edge"].tolist() == [[0], [1]]
    assert set(to_graph(made).edge_attrs) == {"weight"}


def test_dgl_user_item(dgl):
    made = to_dgl(bipartite())
    graph = from_dgl(made)
    assert same(graph, bipartite())
    result = like(made, forget(graph, edge=[[0], [2]]))
    assert result.canonical_etypes == [("user", "interacts", "item")]
    assert [part.tolist() for part in result.edges()] == [[0, 1], [0, 1]]
    two = dgl.heterograph({("a", "x", "b"): ([0], [0]), ("a", "y", "b"): ([0], [0])})
    with pytest.raises(InputError, match="one relation"):
        from_dgl(two)


def test_a_missing_dgl_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.split(".")[0] == "dgl":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"graphforget\[dgl\]"):
        to_dgl(sbm())
    with pytest.raises(MissingExtra, match=r"graphforget\[dgl\]"):
        DGLModule(nn.Linear(2, 2))


def gcn(dgl) -> nn.Module:
    from dgl.nn import GraphConv

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = GraphConv(8, 6), GraphConv(6, 3)
            self.scale = nn.Parameter(torch.ones(1))
            self.register_buffer("shift", torch.zeros(1))
            self.drop = nn.Dropout(0.5)

        def reset_parameters(self):
            nn.init.ones_(self.scale)
            nn.init.zeros_(self.shift)

        def forward(self, graph, x):
            return self.two(graph, self.drop(torch.relu(self.one(graph, x)))) * self.scale + self.shift

    return Net()


def test_a_dgl_module_runs_like_any_other(dgl):
    graph, net = sbm(), gcn(dgl)
    model = DGLModule(net, self_loop=True)
    assert list(model.state_dict()) == list(net.state_dict())
    assert [name for name, _ in model.named_parameters()] == [name for name, _ in net.named_parameters()]
    assert equal_states(state(model), state(net))
    model.eval()
    assert not net.training
    assert not net.drop.training
    out = model(graph.x, graph.edge_index)
    looped = dgl.add_self_loop(to_dgl(graph))
    assert out.equal(net(looped, graph.x))
    out.sum().backward()
    assert net.scale.grad is not None
    model.train()
    assert net.training
    assert net.drop.training
    model.double()
    assert net.scale.dtype == torch.float64
    assert net.shift.dtype == torch.float64


def test_a_dgl_module_can_be_copied_saved_and_made_fresh(dgl, tmp_path):
    model = DGLModule(gcn(dgl), self_loop=True).eval()
    graph = sbm()
    before = model(graph.x, graph.edge_index)
    twin = copy.deepcopy(model)
    assert twin.wrapped is not model.wrapped
    with torch.no_grad():
        twin.wrapped.scale.fill_(7)
    assert float(twin.state_dict()["scale"]) == 7
    assert model(graph.x, graph.edge_index).equal(before)
    assert not twin(graph.x, graph.edge_index).equal(before)
    new = fresh(model, 3)
    assert not any(a.data_ptr() == b.data_ptr() for a, b in zip(new.parameters(), model.parameters(), strict=True))
    assert not new.state_dict()["one.weight"].equal(model.state_dict()["one.weight"])
    torch.save(model.state_dict(), tmp_path / "a.pt")
    other = gcn(dgl)
    other.load_state_dict(torch.load(tmp_path / "a.pt", weights_only=True))  # the user's module takes it as its own
    twin.load_state_dict(other.state_dict())
    assert twin(graph.x, graph.edge_index).equal(before)


def test_no_dgl_graph_outlives_its_edges(dgl):
    model, graph = DGLModule(gcn(dgl), self_loop=True).eval(), sbm()
    table = dgl_interop._DGL_GRAPHS
    gc.collect()
    start = len(table)
    edges = graph.edge_index.clone()
    first = model.graph(edges, graph.num_nodes)
    assert model.graph(edges, graph.num_nodes) is first
    assert len(table) == start + 1
    edges[:, 0] = torch.tensor([0, 0])  # changed in place: the old graph is stale
    assert model.graph(edges, graph.num_nodes) is not first
    retained = graph.unlinked(graph.pairs()[:, :1])
    out = model(graph.x, retained.edge_index)
    assert not out.equal(model(graph.x, graph.edge_index))
    fresh_adapter = DGLModule(model.wrapped, self_loop=True).eval()
    assert out.equal(fresh_adapter(graph.x, retained.edge_index.clone()))
    del edges, first, retained
    gc.collect()
    assert len(table) <= start + 1  # only graph.edge_index is left


def test_a_dgl_module_can_be_unlearned(dgl):
    from graphforget.gnn.task import LinkPrediction, encode

    graph = sbm()
    model = DGLModule(gcn(dgl), self_loop=True)
    assert encode(model.eval(), graph).shape == (graph.num_nodes, 3)
    task = LinkPrediction()
    batch = next(iter(task.batches(graph, graph, torch.Generator().manual_seed(0))))
    assert task.outputs(model, graph, batch).dim() == 2
