"""FREEDOM (Zhou and Shen; arXiv:2211.06924).

::

    S = sum_m w_m S_m,  S_m: unweighted cosine kNN of raw features, k = 10 with the item itself          (1)
    A_m: floor((1 - rho) |E|) edges drawn each epoch, p ~ (d_u d_i)^-1/2, normalised by their degrees    (2)
    U, I = LGN_L([E_u; E_i]) over A_m in training, over A_hat in evaluation;   I <- I + S^l E_i          (3)
    loss = BPR(u, I) + lambda * sum_m BPR(u, W_m X_m),   BPR = -mean log sigmoid(p - n), no L2           (4)

X_m is trainable, as published: here a learned shift is added to the raw features of the graph, so features that are
withdrawn from a graph are gone at once and a never-trained model starts at the raw ones. In (1) the weight of "image"
is w_v beside other modalities, which share the rest; without "image", or alone, the weights are equal. rho, lambda and
w_v are our defaults, checked on the validation part of ml_posters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from weakref import ref

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.sparse import Sparse, product
from recsys import derived
from recsys.models.bpr import ROWS, ranking, rows
from recsys.models.lightgcn import propagate
from recsys.models.vbpr import named, raw


class FREEDOM(nn.Module):
    """LightGCN on a thinned graph, plus a frozen item-item graph of the features.

    Args:
        num_users: U.
        num_items: I.
        widths: modality -> columns of its features.
        dim: d.
        layers: L of (3).
        item_layers: l of (3).
        k: neighbours an item in (1).
        image_weight: w_v.
        rho: share of the edges that each epoch leaves out, in [0, 1).
        modal_weight: lambda.

    Raises:
        InputError: rho outside [0, 1).

    Example:
        >>> features = {"image": torch.rand(3, 5), "text": torch.rand(3, 4)}
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True, features=features)
        >>> [tuple(part.shape) for part in FREEDOM(2, 3, {"image": 5, "text": 4})(graph)]
        [(2, 64), (3, 64)]
    """

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
        image_weight: float = 0.1,
        rho: float = 0.8,
        modal_weight: float = 1e-3,
    ) -> None:
        super().__init__()
        if not 0 <= rho < 1:
            raise InputError(f"rho is the share of edges to leave out, in [0, 1) (got {rho})")
        self.user_embedding = nn.Parameter(torch.empty(num_users, dim))
        self.item_embedding = nn.Parameter(torch.empty(num_items, dim))
        self.modalities = nn.ModuleDict({name: Modality(num_items, n, dim) for name, n in named(widths).items()})
        self.layers, self.item_layers, self.k, self.rho = layers, item_layers, k, rho
        self.image_weight, self.modal_weight = image_weight, modal_weight
        self._drawn: tuple[ref[Graph], Sparse] | None = None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the tables (Xavier uniform) and the maps anew; the shifts start at zero."""
        nn.init.xavier_uniform_(self.user_embedding)
        nn.init.xavier_uniform_(self.item_embedding)
        for part in modules_of(self.modalities).values():
            part.reset_parameters()
        self._drawn = None

    def begin_epoch(self, graph: Graph, rng: torch.Generator) -> None:
        """Draw the edges of (2) that :meth:`loss` sees on this very graph while the model trains.

        Args:
            graph: E.
            rng: where the draw comes from.
        """
        table = derived.of(graph)
        # the smallest k of Exp(1) / p: k draws without replacement
        clock = torch.empty(graph.num_edges, device=rng.device).exponential_(generator=rng).to(graph.device)
        count = int(round((1 - self.rho) * graph.num_edges, 6))  # 1 - .8 is a little less than .2
        kept = (clock / table.values).topk(count, largest=False).indices
        users, items = table.users[kept], table.items[kept]
        degrees = users.bincount(minlength=graph.size[0])[users], items.bincount(minlength=graph.size[1])[items]
        values = (degrees[0].double() * degrees[1]).rsqrt().to(table.values.dtype)
        self._drawn = ref(graph), table.propagation(users, items, values)

    def forward(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return [U, d] users and [I, d] items over the whole graph, (3)."""
        return self._propagated(graph, derived.of(graph).adjacency)

    def loss(self, graph: Graph, index: Tensor) -> Tensor:
        """Return (4) for triples [3, B] of users, positives and negatives."""
        drawn = self._drawn if self.training else None
        thinned = drawn is not None and drawn[0]() is graph
        users, items = self._propagated(graph, drawn[1] if drawn and thinned else derived.of(graph).adjacency)
        result = ranking(*rows(users, items, index))
        for part in contents(self.modalities, graph).values():
            result = result + self.modal_weight * ranking(*rows(users, part, index))
        return result

    def _propagated(self, graph: Graph, adjacency: Sparse) -> tuple[Tensor, Tensor]:
        ego = torch.cat([self.user_embedding, self.item_embedding])
        users, items = propagate(adjacency, ego, self.layers).split(
            [len(self.user_embedding), len(self.item_embedding)]
        )
        weights = modal_weights(tuple(self.modalities), self.image_weight)
        similar: Tensor = self.item_embedding
        for _ in range(self.item_layers):
            graphs = {name: derived.of(graph).knn(name, self.k) for name in weights}
            similar = torch.stack([weights[name] * product(graphs[name], similar) for name in weights]).sum(0)
        return users, items + similar

    def __getstate__(self) -> dict[str, Any]:
        """Leave this epoch's draw behind: a copy or a file of the model has none."""
        return {**self.__dict__, "_drawn": None}


class Modality(nn.Module):
    """W_m X_m: a trainable table of features, held as a shift from the raw ones, and its linear map.

    Args:
        num_items: I.
        width: F, columns of the raw features.
        dim: d.

    Example:
        >>> Modality(3, 5, 2)(torch.rand(3, 5)).shape
        torch.Size([3, 2])
    """

    def __init__(self, num_items: int, width: int, dim: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.empty(num_items, width))
        self.linear = nn.Linear(width, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the shift to zero and draw the map anew."""
        nn.init.zeros_(self.shift)
        self.linear.reset_parameters()

    def forward(self, features: Tensor) -> Tensor:
        """Return [I, d] of raw features [I, F]."""
        result: Tensor = self.linear(features + self.shift)
        return result


def modules_of(modalities: nn.ModuleDict) -> dict[str, Modality]:
    """The parts of a model by modality, typed."""
    return {name: part for name, part in modalities.items() if isinstance(part, Modality)}


def contents(modalities: nn.ModuleDict, graph: Graph) -> dict[str, Tensor]:
    """W_m X_m of each modality, [I, d], on a graph's features."""
    return {name: part(raw(graph, name, part.shift.shape[1])) for name, part in modules_of(modalities).items()}


def modal_weights(names: tuple[str, ...], image_weight: float) -> dict[str, float]:
    """The weights w_m of (1), which sum to one.

    Example:
        >>> modal_weights(("image", "text"), 0.25), modal_weights(("audio", "text"), 0.25)
        ({'image': 0.25, 'text': 0.75}, {'audio': 0.5, 'text': 0.5})
    """
    if "image" not in names or len(names) == 1:
        return dict.fromkeys(names, 1 / len(names))
    return {name: image_weight if name == "image" else (1 - image_weight) / (len(names) - 1) for name in names}
