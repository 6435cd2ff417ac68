"""A graph that is read in parts: CSR and feature arrays in memory or mapped from files, and what was cut from them.

A :class:`Store` never copies its arrays. Forgetting edges gives another Store over the same arrays that also holds the
edges that are gone: it costs the request, not the graph, and every reader sees the retained graph. Of a user-item graph
the CSR is square, items follow the users. Rows are read in blocks, and the pages of a mapped file are given back after
each, so that what is resident stays small however large the file.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest
from graphforget.graph import Graph
from graphforget.kernels import csr
from graphforget.kernels.neighbor import slots_of
from graphforget.kernels.rng import as_seed

IntArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
BLOCK = 1024  # rows of a mapped file read before its pages are given back: a touch can map 64 KiB
NONE: IntArray = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Store:
    """An undirected or user-item graph, read in parts.

    Args:
        indptr: [N + 1] of the square, symmetric CSR over all nodes (items follow the users).
        indices: [E] neighbours, sorted within a row, both directions of every edge.
        size: (num_src, num_dst) as of a :class:`~graphforget.graph.Graph`.
        bipartite: users and items.
        features: {"x": [N, F]} or item modalities, arrays or tensors.
        cut: [c] sorted codes ``row * N + col`` of the directed edges that are gone.
        removed: [m] sorted nodes that are gone; their features read as zeros.

    Example:
        >>> store = Store.of(Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4))
        >>> retained = store.without(torch.tensor([[2], [1]]))
        >>> retained.num_edges, retained.indices is store.indices, retained.degree(np.array([1])).tolist()
        (4, True, [1])
    """

    indptr: IntArray
    indices: IntArray
    size: tuple[int, int]
    bipartite: bool = False
    features: Mapping[str, Array] = field(default_factory=dict)
    cut: IntArray = field(default_factory=NONE.copy)
    removed: IntArray = field(default_factory=NONE.copy)

    @classmethod
    def of(cls, graph: Graph) -> Store:
        """Build from a graph in memory; the CSR is built once, the features are shared.

        Raises:
            InputError: a directed graph, parallel edges or edge attributes: a store serves none.
        """
        if not graph.undirected and not graph.bipartite:
            raise InputError("a store holds undirected or user-item graphs (got a directed one); add the reverse edges")
        if graph.edge_attrs:
            raise InputError(
                f"a store holds graphs without edge attributes (got {sorted(graph.edge_attrs)}); leave them out by "
                "dataclasses.replace(graph, edge_attrs={}), or unlearn on the Graph itself"
            )
        features = {name: value.detach().cpu().numpy() for name, value in graph.features.items()}
        if graph.bipartite:
            users, items = graph.edge_index.cpu().numpy()
            items, total = items + graph.size[0], graph.num_nodes
            both = np.append(users, items), np.append(items, users)
            indptr, indices, _ = csr.from_coo(*both, total, total)
        else:
            indptr, indices, _ = graph.csr
        check_distinct(indptr, indices)
        removed = NONE if graph.removed is None else graph.removed.nonzero().flatten().cpu().numpy()
        return cls(indptr, indices, graph.size, graph.bipartite, features, removed=removed)

    @property
    def num_nodes(self) -> int:
        """N; users plus items of a user-item graph."""
        return len(self.indptr) - 1

    @property
    def num_edges(self) -> int:
        """Retained edges, both directions of each counted, as the CSR holds them."""
        return len(self.indices) - len(self.cut)

    @cached_property
    def cut_rows(self) -> IntArray:
        """[c] rows of the edges that are gone, sorted."""
        return self.cut // self.num_nodes

    def degree(self, nodes: IntArray) -> IntArray:
        """[n] retained neighbours of each node."""
        ends = read(self.indptr, nodes + 1) - read(self.indptr, nodes)
        gone = np.searchsorted(self.cut_rows, nodes, "right") - np.searchsorted(self.cut_rows, nodes)
        degree: IntArray = ends - gone
        return degree

    def neighbors(self, nodes: IntArray, fan_out: int, seed: int) -> tuple[IntArray, IntArray]:
        """Return the retained neighbours of some nodes, or a uniform sample of them.

        Args:
            nodes: [n].
            fan_out: at most so many a node, without replacement; -1 takes all.
            seed: of the sample.

        Returns:
            owner [m], a position in ``nodes``, and neighbour [m].
        """
        starts = read(self.indptr, nodes)
        local = np.concatenate([[0], np.cumsum(read(self.indptr, nodes + 1) - starts)])
        rows = np.arange(len(nodes))
        none = np.broadcast_to(np.int64(0), (int(local[-1]),))  # only its length is asked for
        offsets, slots = slots_of(local, none, rows, fan_out, as_seed(seed), False)
        owner = np.repeat(rows, np.diff(offsets))
        found = read(self.indices, slots - local[owner] + starts[owner])
        kept = self._retained(nodes[owner], found)
        return owner[kept], found[kept]

    def has(self, rows: IntArray, cols: IntArray) -> npt.NDArray[np.bool_]:
        """[n] is (row, col) a retained edge; user-item pairs in the CSR's ids."""
        found = csr.contains(self.indptr, self.indices, rows, cols)
        give_back(self.indptr, self.indices)
        there: npt.NDArray[np.bool_] = found & self._retained(rows, cols)
        return there

    def without(self, pairs: Tensor) -> Store:
        """Return the store without some edges, over the same arrays; O(request).

        Args:
            pairs: [2, n] edges in any direction, (user, item) of a user-item graph.

        Raises:
            InputError: an edge is not there; the first five are named.
        """
        rows, cols = self.ids(pairs)
        missing = ~self.has(rows, cols)
        if missing.any():
            some = [tuple(pair) for pair in pairs.T[torch.from_numpy(missing)][:5].tolist()]
            raise InputError(f"{int(missing.sum())} of the edges do not exist in the graph (first: {some})")
        codes = np.concatenate([self.cut, rows * self.num_nodes + cols, cols * self.num_nodes + rows])
        return replace(self, cut=np.unique(codes))

    def resolve(self, request: ForgetRequest) -> tuple[Tensor, IntArray]:
        """Return [2, k] the edges that a request takes away, those of its nodes included, and [m] its nodes.

        Args:
            request: ``edge`` and ``node``; of a user-item graph ``interaction``, ``user`` and ``item`` as well. Edges
                are named as pairs.

        Raises:
            InputError: another kind, ids out of range, or nodes that are gone already.

        Example:
            >>> store = Store.of(Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4))
            >>> pairs, nodes = store.resolve(ForgetRequest.of("node", [2]))
            >>> pairs.tolist(), nodes.tolist()
            ([[1, 2], [2, 3]], [2])
        """
        first = {"node": 0, **({"user": 0, "item": self.size[0]} if self.bipartite else {})}
        named = ("edge", *(("interaction",) if self.bipartite else ()))
        pairs, nodes = [NONE.reshape(2, 0)], [NONE]
        for kind, ids in request.parts.items():
            if kind in named:
                pairs.append(np.stack(self.ids(ids)))
            elif kind in first:
                limit = {"user": self.size[0], "item": self.size[1]}.get(kind, self.num_nodes)
                nodes.append(self._nodes(kind, ids, limit) + first[kind])
            else:
                raise unknown("request kind", kind, (*named, *first))
        gone = np.unique(np.concatenate(nodes))
        if len(twice := np.intersect1d(gone, self.removed)):
            raise InputError(f"node {twice[0]} was forgotten by an earlier request; remove it from this one")
        owner, found = self.neighbors(gone, -1, 0)
        rows, cols = np.concatenate([*pairs, np.stack([gone[owner], found])], axis=1)
        code = np.unique(np.minimum(rows, cols) * self.num_nodes + np.maximum(rows, cols))
        return self.pairs(code // self.num_nodes, code % self.num_nodes), gone

    def forget(self, request: ForgetRequest) -> Store:
        """Return the store without what a request names, over the same arrays; O(request and the edges of its nodes).

        Raises:
            InputError: the request does not fit the store, or covers every edge.

        Example:
            >>> store = Store.of(Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4))
            >>> store.forget(ForgetRequest.of("node", [3])).removed.tolist()
            [3]
        """
        return self.less(*self.resolve(request))

    def less(self, pairs: Tensor, nodes: IntArray) -> Store:
        """Return the store without what :meth:`resolve` found.

        Raises:
            InputError: this is every edge.
        """
        less = self.without(pairs) if pairs.numel() else self
        if not less.num_edges:
            raise InputError("the request covers everything the model learned from; train a new model instead")
        return replace(less, removed=np.union1d(self.removed, nodes))

    def sample(self, count: int, seed: int) -> Tensor:
        """Draw [2, at most count] distinct retained edges uniformly, (low, high) or (user, item)."""
        if not len(self.indices):
            return torch.empty(2, 0, dtype=torch.int64)
        slots = np.unique(np.random.default_rng(seed).integers(0, len(self.indices), count))
        rows = np.searchsorted(self.indptr, slots, side="right") - 1
        cols = read(self.indices, slots)
        give_back(self.indptr)
        kept = self._retained(rows, cols) & (rows != cols)
        low, high = np.minimum(rows, cols)[kept], np.maximum(rows, cols)[kept]
        code = np.unique(low * self.num_nodes + high)
        return self.pairs(code // self.num_nodes, code % self.num_nodes)

    def ids(self, pairs: Tensor) -> tuple[IntArray, IntArray]:
        """([n], [n]) the CSR's ids of both ends of [2, n] pairs.

        Raises:
            InputError: no pairs, or an id out of range.
        """
        if pairs.dim() != 2 or pairs.shape[0] != 2 or not pairs.shape[1]:
            raise InputError(f"edges must be pairs [2, n], at least one (got {list(pairs.shape)})")
        for row, limit in zip(pairs, self.size, strict=True):
            low, high = int(row.min()), int(row.max())
            if low < 0 or high >= limit:
                raise InputError(f"edge ids must lie in [0, {limit}) (got {low if low < 0 else high})")
        rows, cols = pairs.cpu().long().numpy()
        return rows, cols + self.size[0] if self.bipartite else cols

    def pairs(self, rows: IntArray, cols: IntArray) -> Tensor:
        """[2, n] edges from the CSR's ids; of a user-item graph the rows are users."""
        return torch.from_numpy(np.stack([rows, cols - self.size[0] if self.bipartite else cols]))

    def rows(self, name: str, ids: IntArray) -> Tensor:
        """[n, F] rows of a feature array, copied; those of nodes that are gone are zeros."""
        found = read(self.features[name], ids)
        if len(self.removed):
            found[np.isin(ids if name == "x" else ids + self.size[0], self.removed)] = 0
        return torch.from_numpy(found)

    def graph(self) -> Graph:
        """Copy the retained graph into memory."""
        rows = np.repeat(np.arange(self.num_nodes), np.diff(self.indptr))
        kept = self._retained(rows, np.asarray(self.indices))
        if self.bipartite:
            kept &= rows < self.size[0]
        edges = self.pairs(rows[kept], np.asarray(self.indices)[kept])
        features = {name: self.rows(name, np.arange(len(value))) for name, value in self.features.items()}
        removed = None
        if len(self.removed):
            removed = torch.zeros(self.num_nodes, dtype=torch.bool)
            removed[torch.from_numpy(self.removed)] = True
        return Graph(edges, self.size, self.bipartite, not self.bipartite, features, removed=removed)

    def _nodes(self, kind: str, ids: Tensor, limit: int) -> IntArray:
        if ids.dim() != 1:
            raise InputError(f"{kind} ids must have shape [n] (got {list(ids.shape)})")
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= limit:
            raise InputError(f"{kind} ids must lie in [0, {limit}) (got {low if low < 0 else high})")
        nodes: IntArray = ids.cpu().long().numpy()
        return nodes

    def _retained(self, rows: IntArray, cols: IntArray) -> npt.NDArray[np.bool_]:
        if not len(self.cut):
            return np.ones(len(rows), dtype=bool)
        code = rows * self.num_nodes + cols
        place = np.minimum(np.searchsorted(self.cut, code), len(self.cut) - 1)
        kept: npt.NDArray[np.bool_] = self.cut[place] != code
        return kept


def check_distinct(indptr: IntArray, indices: IntArray, first: int = 0) -> None:
    """Raise InputError when a row (sorted) names a neighbour twice; ``first`` is the id of the first row."""
    twice = np.flatnonzero(indices[1:] == indices[:-1]) + 1
    rows = np.searchsorted(indptr, twice, side="right") - 1
    if len(bad := np.flatnonzero(indptr[rows] != twice)):
        row, other = first + int(rows[bad[0]]), int(indices[twice[bad[0]]])
        raise InputError(f"edges must be distinct (got ({row}, {other}) more than once); write each once")


def read(array: Array, rows: IntArray) -> Array:
    """Copy some rows of an array; of a mapped one in blocks whose pages are given back."""
    if mapping(array) is None or not len(rows):
        return np.asarray(array[rows])
    order = np.argsort(rows, kind="stable")  # rows of one page together
    out = np.empty((len(rows), *array.shape[1:]), dtype=array.dtype)
    for block in np.array_split(order, -(-len(rows) // BLOCK)):
        out[block] = array[rows[block]]
        give_back(array)
    return out


def write(array: Array, rows: IntArray, values: Array) -> None:
    """Set some rows of an array; of a mapped one in blocks whose pages are given back."""
    order = np.argsort(rows, kind="stable")
    for block in np.array_split(order, max(-(-len(rows) // BLOCK), 1)):
        array[rows[block]] = values[block]
        give_back(array)


def give_back(*arrays: Array) -> None:
    """Let the pages of mapped arrays go; they are read from the file again when they are needed."""
    for array in arrays:
        found = mapping(array)
        if found is not None and hasattr(mmap, "MADV_DONTNEED"):
            found.madvise(mmap.MADV_DONTNEED)


def mapping(array: Array) -> mmap.mmap | None:
    """The memory map behind an array that is a view of a file and not a private copy of it."""
    found = getattr(array, "_mmap", None)
    shared = getattr(array, "mode", None) in ("r", "r+", "w+")  # what was written there is not lost with the page
    return found if isinstance(found, mmap.mmap) and shared else None
