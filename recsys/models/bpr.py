"""BPR matrix factorisation (Rendle et al.; arXiv:1205.2618).

::

    y_ui = <e_u, e_i>                                                                                    (1)
    loss = -mean log sigmoid(y_up - y_un) + reg EmbLoss(e_u, e_p, e_n)                                   (2)
    EmbLoss(X_1 .. X_k) = (sum_k ||X_k||_F) / rows(X_k), the un-squared norm of whole batch matrices     (3)

(3) is MMRec's and RecBole's regulariser, not the paper's squared one. ``reg`` is our default, tuned on validation data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.graph import Graph

ROWS: Mapping[str, str] = {"user_embedding": "user", "item_embedding": "item", "shift": "item"}  # of all models here


class BPR(nn.Module):
    """Matrix factorisation trained by Bayesian personalised ranking.

    Args:
        num_users: U.
        num_items: I.
        dim: width of the embeddings.
        reg: weight of (3).

    Example:
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True)
        >>> [tuple(part.shape) for part in BPR(2, 3)(graph)]
        [(2, 64), (3, 64)]
    """

    row_tables: ClassVar[Mapping[str, str]] = ROWS

    def __init__(self, num_users: int, num_items: int, dim: int = 64, reg: float = 1e-2) -> None:
        super().__init__()
        self.user_embedding = nn.Parameter(torch.empty(num_users, dim))
        self.item_embedding = nn.Parameter(torch.empty(num_items, dim))
        self.reg = reg
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw both tables anew (Xavier normal)."""
        nn.init.xavier_normal_(self.user_embedding)
        nn.init.xavier_normal_(self.item_embedding)

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return [U, d] users and [I, d] items; (1) is their product."""
        return self.user_embedding, self.item_embedding

    def loss(self, graph: Graph, index: Tensor) -> Tensor:
        """Return (2) for triples [3, B] of users, positives and negatives."""
        users, items = self(graph)
        u, p, n = rows(users, items, index)
        return ranking(u, p, n) + self.reg * embedding_norm(u, p, n)


def rows(users: Tensor, items: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[B, d] rows of users, positive and negative items of triples [3, B]."""
    return users.index_select(0, index[0]), items.index_select(0, index[1]), items.index_select(0, index[2])


def ranking(u: Tensor, p: Tensor, n: Tensor) -> Tensor:
    """-mean log sigmoid(<u, p> - <u, n>)."""
    return F.softplus(-(u * (p - n)).sum(1)).mean()


def embedding_norm(*parts: Tensor) -> Tensor:
    """(3): the sum of the Frobenius norms over the rows of the last part."""
    return torch.stack([part.norm() for part in parts]).sum() / parts[-1].shape[0]
