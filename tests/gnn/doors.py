"""Graphs that the doors to other packages are tested with."""

from __future__ import annotations

import torch
from torch_geometric.data import Data

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph


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
