"""Train, validation and test views of one graph, without the leaks that published splits have.

Edge splits are made on undirected pairs: no test edge is in train in the reverse direction. Validation and test views
carry their own fixed negatives, which are non-edges of the whole graph.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch

from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.kernels import negative

D = TypeVar("D")


class Splits(NamedTuple, Generic[D]):
    """Three views of one data set: what models train on, choose by, and are scored on."""

    train: D
    val: D
    test: D


def split_edges(graph: Graph, *, val: float = 0.05, test: float = 0.05, seed: int = 0) -> Splits[Graph]:
    """Split the edges of a homogeneous graph for link prediction.

    Args:
        graph: the whole graph.
        val: share of the (undirected) edges held out for validation.
        test: share held out for the test.
        seed: of the permutation and the negatives.

    Returns:
        Splits: ``train`` is a graph with twins; ``val`` and ``test`` list each edge once and carry as many negatives.

    Raises:
        InputError: the shares leave no edge for one of the three.

    Example:
        >>> import torch
        >>> ring = Graph.from_edges(torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40]), 40)
        >>> [part.num_edges for part in split_edges(ring, val=0.1, test=0.1)]
        [64, 4, 4]
    """
    pairs = graph.pairs()
    pairs = torch.unique(pairs[:, pairs[0] != pairs[1]], dim=1)  # parallel edges count once
    low, high = pairs.amin(0), pairs.amax(0)
    unique, group = torch.unique(low * graph.num_nodes + high, return_inverse=True)  # an edge and its reverse are one
    count = len(unique)
    num_val, num_test = int(val * count), int(test * count)
    if min(num_val, num_test) < 1 or num_val + num_test >= count:
        raise InputError(f"the shares must leave edges for every part (got val={val}, test={test} of {count} edges)")
    place = torch.from_numpy(np.random.default_rng(seed).permutation(count)).to(graph.device)[group]
    held = [pairs[:, place < num_val], pairs[:, (place >= num_val) & (place < num_val + num_test)]]
    train = graph.with_edges(~graph.edge_mask(torch.cat(held, dim=1)), negatives=None)
    sizes = [part.shape[1] for part in held]
    negatives = sample_negatives(graph, sum(sizes), seed=seed).split(sizes, dim=1)
    view = replace(graph, undirected=False, edge_attrs={})
    parts = [replace(view, edge_index=part, negatives=drawn) for part, drawn in zip(held, negatives, strict=True)]
    return Splits(train, parts[0], parts[1])


def split_nodes(graph: Graph, *, train: float = 0.6, val: float = 0.2, seed: int = 0) -> Splits[Graph]:
    """Split the labelled nodes at random for transductive node classification.

    Every view keeps all edges and features; ``y`` is -1 outside the view's own nodes.

    Raises:
        InputError: the graph has no labels, or a part would be empty.

    Example:
        >>> import torch
        >>> graph = Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 10, y=torch.arange(10) % 2)
        >>> [int(part.node_mask.sum()) for part in split_nodes(graph)]
        [6, 2, 2]
    """
    if graph.y is None:
        raise InputError("node classification needs y; the graph has no labels")
    known = (graph.y >= 0).nonzero().flatten()
    cuts = [int(train * len(known)), int((train + val) * len(known))]
    if not 0 < cuts[0] < cuts[1] < len(known):
        raise InputError(f"the shares must leave nodes for every part (got train={train}, val={val} of {len(known)})")
    order = known[torch.from_numpy(np.random.default_rng(seed).permutation(len(known))).to(graph.device)]
    views = []
    for ids in (order[: cuts[0]], order[cuts[0] : cuts[1]], order[cuts[1] :]):
        mask = torch.zeros(graph.num_nodes, dtype=torch.bool, device=graph.device)
        mask[ids] = True
        views.append(replace(graph, node_mask=mask, y=graph.y.masked_fill(~mask, -1)))
    return Splits(views[0], views[1], views[2])


def sample_negatives(graph: Graph, count: int, *, seed: int, also: Graph | None = None) -> torch.Tensor:
    """Draw [2, count] non-edges uniformly: never an edge in either direction, a self-loop or a removed node.

    Args:
        graph: whose edges are excluded.
        count: how many.
        seed: of the draw.
        also: a view whose edges are excluded as well.

    Raises:
        InputError: the graph is complete.
    """
    same = also is None or also.edge_index is graph.edge_index or not also.num_edges
    indptr, indices, ids = (graph if same else _union(graph, also)).non_edges
    try:
        targets = graph.size[1] if graph.bipartite else len(ids)
        drawn = negative.uniform_negatives(indptr, indices, count, targets, seed, exclude_self=not graph.bipartite)
    except ValueError as error:
        raise InputError(f"no negatives can be drawn: {error}") from error
    rows = torch.from_numpy(drawn)
    return (rows if graph.bipartite else torch.from_numpy(ids)[rows]).to(graph.device)


_UNIONS: WeakKeyDictionary[Graph, WeakKeyDictionary[Graph, Graph]] = WeakKeyDictionary()


def _union(graph: Graph, also: Graph | None) -> Graph:
    if also is None:
        return graph
    table = _UNIONS.setdefault(graph, WeakKeyDictionary())
    if also not in table:
        both = torch.cat([graph.edge_index, also.edge_index], dim=1)
        table[also] = Graph(both, graph.size, bipartite=graph.bipartite, removed=graph.removed)
    return table[also]
