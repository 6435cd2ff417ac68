"""Reference networks: two-layer GCN, GAT, GIN and GraphSAGE, as the published benchmarks use them.

They are PyG's layers with PyG's parameter names (a ``state_dict`` moves both ways) and PyG's results, run on sparse
products: the first layer multiplies bag-of-words features as CSR, and every layer aggregates after its projection.
Any other module with ``model(x, edge_index) -> [N, d]`` works just as well.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GCNConv, GINConv, SAGEConv
from torch_geometric.utils import add_self_loops, remove_self_loops, softmax

from graphforget.errors import InputError, unknown
from graphforget.gnn import sparse


def _project(x: Tensor, weight: Tensor) -> Tensor:
    """[N, out] x @ weight.T for dense or CSR features."""
    if x.layout == torch.sparse_csr:
        return sparse.product(sparse.features(x), weight.t())
    return x @ weight.t()


class _GCN(GCNConv):  # type: ignore[misc]
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden = _project(x, self.lin.weight)
        out: Tensor = sparse.aggregate("sym", edge_index, hidden) + self.bias
        return out


class _SAGE(SAGEConv):  # type: ignore[misc]
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden = _project(x, self.lin_l.weight)
        neighbours = sparse.aggregate("mean", edge_index, hidden)
        out: Tensor = neighbours + self.lin_l.bias + _project(x, self.lin_r.weight)
        return out


class _GIN(GINConv):  # type: ignore[misc]
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden = _project(x, self.nn.weight)
        neighbours = sparse.aggregate("sum", edge_index, hidden)
        out: Tensor = (1 + self.eps) * hidden + neighbours + self.nn.bias
        return out


class _GAT(GATConv):  # type: ignore[misc]
    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        hidden = _project(x, self.lin.weight).view(-1, self.heads, self.out_channels)
        looped, _ = add_self_loops(remove_self_loops(edge_index)[0], num_nodes=x.shape[0])
        source, target = looped
        left, right = (hidden * self.att_src).sum(-1), (hidden * self.att_dst).sum(-1)
        score = F.leaky_relu(left.index_select(0, source) + right.index_select(0, target), self.negative_slope)
        weight = softmax(score, target, num_nodes=x.shape[0])
        message = hidden.index_select(0, source) * weight.unsqueeze(-1)
        out = torch.zeros_like(hidden).index_add(0, target, message)
        rows: Tensor = out.flatten(1) + self.bias
        return rows


class Reference(nn.Module, ABC):
    """A two-layer GNN ``model(x, edge_index) -> [N, out_channels]``.

    Args:
        in_channels: F; None makes learnable node embeddings of width ``hidden_channels`` the input.
        hidden_channels: width of the hidden layer.
        out_channels: width of the output: the embedding for links, the classes for nodes.
        num_nodes: N, needed only when in_channels is None.

    Example:
        >>> model = GCN(4, 8, 2)
        >>> model(torch.ones(3, 4), torch.tensor([[0, 1], [1, 0]])).shape
        torch.Size([3, 2])
    """

    accepts_sparse: ClassVar[bool] = True

    def __init__(
        self, in_channels: int | None, hidden_channels: int = 128, out_channels: int = 64, num_nodes: int | None = None
    ) -> None:
        super().__init__()
        if in_channels is None:
            if num_nodes is None:
                raise InputError("a graph without features needs num_nodes (got None) for learnable embeddings")
            self.embedding = nn.Embedding(num_nodes, hidden_channels)
            in_channels = hidden_channels
        self.conv1 = self._layer(in_channels, hidden_channels)
        self.conv2 = self._layer(hidden_channels, out_channels)

    @abstractmethod
    def _layer(self, in_channels: int, out_channels: int) -> nn.Module:
        """A graph convolution of the given widths."""

    def forward(self, x: Tensor | None, edge_index: Tensor) -> Tensor:
        """[N, out_channels] from x [N, F] (dense or CSR; None with embeddings) and edge_index [2, E]."""
        hidden: Tensor = self.conv1(self.embedding.weight if x is None else x, edge_index)
        out: Tensor = self.conv2(hidden.relu(), edge_index)
        return out


class GCN(Reference):
    """Graph convolutional network (Kipf and Welling, arXiv:1609.02907)."""

    def _layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return _GCN(in_channels, out_channels)


class GAT(Reference):
    """Graph attention network with one head (Velickovic et al., arXiv:1710.10903)."""

    def _layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return _GAT(in_channels, out_channels)


class GIN(Reference):
    """Graph isomorphism network with one linear layer a convolution (Xu et al., arXiv:1810.00826)."""

    def _layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return _GIN(nn.Linear(in_channels, out_channels))


class GraphSAGE(Reference):
    """GraphSAGE with mean aggregation (Hamilton et al., arXiv:1706.02216)."""

    def _layer(self, in_channels: int, out_channels: int) -> nn.Module:
        return _SAGE(in_channels, out_channels)


MODELS: dict[str, type[Reference]] = {"gcn": GCN, "gat": GAT, "gin": GIN, "sage": GraphSAGE}


def build(name: str, in_channels: int | None, hidden: int, out: int, num_nodes: int | None = None) -> Reference:
    """Build a reference network by its name (gcn, gat, gin, sage)."""
    if name not in MODELS:
        raise unknown("model", name, tuple(MODELS))
    return MODELS[name](in_channels, hidden, out, num_nodes)
