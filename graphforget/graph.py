"""The shared data layer: one frozen graph type for GNNs and recommenders.

A :class:`Graph` is a homogeneous graph or a bipartite user-item graph with its features. It is also a *view*: the
forget part, the retain part, the validation and the test set are Graphs over the same node ids, which never shift.
Inside the package it is the only representation; whatever a user has is converted once, at the door, and checked there
by :meth:`Graph.validate`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from graphforget import resolve
from graphforget.errors import InputError
from graphforget.kernels import csr

IntArray = npt.NDArray[np.int64]
_SPARSE = WeakTensorKeyDictionary()
_DENSITY = WeakTensorKeyDictionary()


@dataclass(frozen=True, eq=False)
class Graph:
    """A frozen graph, or a view of one.

    Args:
        edge_index: [2, E] int64; row 0 sources (users), row 1 targets (items).
        size: (num_src, num_dst); equal for a homogeneous graph.
        bipartite: declared, never inferred from the sizes.
        undirected: each edge has its twin in ``edge_index``; a request closes over twins.
        features: {"x": [N, F]} or item modalities {"image": [num_items, F]}.
        edge_attrs: {"type": [E], "weight": [E], "time": [E]}.
        y: [N] int64 labels, -1 where unknown to this view.
        node_mask: [N] bool, the nodes this view speaks for; None means every node.
        removed: [N] bool, nodes deleted from this graph: their rows are zero and no edge touches them.
        negatives: [2, M] fixed non-edges this view is scored against (validation and test views).
        core: [N] bool of a local part of a larger graph: the nodes whose neighbourhood is whole here; elements and
            negatives stay among them, the other nodes only pass messages on. None: all nodes.
        outside: [N] of such a part: how many edges of each node are not in it.

    Example:
        >>> graph = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
        >>> graph.num_edges, graph.num_nodes
        (4, 3)
    """

    edge_index: Tensor
    size: tuple[int, int]
    bipartite: bool = False
    undirected: bool = False
    features: Mapping[str, Tensor] = field(default_factory=dict)
    edge_attrs: Mapping[str, Tensor] = field(default_factory=dict)
    y: Tensor | None = None
    node_mask: Tensor | None = None
    removed: Tensor | None = None
    negatives: Tensor | None = None
    core: Tensor | None = None
    outside: Tensor | None = None

    def __post_init__(self) -> None:
        if self.edge_index.dim() != 2 or self.edge_index.shape[0] != 2:
            raise InputError(f"edge_index must have shape [2, E] (got {list(self.edge_index.shape)}); transpose it?")
        if self.edge_index.dtype != torch.int64:
            raise InputError(f"edge_index must be int64 (got {self.edge_index.dtype}); use edge_index.long()")
        for name, value in self.edge_attrs.items():
            if value.shape[0] != self.num_edges:
                raise InputError(f"edge_attrs[{name!r}] must have {self.num_edges} rows (got {value.shape[0]})")

    @classmethod
    def from_edges(
        cls,
        pairs: Tensor,
        num_nodes: int,
        *,
        undirected: bool = True,
        features: Mapping[str, Tensor] | None = None,
        y: Tensor | None = None,
    ) -> Graph:
        """Build a homogeneous graph: self-loops and duplicates go, twins are added when undirected.

        Args:
            pairs: [2, E] node ids, in any direction.
            num_nodes: N.
            undirected: add each edge's twin.
            features: {"x": [N, F]}.
            y: [N] labels.

        Raises:
            InputError: an id is outside [0, N).

        Example:
            >>> Graph.from_edges(torch.tensor([[0, 0, 1], [1, 1, 1]]), 2).edge_index.tolist()
            [[0, 1], [1, 0]]
        """
        if pairs.numel() and (int(pairs.min()) < 0 or int(pairs.max()) >= num_nodes):
            bad = int(pairs.max()) if int(pairs.max()) >= num_nodes else int(pairs.min())
            raise InputError(f"edge ids must lie in [0, {num_nodes}) (got {bad})")
        pairs = pairs[:, pairs[0] != pairs[1]].long()
        if undirected:
            pairs = torch.cat([pairs, pairs.flip(0)], dim=1)
        code = torch.unique(pairs[0] * num_nodes + pairs[1])
        edge_index = torch.stack([code // num_nodes, code % num_nodes])
        return cls(edge_index, (num_nodes, num_nodes), undirected=undirected, features=features or {}, y=y)

    @property
    def num_edges(self) -> int:
        """E, counting both directions of an undirected edge."""
        return int(self.edge_index.shape[1])

    @property
    def num_nodes(self) -> int:
        """N of a homogeneous graph; users plus items of a bipartite one."""
        return self.size[0] + self.size[1] if self.bipartite else self.size[0]

    @property
    def x(self) -> Tensor:
        """[N, F] node features; raises when the graph has none."""
        if "x" not in self.features:
            raise InputError('the graph has no node features; pass features={"x": [N, F]}')
        return self.features["x"]

    @property
    def device(self) -> torch.device:
        """Where the edges live."""
        return self.edge_index.device

    @cached_property
    def csr(self) -> tuple[IntArray, IntArray, IntArray]:
        """(indptr [num_src + 1], indices [E], perm [E]): sorted rows; perm maps a slot to a column of edge_index."""
        rows, cols = self.edge_index.cpu().numpy()
        return csr.from_coo(rows, cols, self.size[0], self.size[1])

    @cached_property
    def non_edges(self) -> tuple[IntArray, IntArray, IntArray]:
        """(indptr, indices, ids): the adjacency that negatives avoid, cached.

        Of a homogeneous graph it holds both directions and only the nodes that are not removed, relabelled; ``ids``
        maps back. Of a bipartite graph it is the users' rows, and ``ids`` all users.
        """
        if self.bipartite:
            return (*self.csr[:2], np.arange(self.size[0]))
        edges = self.edge_index if self.undirected else torch.cat([self.edge_index, self.edge_index.flip(0)], dim=1)
        rows, cols = edges.cpu().numpy()
        keep = np.ones(self.num_nodes, dtype=bool) if self.removed is None else ~self.removed.cpu().numpy()
        if self.core is not None:
            keep = keep & self.core.cpu().numpy()
        ids, label = np.flatnonzero(keep), np.cumsum(keep) - 1
        inside = keep[rows] & keep[cols]
        indptr, indices, _ = csr.from_coo(label[rows[inside]], label[cols[inside]], len(ids), len(ids))
        return indptr, indices, ids

    @cached_property
    def sparse_x(self) -> Tensor:
        """``x`` as torch CSR: first layers on sparse features multiply it 14-16x faster than the dense form.

        It belongs to the tensor, so that all graphs over the same features (contexts with other edges) share it.
        """
        version, found = _SPARSE.get(self.x, (None, None))
        if version != self.x._version:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Sparse CSR tensor support")  # a user can do nothing about it
                found = self.x.to_sparse_csr()
            _SPARSE[self.x] = self.x._version, found
        return found  # type: ignore[no-any-return]

    @cached_property
    def x_density(self) -> float:
        """Share of non-zero entries of ``x``; it belongs to the tensor, as :attr:`sparse_x` does."""
        version, found = _DENSITY.get(self.x, (None, 0.0))
        if version != self.x._version:
            found = int(torch.count_nonzero(self.x)) / max(self.x.numel(), 1)
            _DENSITY[self.x] = self.x._version, found
        return float(found)

    @cached_property
    def degree(self) -> Tensor:
        """[num_src] out-degree in this graph (the degree, when undirected), with what is outside of a local part."""
        inside = torch.bincount(self.edge_index[0], minlength=self.size[0])
        return inside if self.outside is None else inside + self.outside[: self.size[0]]

    def nodes(self) -> Tensor:
        """[n] ids of the nodes this view speaks for."""
        if self.node_mask is not None:
            return self.node_mask.nonzero().flatten()
        return torch.arange(self.num_nodes, device=self.device)

    def pairs(self) -> Tensor:
        """[2, n] the edges, once each: row < col of an undirected graph; of a local part those in its core."""
        pairs = self.edge_index[:, self.edge_index[0] < self.edge_index[1]] if self.undirected else self.edge_index
        if self.core is None:
            return pairs
        ends = self.core[pairs[0]] & self.core[pairs[1] + (self.size[0] if self.bipartite else 0)]
        return pairs[:, ends]

    def locate(self, pairs: Tensor) -> Tensor:
        """Find the columns of edges.

        Args:
            pairs: [2, n] edges to find.

        Returns:
            [n] column of ``edge_index`` (the first of parallel edges), -1 where there is no such edge.
        """
        indptr, indices, perm = self.csr
        rows, cols = pairs.cpu().numpy()
        slots = csr.locate(indptr, indices, rows, cols)
        found = np.where(slots >= 0, perm[np.maximum(slots, 0)] if len(perm) else -1, -1)
        return torch.from_numpy(found).to(self.device)

    def has_edges(self, pairs: Tensor) -> Tensor:
        """[n] bool: is (u, v) an edge in this direction."""
        return self.locate(pairs) >= 0

    def with_edges(self, keep: Tensor, **changes: Any) -> Graph:
        """Return this graph with a subset of its edges.

        Args:
            keep: [E] bool or [n] int64 columns.
            changes: further fields to replace.
        """
        attrs = {name: value[keep] for name, value in self.edge_attrs.items()}
        return replace(self, edge_index=self.edge_index[:, keep], edge_attrs=attrs, **changes)

    def unlinked(self, pairs: Tensor) -> Graph:
        """Return this graph without the given edges, in both directions when undirected; every edge must exist."""
        drop = self.edge_mask(pairs)
        return self.with_edges(~drop)

    def edge_mask(self, pairs: Tensor) -> Tensor:
        """[E] bool: the given edges, their parallels and, when undirected, their twins.

        Args:
            pairs: [2, n] edges.

        Raises:
            InputError: an edge does not exist; the first five are named.
        """
        columns = self.locate(pairs)
        missing = columns < 0
        if bool(missing.any()):
            some = [tuple(pair) for pair in pairs[:, missing].T[:5].tolist()]
            raise InputError(f"{int(missing.sum())} of the edges do not exist in the graph (first: {some})")
        both = torch.cat([pairs, pairs.flip(0)], dim=1) if self.undirected else pairs
        code = both[0] * self.size[1] + both[1]
        return torch.isin(self.edge_index[0] * self.size[1] + self.edge_index[1], code.to(self.device))

    def without(self, other: Graph) -> Graph:
        """Return the elements of this view that ``other`` does not speak for (its edges and its nodes)."""
        kept = self
        if other.num_edges and self.num_edges:
            code = other.edge_index[0] * self.size[1] + other.edge_index[1]
            hit = torch.isin(self.edge_index[0] * self.size[1] + self.edge_index[1], code)
            if bool(hit.any()):
                kept = self.with_edges(~hit)
        if other.node_mask is None:
            return kept
        own = self.node_mask if self.node_mask is not None else torch.ones_like(other.node_mask)
        return replace(kept, node_mask=own & ~other.node_mask)

    def to(self, device: torch.device | str) -> Graph:
        """Move every tensor to a device; the same object when it is there already."""
        if self.device == torch.device(device):
            return self
        moved = {
            name: value.to(device)
            for name in ("edge_index", "y", "node_mask", "removed", "negatives", "core", "outside")
            if (value := getattr(self, name)) is not None
        }
        features = {name: value.to(device) for name, value in self.features.items()}
        attrs = {name: value.to(device) for name, value in self.edge_attrs.items()}
        return replace(self, features=features, edge_attrs=attrs, **moved)

    def validate(self) -> Graph:
        """Check everything a method relies on and return the graph; called once, at the door.

        Raises:
            InputError: ids out of range, a missing twin, NaN features, or arrays of the wrong length.
        """
        for row, (name, limit) in enumerate((("source", self.size[0]), ("target", self.size[1]))):
            ids = self.edge_index[row]
            if ids.numel() and (int(ids.min()) < 0 or int(ids.max()) >= limit):
                bad = int(ids.max()) if int(ids.max()) >= limit else int(ids.min())
                raise InputError(f"{name} ids must lie in [0, {limit}) (got {bad})")
        if not self.bipartite and self.size[0] != self.size[1]:
            raise InputError(f"a homogeneous graph needs equal sizes (got {self.size}); or declare bipartite=True")
        if self.undirected:
            twins = self.has_edges(self.edge_index.flip(0))
            if not bool(twins.all()):
                column = int((~twins).nonzero()[0])
                u, v = self.edge_index[:, column].tolist()
                raise InputError(
                    f"the graph is declared undirected but {int((~twins).sum())} edges have no twin (first: ({u}, {v})"
                    f" without ({v}, {u})); add the reverse edges or declare undirected=False"
                )
        for name, value in self.features.items():
            rows = self.num_nodes if name == "x" else self.size[1]
            if (name == "x" or self.bipartite) and value.shape[0] != rows:
                raise InputError(f"features[{name!r}] must have {rows} rows (got {value.shape[0]})")
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                row = int((~torch.isfinite(value)).nonzero()[0][0])
                raise InputError(f"features[{name!r}] holds NaN or infinity (first in row {row}); clean or impute it")
        for name in ("y", "node_mask", "removed", "core", "outside"):
            value = getattr(self, name)
            if value is not None and value.shape[0] != self.num_nodes:
                raise InputError(f"{name} must have {self.num_nodes} entries (got {value.shape[0]})")
        return self

    def partition(self, parts: Mapping[str, Tensor]) -> tuple[Graph, Graph]:
        """Resolve a request: return (forget, retain).

        The forget part holds the edges to forget (incident edges of forgotten nodes and of nodes whose features go
        included), the old values, and in ``node_mask`` the nodes it speaks for. In the retain part those edges are
        gone, forgotten nodes are ``removed`` with their rows zeroed, masked values are zero and forgotten labels -1.

        Args:
            parts: kind -> ids, as in :class:`graphforget.forget.ForgetRequest`.

        Raises:
            InputError: the request does not fit the graph or covers everything.
        """
        return resolve.partition(self, parts)

    def scrub(self, parts: Mapping[str, Tensor], data: Graph) -> Graph:
        """Return this validation view without what a request resolves to on ``data``."""
        return resolve.scrub(self, parts, data)
