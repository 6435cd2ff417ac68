"""Small graphs and checks that many tests share."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from graphforget.graph import Graph


def sbm(num_nodes: int = 72, classes: int = 3, seed: int = 0, inside: float = 0.3, between: float = 0.02) -> Graph:
    """A stochastic block model whose features hint at the block; node i has label i % classes."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(num_nodes) % classes
    chance = torch.where(y[:, None] == y[None], inside, between)
    pairs = (torch.rand(num_nodes, num_nodes, generator=rng) < chance).triu(1).nonzero().T
    x = nn.functional.one_hot(y, classes).float() + 0.5 * torch.randn(num_nodes, classes, generator=rng)
    x = torch.cat([x, torch.randn(num_nodes, 5, generator=rng)], dim=1)
    return Graph.from_edges(pairs, num_nodes, features={"x": x}, y=y)


@st.composite
def graphs(draw: st.DrawFn, undirected: bool | None = None) -> Graph:
    """Graphs of 4 to 9 nodes without self-loops, with features, labels and edge weights."""
    twins = draw(st.booleans()) if undirected is None else undirected
    size = draw(st.integers(4, 9))
    every = [(u, v) for u in range(size) for v in range(size) if u < v or (u > v and not twins)]
    pairs = draw(st.lists(st.sampled_from(every), min_size=2, unique=True))
    edges = torch.tensor(pairs).T
    edges = torch.cat([edges, edges.flip(0)], dim=1) if twins else edges
    edges = edges[:, torch.tensor(draw(st.permutations(range(edges.shape[1]))))]
    x = torch.arange(1.0, 1 + size * 3).view(size, 3)
    y = torch.arange(size) % 3
    weight = edges[0] * 100.0 + edges[1]
    return Graph(edges, (size, size), undirected=twins, features={"x": x}, edge_attrs={"weight": weight}, y=y)


def edges_of(edge_index: Tensor) -> Counter[tuple[int, int]]:
    """The edges with their multiplicities."""
    return Counter(zip(*edge_index.tolist(), strict=True))


def both_ways(edge_index: Tensor) -> set[tuple[int, int]]:
    """The edges in both directions."""
    return set(edges_of(torch.cat([edge_index, edge_index.flip(0)], dim=1)))


def state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights and buffers."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def equal_states(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    """Same keys, bit for bit the same values."""
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


def storages(model: nn.Module) -> set[int]:
    """Addresses of every parameter's and buffer's memory."""
    return {value.untyped_storage().data_ptr() for value in [*model.parameters(), *model.buffers()] if value.numel()}


def snapshot(graph: Graph) -> dict[str, Tensor]:
    """A copy of every tensor of a graph."""
    found = {"edge_index": graph.edge_index}
    found |= {name: getattr(graph, name) for name in ("y", "node_mask", "removed", "negatives")}
    found |= {f"x:{k}": v for k, v in graph.features.items()} | {f"e:{k}": v for k, v in graph.edge_attrs.items()}
    return {name: value.clone() for name, value in found.items() if value is not None}


@contextmanager
def same_random_state() -> Iterator[None]:
    """Fail when the block moves the global random state of torch, numpy or python."""
    before = torch.random.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    yield
    assert torch.random.get_rng_state().equal(before[0]), "torch's global random state moved"
    numpy_state = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(numpy_state, before[1], strict=True)), "numpy's moved"
    assert random.getstate() == before[2], "python's random state moved"
