"""BM3, bootstrapped multi-modal recommendation without negatives (Zhou et al.; arXiv:2207.05969).

::

    U, I = LGN_L([E_u; E_i]);  I <- I + E_i;  f_m = W_m X_m                                              (1)
    P = one linear map R^d -> R^d;  x' = dropout(stop_grad(x), p)                                        (2)
    loss = [1 - cos(P U_u, I'_i)] + [1 - cos(P I_i, U'_u)] + reg EmbLoss(U, I)                           (3)
           + cl * sum_m ([1 - cos(P f_m,i, I'_i)] + [1 - cos(P f_m,i, f'_m,i)]), means over the batch
    score = <P U_u, P I_i>                                                                               (4)

EmbLoss in (3) runs over all rows, so its divisor is the number of items. X_m is trainable, as published, held as a
shift from the graph's raw features (see :mod:`recsys.models.freedom`). ``layers``, ``dropout``, ``reg`` and ``cl`` are
our defaults, tuned on the validation part of ml_posters; the published cl is 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.graph import Graph
from recsys import derived
from recsys.models.bpr import ROWS, embedding_norm
from recsys.models.freedom import Modality, contents, modules_of
from recsys.models.lightgcn import propagate
from recsys.models.vbpr import named


class BM3(nn.Module):
    """LightGCN and features, drawn together by bootstrapped cosine targets.

    Args:
        num_users: U.
        num_items: I.
        widths: modality -> columns of its features.
        dim: d.
        layers: L.
        dropout: p of (2), in training only.
        reg: weight of EmbLoss.
        modal_weight: cl.

    Example:
        >>> features = {"image": torch.rand(3, 5), "text": torch.rand(3, 4)}
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True, features=features)
        >>> [tuple(part.shape) for part in BM3(2, 3, {"image": 5, "text": 4})(graph)]
        [(2, 64), (3, 64)]
    """

    row_tables: ClassVar[Mapping[str, str]] = ROWS

    def __init__(
        self,
        num_users: int,
        num_items: int,
        widths: Mapping[str, int],
        dim: int = 64,
        layers: int = 1,
        dropout: float = 0.5,
        reg: float = 0.1,
        modal_weight: float = 0.3,
    ) -> None:
        super().__init__()
        self.user_embedding = nn.Parameter(torch.empty(num_users, dim))
        self.item_embedding = nn.Parameter(torch.empty(num_items, dim))
        self.modalities = nn.ModuleDict({name: Modality(num_items, n, dim) for name, n in named(widths).items()})
        self.predictor = nn.Linear(dim, dim)
        self.layers, self.dropout, self.reg, self.modal_weight = layers, dropout, reg, modal_weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the tables (Xavier uniform) and all maps (Xavier normal) anew; the shifts start at zero."""
        nn.init.xavier_uniform_(self.user_embedding)
        nn.init.xavier_uniform_(self.item_embedding)
        self.predictor.reset_parameters()
        nn.init.xavier_normal_(self.predictor.weight)
        for part in modules_of(self.modalities).values():
            part.reset_parameters()
            nn.init.xavier_normal_(part.linear.weight)

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return [U, d] users and [I, d] items behind the predictor, (4)."""
        users, items = self._online(graph)
        return self.predictor(users), self.predictor(items)

    def loss(self, graph: Graph, index: Tensor) -> Tensor:
        """Return (3) for [3, B] users, positives and negatives, which it ignores."""
        users, items = self._online(graph)
        user_target, item_target = self._target(users), self._target(items)
        u, i = index[0], index[1]
        own = _unit(self.predictor(users))[u] * item_target[i] + _unit(self.predictor(items))[i] * user_target[u]
        result = 2 - own.sum(1).mean()
        share = i.bincount(minlength=len(items)).to(items.dtype) / len(i)  # a mean over the batch, item by item
        for value in contents(self.modalities, graph).values():
            cosines = (_unit(self.predictor(value)) * (item_target + self._target(value))).sum(1)
            result = result + self.modal_weight * (2 - share @ cosines)
        return result + self.reg * embedding_norm(users, items)

    def _online(self, graph: Graph) -> tuple[Tensor, Tensor]:
        ego = torch.cat([self.user_embedding, self.item_embedding])
        hidden = propagate(derived.of(graph).adjacency, ego, self.layers)
        users, items = hidden.split([len(self.user_embedding), len(self.item_embedding)])
        return users, items + self.item_embedding

    def _target(self, value: Tensor) -> Tensor:
        return _unit(F.dropout(value.detach(), self.dropout, self.training))


def _unit(value: Tensor) -> Tensor:
    return F.normalize(value, dim=1)
