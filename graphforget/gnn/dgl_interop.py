"""DGL graphs in and out, and DGL modules under PyG's calling convention."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from graphforget.errors import InputError, missing_extra
from graphforget.gnn.pyg_interop import EDGE_MASK, NODE_MASK, emptied, labels_of, same_size
from graphforget.graph import Graph
from graphforget.kernels.csr import IntArray, check

FEATURES, LABELS = ("feat", "x", "features"), ("label", "y", "labels")  # DGL's words first, then PyG's


def choose_pytorch() -> None:
    """Answer DGL's question on its first import; else it prints its own answer and writes it to ``~/.dgl``."""
    os.environ.setdefault("DGLBACKEND", "pytorch")


def import_dgl() -> Any:
    """Import DGL.

    Raises:
        MissingExtra: DGL is not installed.
    """
    choose_pytorch()
    try:
        import dgl
    except ImportError as error:
        raise missing_extra("dgl", "dgl") from error
    return dgl


def is_dgl(data: Any) -> bool:
    """Say whether an object is a DGL graph, without importing DGL for others."""
    if type(data).__module__.partition(".")[0] != "dgl":
        return False
    return isinstance(data, import_dgl().DGLGraph)


def from_dgl(source: Any) -> Graph:
    """Convert a DGL graph: homogeneous, or one relation between two node types (a user-item graph).

    ``ndata`` ``feat`` (or ``x``) becomes x, ``label`` (or ``y``) labels, ``train_mask`` the node mask; every ``edata``
    an edge attribute.

    Raises:
        InputError: several relations, or an invalid graph.
    """
    dgl = import_dgl()
    if len(source.canonical_etypes) != 1:
        raise InputError(f"a DGL graph must have one relation (got {source.canonical_etypes}); take one with g[etype]")
    rows, cols = source.edges(order="eid")
    edge_index = torch.stack([rows, cols]).long()
    names = [name for name in source.edata if name not in (dgl.EID, EDGE_MASK)]
    attrs = {name.removeprefix("edge_"): source.edata[name] for name in names}
    if not source.is_homogeneous:
        ((user, _, item),) = source.canonical_etypes
        if user != item:
            size = (source.num_nodes(user), source.num_nodes(item))
            features = {
                name: value
                for name, value in source.nodes[item].data.items()
                if value.is_floating_point() and value.dim() == 2 and name != "x"
            }
            return Graph(edge_index, size, bipartite=True, features=features, edge_attrs=attrs).validate()
    count = source.num_nodes()
    x, y = _first(source.ndata, FEATURES), _first(source.ndata, LABELS)
    mask = source.ndata.get("train_mask")
    graph = Graph(
        edge_index,
        (count, count),
        features={} if x is None else {"x": source.ndata[x]},
        edge_attrs=attrs,
        y=None if y is None else labels_of(source.ndata[y], count),
        node_mask=mask.bool() if mask is not None and mask.shape == (count,) else None,
    ).validate()
    return replace(graph, undirected=True) if bool(graph.has_edges(graph.edge_index.flip(0)).all()) else graph


def to_dgl(graph: Graph) -> Any:
    """Convert to a DGL graph with ``ndata`` ``feat``, ``label`` and ``train_mask``; user-item when bipartite.

    Raises:
        MissingExtra: DGL is not installed.
    """
    dgl = import_dgl()
    rows, cols = graph.edge_index
    if graph.bipartite:
        sizes = {"user": graph.size[0], "item": graph.size[1]}
        made = dgl.heterograph({("user", "interacts", "item"): (rows, cols)}, num_nodes_dict=sizes)
        for name, value in graph.features.items():
            if name != "x":
                made.nodes["item"].data[name] = value
            else:
                made.nodes["user"].data["feat"], made.nodes["item"].data["feat"] = value.split(graph.size)
    else:
        made = dgl.graph((rows, cols), num_nodes=graph.num_nodes)
        if "x" in graph.features:
            made.ndata["feat"] = graph.features["x"]
        if graph.y is not None:
            made.ndata["label"] = graph.y
        if graph.node_mask is not None:
            made.ndata["train_mask"] = graph.node_mask
    for name, value in graph.edge_attrs.items():
        made.edata[name] = value
    return made


def csc_of_dgl(graph: Any) -> tuple[IntArray, IntArray, IntArray | None]:
    """Return the columns of a DGL graph as kernels take them, in the graph's own memory.

    Args:
        graph: of one relation, with int64 ids (DGL's default) on the CPU. DGL sorts the rows of a graph made from
            pairs by source only where it is asked to: see :func:`graphforget.kernels.check`.

    Returns:
        indptr [num_dst + 1], indices [E] the sources of the edges into each node, and [E] the edge id of each slot,
        None where they are the same. Writing into them would change the graph.

    Raises:
        InputError: several relations, or ids that would have to be copied.
    """
    if len(graph.canonical_etypes) != 1:
        raise InputError(f"a DGL graph must have one relation (got {graph.canonical_etypes}); take one with g[etype]")
    if graph.idtype != torch.int64 or graph.device.type != "cpu":
        raise InputError(f"ids must be int64 on the CPU (got {graph.idtype} on {graph.device}); call long() and cpu()")
    indptr, indices, ids = graph.adj_tensors("csc")
    return indptr.numpy(), indices.numpy(), ids.numpy() if len(ids) == len(indices) else None


def dgl_of_csc(indptr: IntArray, indices: IntArray, num_src: int | None = None) -> Any:
    """Return a DGL graph on the arrays themselves: slot i is edge i, and no array is copied.

    Args:
        indptr: [N + 1] int64.
        indices: [E] int64 sources of the edges into each node.
        num_src: number of sources where they are another kind of nodes than the targets.

    Raises:
        InputError: the arrays are no CSR.
    """
    dgl = import_dgl()
    count = len(indptr) - 1
    try:
        check(indptr, indices, count if num_src is None else num_src)
    except ValueError as error:
        raise InputError(str(error)) from error
    arrays = torch.from_numpy(indptr), torch.from_numpy(indices), torch.arange(len(indices))
    if num_src is None:
        return dgl.graph(("csc", arrays), num_nodes=count)
    return dgl.heterograph({("src", "to", "dst"): ("csc", arrays)}, num_nodes_dict={"src": num_src, "dst": count})


def _first(frame: Any, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in frame), None)


def like_dgl(original: Any, graph: Graph) -> Any:
    """Give a graph back as a DGL graph with the types, names and frames of the original."""
    dgl = import_dgl()
    ((user, relation, item),) = original.canonical_etypes
    same_size(graph, (original.num_nodes(user), original.num_nodes(item)))
    rows, cols = (part.to(original.idtype) for part in graph.edge_index)
    sizes = {user: original.num_nodes(user), item: original.num_nodes(item)}
    made = dgl.heterograph({(user, relation, item): (rows, cols)}, num_nodes_dict=sizes, device=original.device)
    for name in original.edata:
        if name not in (dgl.EID, EDGE_MASK):
            made.edata[name] = graph.edge_attrs[name.removeprefix("edge_")]
    for kind in {user, item}:
        rows_of = slice(graph.size[0], None) if graph.bipartite and kind == item else slice(0, sizes[kind])
        removed = None if graph.removed is None else graph.removed[rows_of]
        frame = original.nodes[kind].data
        for name, value in frame.items():
            if name != NODE_MASK:
                made.nodes[kind].data[name] = emptied(value, removed)
    if not graph.bipartite:
        x, y = _first(original.ndata, FEATURES), _first(original.ndata, LABELS)
        if x is not None:
            made.ndata[x] = graph.features["x"]
        if y is not None and graph.y is not None:
            made.ndata[y] = graph.y.view_as(original.ndata[y]).to(original.ndata[y].dtype)
        if "train_mask" in original.ndata and graph.node_mask is not None:
            made.ndata["train_mask"] = graph.node_mask.to(original.ndata["train_mask"].dtype)
    return made


_DGL_GRAPHS = WeakTensorKeyDictionary()  # edge_index -> (version, size, loops, DGL graph)


class DGLModule(nn.Module):
    """Call a DGL module ``module(graph, x)`` as ``model(x, edge_index)``.

    The adapter shares the module's own parameter tables: ``state_dict`` has the module's keys, and weights trained here
    are the module's. The DGL graph of an ``edge_index`` is built once and goes when that tensor goes or changes, so no
    graph with forgotten edges survives.

    Args:
        module: the DGL module, whose forward takes (graph, x).
        self_loop: add self-loops first, as ``dgl.add_self_loop`` in the training script did. Without it DGL's layers
            refuse isolated nodes, which forgetting may leave behind.

    Raises:
        MissingExtra: DGL is not installed.
    """

    wrapped: nn.Module

    def __init__(self, module: nn.Module, *, self_loop: bool = False) -> None:
        import_dgl()
        super().__init__()
        self.__dict__["wrapped"] = module  # not registered: its keys would get a prefix
        self.self_loop = self_loop
        for table in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
            self.__dict__[table] = module.__dict__[table]
        self.training = module.training

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """[N, d] the module on the DGL graph of ``edge_index``."""
        out: Tensor = self.wrapped(self.graph(edge_index, x.shape[0]), x)
        return out

    def train(self, mode: bool = True) -> DGLModule:
        """Set the mode of the adapter and of the module."""
        self.wrapped.training = mode
        super().train(mode)
        return self

    def reset_parameters(self) -> None:
        """Re-initialise by the module's own rule where it has one; its layers have theirs."""
        rule = getattr(self.wrapped, "reset_parameters", None)
        if callable(rule):
            rule()

    def graph(self, edge_index: Tensor, num_nodes: int) -> Any:
        """Return the DGL graph of an edge_index, cached as long as that very tensor lives unchanged."""
        key = (edge_index._version, num_nodes, self.self_loop)
        found = _DGL_GRAPHS.get(edge_index)
        if found is None or found[0] != key:
            dgl = import_dgl()
            made = dgl.graph((edge_index[0].clone(), edge_index[1].clone()), num_nodes=num_nodes)
            found = (key, dgl.add_self_loop(dgl.remove_self_loop(made)) if self.self_loop else made)
            _DGL_GRAPHS[edge_index] = found
        return found[1]
