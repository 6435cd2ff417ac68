"""The smallest world in which every random choice of a method is forced: the complete graph of four nodes.

Once (0, 1) is forgotten it is the only pair that is no retained edge, so every negative is that pair.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.task import LinkPrediction
from graphforget.graph import Graph
from graphforget.train import seeded

FORGET = [(0, 1)]
RETAIN = [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
NEGATIVES = FORGET * len(RETAIN)
X = np.random.default_rng(5).normal(size=(4, 3))
TASK = LinkPrediction(layer_names=("first", "second"))


class Layer(nn.Linear):
    """A x W with A = I + adjacency."""

    def forward(self, x, edge_index):
        h = super().forward(x)
        return h.index_add(0, edge_index[1], h[edge_index[0]])


class Tiny(nn.Module):
    """z = A relu(A x W1) W2 in float64."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Layer(3, 3, bias=False).double(), Layer(3, 2, bias=False).double()

    def forward(self, x, edge_index):
        return self.second(self.first(x, edge_index).relu(), edge_index)


def model(seed: int = 0) -> Tiny:
    with seeded(seed):
        return Tiny()


def weights(network: nn.Module) -> list[np.ndarray]:
    """W1, W2 as the oracle writes them."""
    return [value.detach().numpy().T.copy() for value in network.parameters()]


def split(held_out: Graph | None = None) -> ForgetSplit[Graph]:
    graph = Graph.from_edges(torch.tensor(FORGET + RETAIN).T, 4, features={"x": torch.from_numpy(X)})
    return ForgetSplit.of(graph, ForgetRequest.of("edge", torch.tensor(FORGET).T), held_out or graph)
