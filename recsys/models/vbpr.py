"""VBPR in MMRec's form (He and McAuley; arXiv:1510.01784).

::

    z_u in R^2d,   z_i = [e_i ; W [t_i ; v_i] + b]                                                       (1)
    loss = -mean log sigmoid(<z_u, z_p> - <z_u, z_n>) + reg EmbLoss(z_u, z_p, z_n)                       (2)

The raw features are frozen and come from the graph at each call. They are concatenated in reverse alphabetical order
of their names, which is MMRec's text first, then image. Deviation from the paper: no visual bias. ``reg`` is our
default, tuned on the validation part of ml_posters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.graph import Graph
from recsys.models.bpr import ROWS, embedding_norm, ranking


class VBPR(nn.Module):
    """Matrix factorisation whose items also carry a linear map of their features.

    Args:
        num_users: U.
        num_items: I.
        widths: modality -> columns of its features.
        dim: d; users and items get 2d.
        reg: weight of EmbLoss in (2).

    Example:
        >>> features = {"image": torch.rand(3, 5)}
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True, features=features)
        >>> [tuple(part.shape) for part in VBPR(2, 3, {"image": 5}, dim=8)(graph)]
        [(2, 16), (3, 16)]
    """

    row_tables: ClassVar[Mapping[str, str]] = ROWS

    def __init__(
        self, num_users: int, num_items: int, widths: Mapping[str, int], dim: int = 64, reg: float = 1.0
    ) -> None:
        super().__init__()
        self.widths = {name: widths[name] for name in sorted(named(widths), reverse=True)}
        self.user_embedding = nn.Parameter(torch.empty(num_users, 2 * dim))
        self.item_embedding = nn.Parameter(torch.empty(num_items, dim))
        self.linear = nn.Linear(sum(self.widths.values()), dim)
        self.reg = reg
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the tables (Xavier uniform) and the map (Xavier normal) anew; its bias starts at zero."""
        nn.init.xavier_uniform_(self.user_embedding)
        nn.init.xavier_uniform_(self.item_embedding)
        nn.init.xavier_normal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return [U, 2d] users and [I, 2d] items, (1)."""
        return self.user_embedding, self._items(graph, torch.arange(len(self.item_embedding), device=graph.device))

    def loss(self, graph: Graph, index: Tensor) -> Tensor:
        """Return (2) for triples [3, B] of users, positives and negatives."""
        ids, where = index[1:].unique(return_inverse=True)  # the map is applied once to each item of the batch
        items = self._items(graph, ids)
        u, p, n = self.user_embedding[index[0]], items[where[0]], items[where[1]]
        return ranking(u, p, n) + self.reg * embedding_norm(u, p, n)

    def _items(self, graph: Graph, ids: Tensor) -> Tensor:
        parts = [raw(graph, name, width)[ids] for name, width in self.widths.items()]
        content = self.linear(torch.cat(parts, dim=1).to(self.linear.weight.dtype))
        return torch.cat([self.item_embedding[ids], content], dim=1)


def named(widths: Mapping[str, int]) -> Mapping[str, int]:
    """Return the widths of a model's modalities once they are fit for use.

    Raises:
        InputError: none at all, or a name that cannot name a parameter.
    """
    if not widths:
        raise InputError("a multimodal model needs at least one modality (got none); pass widths={'image': 128}")
    for name in widths:
        if not name or "." in name or hasattr(nn.ModuleDict(), name):
            raise InputError(f"a modality's name becomes part of parameter names (got {name!r}); use a plain word")
    return widths


def raw(graph: Graph, name: str, width: int) -> Tensor:
    """[I, F] the features of a modality, as the graph holds them.

    Raises:
        InputError: the graph lacks the modality, or has another number of columns than the model was built for.
    """
    if name not in graph.features:
        raise unknown("modality", name, tuple(graph.features))
    value = graph.features[name]
    if value.shape[1] != width:
        raise InputError(f"features[{name!r}] must have {width} columns, as the model was built (got {value.shape[1]})")
    return value
