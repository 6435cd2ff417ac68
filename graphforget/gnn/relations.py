"""The columns of a PyG graph as the kernels sample them: for each edge type a CSR over the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.remote_backend_utils import num_nodes as count_remote
from torch_geometric.typing import EdgeType

from graphforget.errors import InputError
from graphforget.kernels import csr, hops
from graphforget.kernels.csr import IntArray

HOMOGENEOUS = hops.ONLY


@dataclass(frozen=True, eq=False)
class Columns:
    """What a sampler needs of a graph.

    Args:
        edge_types: of a heterogeneous graph, else None.
        num_nodes: kind -> number of nodes; the one kind of a homogeneous graph is ``HOMOGENEOUS``.
        relations: "source__relation__target" (or ``HOMOGENEOUS``) -> edges.
        perms: likewise -> the edge of each slot; None where they are the same.
        node_times: kind -> the times of its nodes; empty when there are none.
        temporal: whether nodes or edges have times.
    """

    edge_types: tuple[EdgeType, ...] | None
    num_nodes: dict[str, int]
    relations: dict[str, hops.Relation]
    perms: dict[str, Tensor | None]
    node_times: dict[str, Tensor]
    temporal: bool = False

    def time_of(self, kind: str, nodes: Tensor) -> Tensor:
        """Return the times of some nodes.

        Raises:
            InputError: nodes of this kind have none.
        """
        if kind not in self.node_times:
            raise InputError(f"nodes of type {kind!r} have no time; pass input_time for the seeds")
        return self.node_times[kind][nodes]


def columns_of(data: Any, time_attr: str | None = None, is_sorted: bool = False) -> Columns:
    """Read the columns of a graph.

    Args:
        data: ``Data``, ``HeteroData``, or a pair of a ``FeatureStore`` and a ``GraphStore``.
        time_attr: name of an integer attribute of nodes or of edges.
        is_sorted: the edges are sorted by target, and by time within.

    Raises:
        InputError: no edges, ids out of range, edges that are not sorted, or no such time.
    """
    if isinstance(data, HeteroData):
        types, kinds = data.metadata()
        return _collected(data, types, kinds, time_attr, is_sorted)
    if isinstance(data, Data):
        return _collected(data, None, None, time_attr, is_sorted)
    if isinstance(data, tuple) and len(data) == 2:
        if time_attr is not None:
            raise InputError(f"times are read from Data and HeteroData (got time_attr={time_attr!r} with stores)")
        return _remote(*data)
    raise InputError(f"data must be Data, HeteroData or (FeatureStore, GraphStore) (got {type(data).__name__})")


def _collected(
    data: Any,
    node_types: Sequence[str] | None,
    edge_types: Sequence[EdgeType] | None,
    time_attr: str | None,
    is_sorted: bool,
) -> Columns:
    if edge_types is None:
        ends, edge_stores = {HOMOGENEOUS: (HOMOGENEOUS, HOMOGENEOUS)}, {HOMOGENEOUS: data}
    else:
        ends = {"__".join(each): (each[0], each[2]) for each in edge_types}
        edge_stores = {"__".join(each): data[each] for each in edge_types}
    node_stores = {HOMOGENEOUS: data} if node_types is None else {kind: data[kind] for kind in node_types}
    counts = {kind: store.num_nodes for kind, store in node_stores.items()}
    if unsized := [kind for kind, count in counts.items() if count is None]:
        raise InputError(f"the number of nodes is not known (of {unsized}); set num_nodes or x")
    node_times, edge_times = _times(node_stores, edge_stores, time_attr)
    relations, perms = {}, {}
    for name, store in edge_stores.items():
        edges = store.edge_index if "edge_index" in store else None
        if edges is None:
            raise InputError(f"there is no edge_index {f'of {name}' if name else 'in the Data'} (adj_t is not read)")
        time = edge_times.get(name)
        if ends[name][0] in node_times and edges.numel():
            time = node_times[ends[name][0]][edges[0].cpu()].numpy()
        relations[name], perms[name] = _relation(edges, ends[name], counts, time, is_sorted)
    types = None if edge_types is None else tuple(edge_types)
    return Columns(types, counts, relations, perms, node_times, time_attr is not None)


def _times(
    node_stores: dict[str, Any], edge_stores: dict[str, Any], name: str | None
) -> tuple[dict[str, Tensor], dict[str, IntArray]]:
    """Return (kind -> times of nodes, edge type -> times of edges), of which one at least is empty."""
    if name is None:
        return {}, {}
    nodes = {kind: _time(store[name]) for kind, store in node_stores.items() if name in store}
    edges = {each: _time(store[name]) for each, store in edge_stores.items() if name in store}
    if set(node_stores) & set(edge_stores) and nodes:  # Data keeps both in one store: it tells them apart by length
        nodes, edges = (nodes, {}) if node_stores[HOMOGENEOUS].is_node_attr(name) else ({}, edges)
    if nodes and edges:
        raise InputError(f"both nodes and edges have a time {name!r}; rename one of them")
    if not nodes and not edges:
        raise InputError(f"neither nodes nor edges have a time {name!r}")
    return nodes, {each: time.numpy() for each, time in edges.items()}


def _time(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.dim() != 1 or value.is_floating_point():
        raise InputError(f"a time must be a vector of integers (got {getattr(value, 'dtype', type(value).__name__)})")
    return value.detach().cpu().long()


def _relation(
    edge_index: Tensor, ends: tuple[str, str], counts: dict[str, int], time: IntArray | None, is_sorted: bool
) -> tuple[hops.Relation, Tensor | None]:
    rows, cols = edge_index.detach().cpu().numpy()
    num_sources, num_targets = counts[ends[0]], counts[ends[1]]
    try:
        sources, targets = csr.as_ids("sources", rows, num_sources), csr.as_ids("targets", cols, num_targets)
        if is_sorted:
            if len(falls := np.flatnonzero(targets[1:] < targets[:-1])):
                raise ValueError(f"is_sorted=True, but the targets fall after edge {falls[0]}; leave it out")
            if time is not None and len(falls := np.flatnonzero((targets[1:] == targets[:-1]) & (np.diff(time) < 0))):
                raise ValueError(f"is_sorted=True, but the times of a target fall after edge {falls[0]}; leave it out")
            indptr = np.concatenate([[0], np.bincount(targets, minlength=num_targets).cumsum()])
            return hops.Relation(*ends, indptr, sources, time), None
        if time is None:
            indptr, indices, perm = csr.from_coo(targets, sources, num_targets, num_sources)
            return hops.Relation(*ends, indptr, indices), torch.from_numpy(perm)
        rank = np.empty(len(time), dtype=np.int64)
        rank[np.argsort(time, kind="stable")] = np.arange(len(time))
        indptr, _, perm = csr.from_coo(targets, rank, num_targets, max(len(rank), 1))
        return hops.Relation(*ends, indptr, sources[perm], time[perm]), torch.from_numpy(perm)
    except ValueError as error:
        raise InputError(f"edge_index cannot be sampled: {error}") from error


def _remote(features: Any, graph: Any) -> Columns:
    """Read the columns of a graph store, without a copy where it keeps them as int64 CSC."""
    edge_types = list(dict.fromkeys(attr.edge_type for attr in graph.get_all_edge_attrs()))
    if not edge_types:
        raise InputError("the graph store holds no edges")
    row, colptr, perm = graph.csc()
    try:
        if edge_types == [None]:
            relation = hops.Relation(HOMOGENEOUS, HOMOGENEOUS, colptr.numpy(), row.numpy())
            counts = {HOMOGENEOUS: len(relation.indptr) - 1}
            return Columns(None, counts, {HOMOGENEOUS: relation}, {HOMOGENEOUS: perm}, {})
        kinds = dict.fromkeys(kind for each in edge_types for kind in (each[0], each[2]))
        counts = {kind: int(count_remote(features, graph, kind)) for kind in kinds}
        relations = {
            "__".join(each): hops.Relation(each[0], each[2], colptr[each].numpy(), row[each].numpy())
            for each in edge_types
        }
    except ValueError as error:
        raise InputError(f"the graph store cannot be sampled: {error}") from error
    return Columns(tuple(edge_types), counts, relations, {"__".join(each): perm[each] for each in edge_types}, {})
