"""Cells, mixed and discrete, and the networks made of them (DARTS; Liu et al., arXiv:1806.09055).

Written after the search engine of quark0/darts (commit f276dd3): the same eight operations, two inputs a cell,
reduction cells at 1/3 and 2/3 of the depth, a stem of three times the width. One deviation: the pools of a discrete
cell keep the batch norm without weights that mixed ones have, so that one-hot weights reproduce the discrete cell
exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.errors import InputError, unknown

Edge = tuple[str, int]  # operation, number of the state that it reads


class Zero(nn.Module):
    """No connection: zeros of the right size."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> zeros."""
        return torch.zeros_like(x[:, :, :: self.stride, :: self.stride])


class Halve(nn.Module):
    """Two 1x1 convolutions of stride 2, one of them a pixel aside: half the sides, all the pixels."""

    def __init__(self, inside: int, outside: int, affine: bool) -> None:
        super().__init__()
        self.one = nn.Conv2d(inside, outside // 2, 1, 2, bias=False)
        self.other = nn.Conv2d(inside, outside - outside // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(outside, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C', ceil(H / 2), ceil(W / 2)]."""
        x = F.pad(F.relu(x), (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        aside = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return cast(Tensor, self.norm(torch.cat([self.one(x), self.other(aside)], dim=1)))


def _squeeze(inside: int, outside: int, affine: bool) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside, affine=affine))


def _depthwise(width: int, size: int, stride: int, dilation: int, affine: bool) -> tuple[nn.Module, ...]:
    padding = dilation * (size - 1) // 2
    return (
        nn.ReLU(),
        nn.Conv2d(width, width, size, stride, padding, dilation, groups=width, bias=False),
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width, affine=affine),
    )


def _separable(width: int, size: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(*_depthwise(width, size, stride, 1, affine), *_depthwise(width, size, 1, 1, affine))


def _pool(pool: nn.Module, width: int) -> nn.Module:
    return nn.Sequential(pool, nn.BatchNorm2d(width, affine=False))


PRIMITIVES: Mapping[str, Callable[[int, int, bool], nn.Module]] = {  # (width, stride, affine) -> operation
    "none": lambda c, s, a: Zero(s),
    "max_pool_3x3": lambda c, s, a: _pool(nn.MaxPool2d(3, s, 1), c),
    "avg_pool_3x3": lambda c, s, a: _pool(nn.AvgPool2d(3, s, 1, count_include_pad=False), c),
    "skip_connect": lambda c, s, a: nn.Identity() if s == 1 else Halve(c, c, a),
    "sep_conv_3x3": lambda c, s, a: _separable(c, 3, s, a),
    "sep_conv_5x5": lambda c, s, a: _separable(c, 5, s, a),
    "dil_conv_3x3": lambda c, s, a: nn.Sequential(*_depthwise(c, 3, s, 2, a)),
    "dil_conv_5x5": lambda c, s, a: nn.Sequential(*_depthwise(c, 5, s, 2, a)),
}
NAMES = tuple(PRIMITIVES)


@dataclass(frozen=True)
class Genotype:
    """Which edges of a cell there are: two a node, in the order of the nodes.

    Args:
        normal: edges of the cells that keep the size.
        reduce: edges of those that halve it.

    Raises:
        InputError: an unknown operation, an odd number of edges, or an edge from a later state.
    """

    normal: tuple[Edge, ...]
    reduce: tuple[Edge, ...]

    def __post_init__(self) -> None:
        for edges in (self.normal, self.reduce):
            if not edges or len(edges) % 2:
                raise InputError(f"a cell has two edges a node (got {len(edges)} edges)")
            for place, (name, state) in enumerate(edges):
                if name not in PRIMITIVES:
                    raise unknown("operation", name, NAMES)
                if not 0 <= state < 2 + place // 2:
                    raise InputError(f"node {place // 2} reads the states 0 to {1 + place // 2} (got {state})")


class Cell(nn.Module):
    """A cell: two inputs brought to one width, some nodes, their outputs side by side.

    Args:
        edges: [(operation, state)] two a node for a discrete cell; None for all operations on all edges.
        nodes: number of nodes.
        widths: of the two inputs, and of the nodes.
        reduction: this cell halves the size.
        halved: the cell before it did.
        affine: batch norms have weights; not while searching.
    """

    def __init__(
        self,
        edges: Sequence[Edge] | None,
        nodes: int,
        widths: tuple[int, int, int],
        *,
        reduction: bool,
        halved: bool,
        affine: bool,
    ) -> None:
        super().__init__()
        first, second, width = widths
        self.before = Halve(first, width, affine) if halved else _squeeze(first, width, affine)
        self.last = _squeeze(second, width, affine)
        self.reads: list[list[int]] = []  # states that each node reads
        self.ops = nn.ModuleList()
        for node in range(nodes):
            chosen = [(None, s) for s in range(2 + node)] if edges is None else edges[2 * node : 2 * node + 2]
            self.reads.append([state for _, state in chosen])
            for name, state in chosen:
                stride = 2 if reduction and state < 2 else 1
                names = NAMES if name is None else (name,)
                self.ops.append(nn.ModuleList(PRIMITIVES[each](width, stride, affine) for each in names))

    def forward(self, first: Tensor, second: Tensor, weights: Tensor | None = None) -> Tensor:
        """Run the cell; weights [edges, operations] mix the operations of each edge."""
        states = [self.before(first), self.last(second)]
        place = 0
        for reads in self.reads:
            total = torch.zeros(())
            for state in reads:
                ops = cast(nn.ModuleList, self.ops[place])
                if weights is None:
                    total = total + ops[0](states[state])
                else:
                    total = total + sum(w * op(states[state]) for w, op in zip(weights[place], ops, strict=True))
                place += 1
            states.append(total)
        return torch.cat(states[2:], dim=1)


class CellNet(nn.Module):
    """A stem, cells, global mean and a linear layer: discrete with a genotype, mixed without.

    Args:
        shape: (channels, height, width) of the images.
        classes: number of labels.
        genotype: the edges of a discrete network; None for one that is searched.
        width: C of the first cells; a reduction doubles it.
        layers: number of cells, at least 3: reductions stand at 1/3 and 2/3.
        nodes: of a cell; of a discrete one its genotype says.

    Example:
        >>> one = (("skip_connect", 0), ("max_pool_3x3", 1))
        >>> CellNet((1, 8, 8), 10, Genotype(one, one), width=4, layers=3)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        genotype: Genotype | None = None,
        *,
        width: int = 8,
        layers: int = 3,
        nodes: int = 4,
    ) -> None:
        super().__init__()
        if layers < 3 or width < 2 or nodes < 1:
            raise InputError(f"a network needs at least 3 cells of width 2 and 1 node (got {layers}, {width}, {nodes})")
        affine = genotype is not None
        self.layers, self.nodes = layers, nodes if genotype is None else len(genotype.normal) // 2
        self.stem = nn.Sequential(nn.Conv2d(shape[0], 3 * width, 3, padding=1, bias=False), nn.BatchNorm2d(3 * width))
        self.cells = nn.ModuleList()
        first = second = 3 * width
        halved = False
        for layer in range(layers):
            reduction = layer in (layers // 3, 2 * layers // 3)
            width = 2 * width if reduction else width
            edges = None if genotype is None else genotype.reduce if reduction else genotype.normal
            count = self.nodes if edges is None else len(edges) // 2
            cell = Cell(edges, count, (first, second, width), reduction=reduction, halved=halved, affine=affine)
            self.cells.append(cell)
            first, second, halved = second, count * width, reduction
        self.head = nn.Linear(second, classes)
        count = sum(2 + node for node in range(self.nodes))
        start = 1e-3 * torch.randn(2, count, len(NAMES))
        self.alphas = nn.Parameter(start) if genotype is None else None

    def reset_parameters(self) -> None:
        """Draw the architecture's own weights anew; the layers have their own rule."""
        if self.alphas is not None:
            nn.init.normal_(self.alphas, std=1e-3)

    def mixing(self) -> Tensor:
        """[2, edges, operations] softmax of the architecture's weights: normal and reduction cells.

        Raises:
            InputError: a discrete network, which has none.
        """
        if self.alphas is None:
            raise InputError("a discrete network mixes nothing (got one with a genotype); search without it")
        return self.alphas.softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, classes]."""
        mixing = None if self.alphas is None else self.mixing()
        first = second = self.stem(x)
        for layer, cell in enumerate(self.cells):
            kind = int(layer in (self.layers // 3, 2 * self.layers // 3))
            first, second = second, cell(first, second, None if mixing is None else mixing[kind])
        return cast(Tensor, self.head(second.mean((2, 3))))


def genotype_of(mixing: Tensor) -> Genotype:
    """Discretise: each node keeps its two edges with the largest weight of an operation other than none.

    Args:
        mixing: [2, edges, operations] of normal and reduction cells.

    Example:
        >>> mixing = torch.full((2, 2, 8), 0.1)
        >>> mixing[:, 0, 4] = mixing[:, 1, 0] = 0.3
        >>> genotype_of(mixing).normal
        (('sep_conv_3x3', 0), ('max_pool_3x3', 1))
    """
    found = []
    for weights in mixing.detach().cpu():
        edges: list[Edge] = []
        place, states = 0, 2
        while place < len(weights):
            rows = weights[place : place + states, 1:]  # none is left out
            best = rows.max(1)
            order = sorted(range(states), key=lambda state: -float(best.values[state]))[:2]
            edges += [(NAMES[1 + int(best.indices[state])], state) for state in sorted(order)]
            place, states = place + states, states + 1
        found.append(tuple(edges))
    return Genotype(*found)
