"""networkx graphs in and out."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.gnn.pyg_interop import same_size
from graphforget.graph import Graph


def from_networkx(source: nx.Graph[Any]) -> Graph:
    """Convert a networkx graph; node i is the i-th of ``source.nodes``.

    The node attributes ``x`` (numbers) and ``y`` (a whole number) and the edge attributes ``weight``, ``type`` and
    ``time`` are carried where every node or edge has them.

    Raises:
        InputError: an attribute that only some have, or an invalid graph.

    Example:
        >>> from_networkx(nx.DiGraph([("a", "b")])).undirected
        False
    """
    place = {node: i for i, node in enumerate(source.nodes())}
    ends = list(source.edges(data=True))
    pairs = np.array([(place[u], place[v]) for u, v, _ in ends], dtype=np.int64).reshape(-1, 2).T
    attrs: dict[str, npt.NDArray[Any]] = {}
    for name in ("weight", "type", "time"):
        values = _complete([edge[2].get(name) for edge in ends], f"edge attribute {name!r}")
        if values is not None:
            attrs[name] = np.asarray(values)
    if not source.is_directed():
        off = pairs[0] != pairs[1]
        pairs = np.concatenate([pairs, pairs[::-1, off]], axis=1)
        attrs = {name: np.concatenate([value, value[off]]) for name, value in attrs.items()}
        order = np.lexsort((pairs[1], pairs[0]))
        pairs, attrs = pairs[:, order], {name: value[order] for name, value in attrs.items()}
    features = {}
    x = _complete([data.get("x") for _, data in source.nodes(data=True)], "node attribute 'x'")
    if x is not None:
        features["x"] = torch.from_numpy(np.asarray(x, dtype=np.float32).reshape(len(place), -1))
    y = _complete([data.get("y") for _, data in source.nodes(data=True)], "node attribute 'y'")
    return Graph(
        torch.from_numpy(np.ascontiguousarray(pairs)),
        (len(place), len(place)),
        undirected=not source.is_directed(),
        features=features,
        edge_attrs={name: _number(value) for name, value in attrs.items()},
        y=None if y is None else torch.tensor([int(each) for each in y]),
    ).validate()


def to_networkx(graph: Graph) -> nx.Graph[Any]:
    """Convert to networkx: nodes 0 to N - 1 (items of a bipartite graph follow the users, ``bipartite`` 0 and 1).

    Example:
        >>> to_networkx(Graph.from_edges(torch.tensor([[0], [1]]), 3)).number_of_nodes()
        3
    """
    multi = graph.num_edges > len(torch.unique(graph.edge_index, dim=1).T)
    undirected = graph.undirected or graph.bipartite
    kind = {(0, 0): nx.DiGraph, (0, 1): nx.MultiDiGraph, (1, 0): nx.Graph, (1, 1): nx.MultiGraph}
    made: nx.Graph[Any] = kind[int(undirected), int(multi)]()
    made.add_nodes_from(range(graph.num_nodes))
    if graph.bipartite:
        nx.set_node_attributes(made, {node: int(node >= graph.size[0]) for node in made}, "bipartite")
    if "x" in graph.features:
        nx.set_node_attributes(made, dict(enumerate(graph.features["x"].tolist())), "x")
    if graph.y is not None:
        nx.set_node_attributes(made, dict(enumerate(graph.y.tolist())), "y")
    keep = graph.edge_index[0] <= graph.edge_index[1] if graph.undirected else slice(None)
    ends = graph.edge_index[:, keep].clone()
    if graph.bipartite:
        ends[1] += graph.size[0]
    attrs = {name: value[keep].tolist() for name, value in graph.edge_attrs.items()}
    for at, (u, v) in enumerate(ends.T.tolist()):
        made.add_edge(u, v, **{name: values[at] for name, values in attrs.items()})
    return made


def _complete(values: list[Any], what: str) -> list[Any] | None:
    missing = sum(value is None for value in values)
    if missing and missing < len(values):
        raise InputError(f"{missing} of {len(values)} have no {what}; set it everywhere or nowhere")
    return None if missing or not values else values


def _number(value: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(value.astype(np.float32 if value.dtype.kind == "f" else np.int64))


def like_networkx(original: nx.Graph[Any], graph: Graph) -> nx.Graph[Any]:
    """Give a graph back as a copy of the original without forgotten edges; forgotten nodes lose their attributes."""
    names = list(original.nodes())
    same_size(graph, (len(names), len(names)))
    result: nx.Graph[Any] = original.copy()
    place = {node: i for i, node in enumerate(names)}
    keyed: list[Any] = list(original.edges())
    if isinstance(original, nx.MultiGraph):
        keyed = list(original.edges(keys=True))
    pairs = torch.tensor([(place[edge[0]], place[edge[1]]) for edge in keyed], dtype=torch.int64).reshape(-1, 2).T
    stays = graph.has_edges(pairs.to(graph.device)).tolist()
    result.remove_edges_from([edge for edge, stay in zip(keyed, stays, strict=True) if not stay])
    if graph.y is not None:
        for node, label in zip(names, graph.y.tolist(), strict=True):
            result.nodes[node]["y"] = label
    if "x" in graph.features:
        before = from_networkx(original).x
        for at in (before != graph.x.cpu()).any(1).nonzero().flatten().tolist():
            result.nodes[names[at]]["x"] = graph.x[at].tolist()
    if graph.removed is not None:
        for at in graph.removed.nonzero().flatten().tolist():
            attrs = result.nodes[names[at]]
            for key in [key for key in attrs if key not in ("x", "y")]:
                del attrs[key]
    return result
