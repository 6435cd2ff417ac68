"""LightGCN (He et al.; arXiv:2002.02126).

::

    Z = mean(E, A E, ..., A^L E),  E = [E_u; E_i],  A = D^-1/2 A D^-1/2 of the context                   (1)
    loss = -mean log sigmoid(<z_u, z_p> - <z_u, z_n>) + reg EmbLoss(e_u, e_p, e_n) on the ego rows       (2)

The adjacency belongs to the context (:mod:`recsys.derived`), never to the model: there is no cache to go stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from graphforget import parallel
from graphforget.graph import Graph
from graphforget.sparse import Sparse, product
from recsys import derived
from recsys.models.bpr import ROWS, embedding_norm, ranking, rows


def propagate(adjacency: Sparse, value: Tensor, layers: int) -> Tensor:
    """[N, d] mean of a table and its ``layers`` propagations: LGN_L of (1)."""

    def mean(value: Tensor) -> Tensor:
        total = value
        for _ in range(layers):
            value = product(adjacency, value)
            total = total + value
        return total / (layers + 1)

    return parallel.by_columns(mean, value)


class LightGCN(nn.Module):
    """Linear propagation of id embeddings.

    Args:
        num_users: U.
        num_items: I.
        dim: width of the embeddings.
        layers: L.
        reg: weight of the regulariser.

    Example:
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True)
        >>> [tuple(part.shape) for part in LightGCN(2, 3)(graph)]
        [(2, 64), (3, 64)]
    """

    row_tables: ClassVar[Mapping[str, str]] = ROWS

    def __init__(self, num_users: int, num_items: int, dim: int = 64, layers: int = 2, reg: float = 1e-4) -> None:
        super().__init__()
        self.user_embedding = nn.Parameter(torch.empty(num_users, dim))
        self.item_embedding = nn.Parameter(torch.empty(num_items, dim))
        self.layers, self.reg = layers, reg
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both tables anew (Xavier uniform)."""
        nn.init.xavier_uniform_(self.user_embedding)
        nn.init.xavier_uniform_(self.item_embedding)

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return [U, d] users and [I, d] items propagated on a graph, (1)."""
        ego = torch.cat([self.user_embedding, self.item_embedding])
        hidden = propagate(derived.of(graph).adjacency, ego, self.layers)
        users, items = hidden.split([len(self.user_embedding), len(self.item_embedding)])
        return users, items

    def loss(self, graph: Graph, index: Tensor) -> Tensor:
        """Return (2) for triples [3, B] of users, positives and negatives."""
        users, items = self(graph)
        ego = rows(self.user_embedding, self.item_embedding, index)
        return ranking(*rows(users, items, index)) + self.reg * embedding_norm(*ego)
