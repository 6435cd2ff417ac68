"""A :class:`~graphforget.store.Store` behind PyG's ``GraphStore`` and ``FeatureStore``, for its loaders.

    loader = NeighborLoader(stores(store), num_neighbors=[10, 5], input_nodes=nodes)   # of graphforget.gnn.loaders

The edges are the mapped arrays themselves: nothing is copied until a batch is drawn. Edges that were cut from a store
must not be drawn again, and a CSC has no place for them: a store with such edges is written anew first, by
:func:`graphforget.mapped.compact`. Stores are read-only here; user-item graphs are served by their own task.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import FeatureStore, GraphStore
from torch_geometric.data.feature_store import TensorAttr
from torch_geometric.data.graph_store import EdgeAttr, EdgeLayout

from graphforget.errors import InputError
from graphforget.store import Store

READ_ONLY = "the stores of a graph folder are read-only; write another folder"


def stores(store: Store) -> tuple[Features, Edges]:
    """Return (feature store, graph store), as PyG's loaders take them.

    Raises:
        InputError: edges were cut from the store, or it is a user-item graph.

    Example:
        >>> from graphforget.graph import Graph
        >>> path = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, features={"x": torch.eye(3)})
        >>> features, edges = stores(Store.of(path))
        >>> features["paper", "x", torch.tensor([2])].tolist(), len(edges.get_all_edge_attrs())
        ([[0.0, 0.0, 1.0]], 1)
    """
    if store.bipartite:
        raise InputError("PyG's stores serve homogeneous graphs (got a user-item graph)")
    if len(store.cut):
        raise InputError(f"{len(store.cut)} edges were cut from this store; write what is retained by compact() first")
    return Features(store), Edges(store)


class Edges(GraphStore):  # type: ignore[misc] # PyG has no annotations that mypy reads
    """The edges, as CSC."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store

    def _get_edge_index(self, edge_attr: EdgeAttr) -> tuple[Tensor, Tensor] | None:
        if edge_attr.layout != EdgeLayout.CSC:
            return None
        return _shared(self.store.indices), _shared(self.store.indptr)  # symmetric: CSC is CSR

    def get_all_edge_attrs(self) -> list[EdgeAttr]:
        """The one kind of edges there is."""
        return [EdgeAttr(None, EdgeLayout.CSC, is_sorted=True, size=self.store.size)]

    def _put_edge_index(self, edge_index: Any, edge_attr: EdgeAttr) -> bool:
        raise InputError(READ_ONLY)

    def _remove_edge_index(self, edge_attr: EdgeAttr) -> bool:
        raise InputError(READ_ONLY)


class Features(FeatureStore):  # type: ignore[misc]
    """The node features; only the rows asked for are read."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store

    def _get_tensor(self, attr: TensorAttr) -> Tensor | None:
        if attr.attr_name not in self.store.features:
            return None
        if attr.index is None and not len(self.store.removed):
            return _shared(self.store.features[attr.attr_name])
        every = torch.arange(self.store.num_nodes)
        rows = every if attr.index is None else attr.index if isinstance(attr.index, Tensor) else every[attr.index]
        return self.store.rows(attr.attr_name, np.asarray(rows))

    def _get_tensor_size(self, attr: TensorAttr) -> tuple[int, ...] | None:
        found = self.store.features.get(attr.attr_name)
        return None if found is None else tuple(found.shape)

    def get_all_tensor_attrs(self) -> list[TensorAttr]:
        """The feature arrays by name."""
        return [TensorAttr(None, name) for name in self.store.features]

    def _put_tensor(self, tensor: Any, attr: TensorAttr) -> bool:
        raise InputError(READ_ONLY)

    def _remove_tensor(self, attr: TensorAttr) -> bool:
        raise InputError(READ_ONLY)


def _shared(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor over the very array; of a mapped file nobody may write to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.asarray(array))
