"""One owner of everything that is computed from interactions or features.

A :class:`Derived` belongs to one :class:`~graphforget.graph.Graph`, which is frozen: the retain part of a request is
another Graph and has another Derived, so no request can leave a stale adjacency, item graph or popularity table behind.
It is kept in a weak table: when the graph goes, all of it goes.

Source of the matrices: LightGCN (arXiv:2002.02126, eq. 7-8), FREEDOM (arXiv:2211.06924), MGCN (arXiv:2308.03588).
"""

from __future__ import annotations

from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.errors import unknown
from graphforget.graph import Graph
from graphforget.kernels import csr
from graphforget.sparse import Sparse, of_coo

IntArray = npt.NDArray[np.int64]
BLOCK = 1024  # rows of the similarity matrix held at once


class Derived:
    """Matrices and tables of one bipartite graph, each built when it is first asked for.

    Args:
        graph: users are rows, items columns.

    Example:
        >>> graph = Graph(torch.tensor([[0, 0, 1], [0, 1, 1]]), (2, 2), bipartite=True)
        >>> of(graph) is of(graph), of(graph).item_degree.tolist()
        (True, [1, 2])
    """

    def __init__(self, graph: Graph) -> None:
        self.users, self.items = graph.edge_index
        self.size = graph.size
        self._features = graph.features  # the tensors, not the graph: a reference to it would keep it alive
        self._removed = graph.removed
        self._core = graph.core
        self._outside = graph.outside  # of a local part of a larger graph: degrees count what is not in it
        self._knn: dict[tuple[str, int, bool], Sparse] = {}

    @cached_property
    def user_degree(self) -> Tensor:
        """[U] interactions of each user."""
        inside = torch.bincount(self.users, minlength=self.size[0])
        return inside if self._outside is None else inside + self._outside[: self.size[0]]

    @cached_property
    def item_degree(self) -> Tensor:
        """[I] interactions of each item: its popularity."""
        inside = torch.bincount(self.items, minlength=self.size[1])
        return inside if self._outside is None else inside + self._outside[self.size[0] :]

    @cached_property
    def values(self) -> Tensor:
        """[E] entry of each interaction in the normalised adjacency: (d_u d_i)^-1/2."""
        degree = self.user_degree[self.users].double() * self.item_degree[self.items].double()
        return degree.rsqrt().to(torch.get_default_dtype())

    @cached_property
    def adjacency(self) -> Sparse:
        """[U + I, U + I] symmetric normalised adjacency D^-1/2 A D^-1/2, no self-loops; items follow the users."""
        if self._outside is None:
            return self.propagation(self.users, self.items, self.values)
        rows, cols = (
            torch.cat([self.users, self.items + self.size[0]]),
            torch.cat([self.items + self.size[0], self.users]),
        )
        total = sum(self.size)
        inside = torch.bincount(rows, minlength=total)
        stands_for = (inside + self._outside) / inside.clamp(min=1)  # messages that a message here stands for
        values = torch.cat([self.values, self.values]) * stands_for[rows].to(self.values)
        return of_coo(rows, cols, values, (total, total))

    def propagation(self, users: Tensor, items: Tensor, values: Tensor) -> Sparse:
        """[U + I, U + I] symmetric matrix with ``values`` at (user, item) and (item, user)."""
        rows, cols = torch.cat([users, items + self.size[0]]), torch.cat([items + self.size[0], users])
        total = sum(self.size)
        matrix = of_coo(rows, cols, torch.cat([values, values]), (total, total)).matrix
        return Sparse(matrix, matrix)  # symmetric: it is its own transpose

    @cached_property
    def user_item(self) -> Sparse:
        """[U, I] the user-item block R of the normalised adjacency."""
        return of_coo(self.users, self.items, self.values, self.size)

    @cached_property
    def positives(self) -> tuple[IntArray, IntArray]:
        """(indptr [U + 1], indices): each user's items, sorted."""
        indptr, indices, _ = csr.from_coo(self.users.cpu().numpy(), self.items.cpu().numpy(), *self.size)
        return indptr, indices

    @cached_property
    def fans(self) -> tuple[IntArray, IntArray]:
        """(indptr [I + 1], indices): each item's users, sorted."""
        indptr, indices, _ = csr.from_coo(
            self.items.cpu().numpy(), self.users.cpu().numpy(), self.size[1], self.size[0]
        )
        return indptr, indices

    @cached_property
    def catalogue(self) -> Tensor:
        """[n] the items that are not removed from this graph; of a local part those of its core."""
        kept = torch.ones(self.size[1], dtype=torch.bool, device=self.items.device)
        if self._removed is not None:
            kept &= ~self._removed[self.size[0] :]
        if self._core is not None:
            kept &= self._core[self.size[0] :]
        return kept.nonzero().flatten()

    def knn(self, modality: str, k: int = 10, *, weighted: bool = False) -> Sparse:
        """[I, I] graph of the k items with the nearest features by cosine, the item itself among them.

        Args:
            modality: a key of the graph's features.
            k: neighbours an item.
            weighted: entries are similarities normalised by row sums (MGCN); else 1 normalised by degrees (FREEDOM).

        An item without features (a zero row, as a withdrawn licence leaves it) has no neighbour and is none.
        """
        if modality not in self._features:
            raise unknown("modality", modality, tuple(self._features))
        key = (modality, k, weighted)
        if key not in self._knn:
            self._knn[key] = _knn(self._features[modality], k, weighted)
        return self._knn[key]


_TABLE: WeakKeyDictionary[Graph, Derived] = WeakKeyDictionary()


def of(graph: Graph) -> Derived:
    """Return the one Derived of a graph, built once as long as that very graph lives."""
    found = _TABLE.get(graph)
    if found is None:
        found = _TABLE[graph] = Derived(graph)
    return found


def _knn(features: Tensor, k: int, weighted: bool) -> Sparse:
    present = (features != 0).any(1).nonzero().flatten()
    unit = F.normalize(features[present].to(torch.get_default_dtype()), dim=1)
    k = min(k, len(present))
    near, weight = [], []
    for block in unit.split(BLOCK):
        found = (block @ unit.T).topk(k, dim=1)
        near.append(present[found.indices])
        weight.append(found.values)
    size = (features.shape[0], features.shape[0])
    if not near:
        empty = torch.empty(0, dtype=torch.int64, device=features.device)
        return of_coo(empty, empty, torch.empty(0, device=features.device), size)
    rows, cols = present.repeat_interleave(k), torch.cat(near).flatten()
    value = torch.cat(weight).flatten() if weighted else torch.ones(len(rows), device=features.device)
    total = torch.zeros(size[0], device=features.device).index_add(0, rows, value)
    scale = total.clamp(min=1e-12).rsqrt().masked_fill(total <= 0, 0)  # a negative row sum would give NaN
    return of_coo(rows, cols, scale[rows] * value * scale[cols], size)
