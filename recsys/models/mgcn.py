"""MGCN, multi-view graph convolution for multimedia recommendation (Yu et al.; arXiv:2308.03588).

::

    x_m = E_i * sigma(G_m (W_m X_m));  x_m <- S_m x_m;  V_m = [R x_m ; x_m]                              (1)
    C = LGN_2([E_u; E_i]);  att = softmax_m q(V_m),  q = w2 tanh(W1 . + b1)                              (2)
    common = sum_m att_m V_m                                                                             (3)
    side = (common + sum_m sigma(P_m C) * (V_m - common)) / (1 + number of modalities);  Z = C + side    (4)
    loss = -mean log sigmoid(<z_u, z_p> - <z_u, z_n>) + reg / 2 * sum (|z_u|^2 + |z_p|^2 + |z_n|^2) / B  (5)
           + cl * (InfoNCE(side_p, C_p) + InfoNCE(side_u, C_u)), in-batch, cosine / .2

S_m is the cosine kNN graph weighted by similarity, R the user-item block of A_hat. X_m is trainable, as published,
held as a shift from the graph's raw features (see :mod:`recsys.models.freedom`). Deviation: B in (5) is the number of
triples at hand; the published code divides a short last batch by the configured size. The published learning rate
decays by .96 in 50 epochs. ``cl`` is our default, checked on the validation part of ml_posters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.graph import Graph
from graphforget.sparse import product
from recsys import derived
from recsys.models.bpr import ROWS, ranking, rows
from recsys.models.freedom import Modality, contents, modules_of
from recsys.models.lightgcn import propagate
from recsys.models.vbpr import named


class MGCN(nn.Module):
    """Behaviour-gated features propagated beside the id embeddings and aligned with them.

    Args:
        num_users: U.
        num_items: I.
        widths: modality -> columns of its features.
        dim: d.
        layers: layers of C in (2).
        item_layers: times that S_m is applied in (1).
        k: neighbours an item in S_m.
        reg: weight of the squared norms.
        contrast_weight: cl.

    Example:
        >>> features = {"image": torch.rand(3, 5), "text": torch.rand(3, 4)}
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True, features=features)
        >>> [tuple(part.shape) for part in MGCN(2, 3, {"image": 5, "text": 4})(graph)]
        [(2, 64), (3, 64)]
    """

    temperature = 0.2
    row_tables: ClassVar[Mapping[str, str]] = ROWS

    def __init__(
        self,
        num_users: int,
        num_items: int,
        widths: Mapping[str, int],
        dim: int = 64,
        layers: int = 2,
        item_layers: int = 1,
        k: int = 10,
        reg: float = 1e-4,
        contrast_weight: float = 0.01,
    ) -> None:
        super().__init__()
        self.user_embedding = nn.Parameter(torch.empty(num_users, dim))
        self.item_embedding = nn.Parameter(torch.empty(num_items, dim))
        self.modalities = nn.ModuleDict({name: Modality(num_items, n, dim) for name, n in named(widths).items()})
        self.gates = nn.ModuleDict({name: nn.Linear(dim, dim) for name in widths})  # G_m
        self.preferences = nn.ModuleDict({name: nn.Linear(dim, dim) for name in widths})  # P_m
        self.query = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))
        self.layers, self.item_layers, self.k = layers, item_layers, k
        self.reg, self.contrast_weight = reg, contrast_weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the tables (Xavier uniform) and the maps anew; the shifts start at zero."""
        nn.init.xavier_uniform_(self.user_embedding)
        nn.init.xavier_uniform_(self.item_embedding)
        for part in modules_of(self.modalities).values():
            part.reset_parameters()
        for layer in (*self.gates.values(), *self.preferences.values(), *self.query):
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return [U, d] users and [I, d] items, Z of (4)."""
        behaviour, side = self._views(graph)
        users, items = (behaviour + side).split(graph.size)
        return users, items

    def loss(self, graph: Graph, index: Tensor) -> Tensor:
        """Return (5) for triples [3, B] of users, positives and negatives."""
        behaviour, side = self._views(graph)
        users, items = (behaviour + side).split(graph.size)
        u, p, n = rows(users, items, index)
        norms = (u.square().sum() + p.square().sum() + n.square().sum()) / (2 * index.shape[1])
        contrast = sum(info_nce(side, behaviour, ids, self.temperature) for ids in (index[0], index[1] + graph.size[0]))
        return ranking(u, p, n) + self.reg * norms + self.contrast_weight * contrast

    def _views(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """C and side, [U + I, d] each."""
        table = derived.of(graph)
        behaviour = propagate(table.adjacency, torch.cat([self.user_embedding, self.item_embedding]), self.layers)
        views = {}
        for name, content in contents(self.modalities, graph).items():
            x = self.item_embedding * torch.sigmoid(self.gates[name](content))
            for _ in range(self.item_layers):
                x = product(table.knn(name, self.k, weighted=True), x)
            views[name] = torch.cat([product(table.user_item, x), x])
        attention = torch.cat([self.query(view) for view in views.values()], dim=1).softmax(1)
        common = torch.stack([a[:, None] * view for a, view in zip(attention.T, views.values(), strict=True)]).sum(0)
        side = common
        for name, view in views.items():
            side = side + torch.sigmoid(self.preferences[name](behaviour)) * (view - common)
        return behaviour, side / (1 + len(views))


def info_nce(one: Tensor, other: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """Mean over a batch of -log of the softmax, at its own row, of the cosines with all rows of the batch.

    Equal rows of the batch are computed once and counted, which changes no value: a batch of 2,048 interactions holds
    a few hundred different users.

    Args:
        one: [N, d].
        other: [N, d].
        ids: [B] rows that the batch takes from both, with repetitions.
        temperature: divides the cosines.

    Example:
        >>> info_nce(torch.eye(2), torch.eye(2), torch.tensor([0, 0, 1]), 1.0)
        tensor(0.7585)
    """
    distinct, count = ids.unique(return_counts=True)
    a, b = F.normalize(one[distinct], dim=1) / temperature, F.normalize(other[distinct], dim=1)
    count = count.to(a.dtype)
    total = torch.exp(a @ b.T - 1 / temperature) @ count  # a cosine is at most 1: nothing overflows
    own = (a * b).sum(1) - 1 / temperature
    result: Tensor = (count * (total.log() - own)).sum() / len(ids)
    return result
