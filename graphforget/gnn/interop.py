"""Graphs of other packages in and out: PyG, DGL, networkx, scipy.sparse, edge-list files.

:func:`to_graph` takes whatever the user has, :func:`like` gives a result back in the same kind. Ids never shift on the
way: a forgotten node stays as an isolated one with zero features. Edge attributes are named without PyG's prefix
(``edge_weight`` is ``edge_attrs["weight"]``). Whether a graph is undirected is read off its edges: PyG's own
``is_undirected`` for PyG, a twin for every edge elsewhere.
"""

from __future__ import annotations

import os
from typing import Any

import networkx as nx
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest
from graphforget.gnn.dgl_interop import DGLModule, csc_of_dgl, dgl_of_csc, from_dgl, is_dgl, like_dgl, to_dgl
from graphforget.gnn.nx_interop import from_networkx, like_networkx, to_networkx
from graphforget.gnn.pyg_interop import (
    EDGE_MASK,
    NODE_MASK,
    MarkForget,
    from_pyg,
    like_data,
    like_hetero,
    num_nodes,
    relation,
    to_pyg,
)
from graphforget.gnn.table_interop import from_edge_list, from_scipy, like_scipy, to_scipy
from graphforget.graph import Graph

__all__ = [
    "DGLModule",
    "MarkForget",
    "csc_of_dgl",
    "dgl_of_csc",
    "from_dgl",
    "from_edge_list",
    "from_networkx",
    "from_pyg",
    "from_scipy",
    "like",
    "request_from_masks",
    "to_dgl",
    "to_graph",
    "to_networkx",
    "to_pyg",
    "to_scipy",
]


def to_graph(data: Any, *, bipartite: bool = False) -> Graph:
    """Convert what a user has to a validated :class:`~graphforget.graph.Graph`.

    Args:
        data: a Graph, PyG Data or HeteroData, a DGL graph, a networkx graph, a scipy matrix, or the path of an edge
            list.
        bipartite: declares a scipy matrix or an edge list as user-item; the others say so themselves.

    Raises:
        InputError: another kind, or data that is no valid graph.

    Example:
        >>> to_graph(nx.path_graph(3)).edge_index.tolist()
        [[0, 1, 1, 2], [1, 0, 2, 1]]
    """
    if isinstance(data, Graph):
        return data.validate()
    if isinstance(data, Data | HeteroData):
        return from_pyg(data)
    if isinstance(data, nx.Graph):
        return from_networkx(data)
    if sp.issparse(data):
        return from_scipy(data, bipartite=bipartite)
    if isinstance(data, str | os.PathLike):
        return from_edge_list(data, bipartite=bipartite)
    if is_dgl(data):
        return from_dgl(data)
    raise InputError(
        "data must be a Graph, PyG Data or HeteroData, a DGL graph, a networkx graph, a scipy.sparse matrix or the path"
        f" of an edge list (got {type(data).__name__})"
    )


def like(original: Any, graph: Graph) -> Any:
    """Give a graph back in the kind of ``original``, which is left as it is.

    Whatever :func:`to_graph` does not carry (names, splits, further attributes) is taken over from ``original``; rows
    of forgotten nodes are zeroed in every float attribute, and they leave every mask. Of an edge list, which is a file,
    the Graph itself is returned.

    Args:
        original: what :func:`to_graph` was given.
        graph: a part of it: the same nodes, some of its edges.

    Raises:
        InputError: another kind, or a graph of another size.

    Example:
        >>> whole = nx.path_graph(3)
        >>> list(like(whole, to_graph(whole).unlinked(torch.tensor([[0], [1]]))).edges())
        [(1, 2)]
    """
    if isinstance(original, Graph | str | os.PathLike):
        return graph
    if isinstance(original, HeteroData):
        return like_hetero(original, graph)
    if isinstance(original, Data):
        return like_data(original, graph)
    if isinstance(original, nx.Graph):
        return like_networkx(original, graph)
    if sp.issparse(original):
        return like_scipy(original, graph)
    if is_dgl(original):
        return like_dgl(original, graph)
    raise InputError(f"there is no way back to {type(original).__name__}; use to_pyg, to_dgl, to_networkx or to_scipy")


def request_from_masks(data: Any) -> ForgetRequest:
    """Read a request off ``edge_forget_mask`` and ``node_forget_mask`` of PyG data or a DGL graph.

    Edges come as pairs, those of an undirected graph once with u < v. In a HeteroData the masks sit on the relation and
    on the node types; items follow the users.

    Raises:
        InputError: no mask, an empty one, or one of the wrong type or length.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2], [1, 0, 0]]), num_nodes=3)
        >>> request_from_masks(MarkForget(edges=[[2], [0]])(data)).parts["edge"].tolist()
        [[2], [0]]
    """
    edges, nodes = _masks(data)
    if edges is None and nodes is None:
        raise InputError(f"nothing to forget: name edges or nodes, or set {EDGE_MASK} or {NODE_MASK} on the PyG data")
    graph = to_graph(data)
    parts: dict[str, Tensor] = {}
    if edges is not None:
        columns = _mask(edges, graph.num_edges, EDGE_MASK)
        pairs = graph.edge_index[:, columns]
        if graph.undirected:
            pairs = torch.stack([pairs.amin(0), pairs.amax(0)])
        parts["edge"] = torch.unique(pairs, dim=1)
    if nodes is not None:
        parts["node"] = _mask(nodes, graph.num_nodes, NODE_MASK).nonzero().flatten()
    return ForgetRequest({kind: ids for kind, ids in parts.items() if ids.numel()} or parts)


def _masks(data: Any) -> tuple[Any, Any]:
    if isinstance(data, Data):
        return data.get(EDGE_MASK), data.get(NODE_MASK)
    if isinstance(data, HeteroData):
        kind, _ = relation(data)
        types = [kind[0]] if kind[0] == kind[2] else [kind[0], kind[2]]
        masks = [data[name].get(NODE_MASK) for name in types]
        edges = data[kind].get(EDGE_MASK)
        if all(mask is None for mask in masks):
            return edges, None
        empty = [torch.zeros(num_nodes(data[name]), dtype=torch.bool) for name in types]
        return edges, torch.cat([none if mask is None else mask for mask, none in zip(masks, empty, strict=True)])
    if is_dgl(data) and len(data.canonical_etypes) == 1:
        return data.edata.get(EDGE_MASK), data.ndata.get(NODE_MASK) if data.is_homogeneous else None
    return None, None


def _mask(mask: Any, count: int, name: str) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != (count,):
        got = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
        raise InputError(f"{name} must be a bool tensor of shape [{count}] (got {got})")
    return mask
