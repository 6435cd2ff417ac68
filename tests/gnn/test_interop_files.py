"""Graphs of networkx and scipy and edge lists in files, in and out."""

from __future__ import annotations

import gzip

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch

from graphforget.errors import InputError
from graphforget.gnn.interop import (
    from_edge_list,
    from_networkx,
    like,
    to_graph,
    to_networkx,
)
from tests.gnn.doors import bipartite, forget
from tests.small import edges_of

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
