"""Train a GNN on sampled neighbourhoods: the cost of a step follows the batch, not the graph.

A batch is cut into parts of ``PART`` elements. Each part is asked about on a neighbourhood of its own, drawn hop by hop
(GraphSAGE, arXiv:1706.02216, algorithm 2) from a seed of its own, which is also the seed of dropout: a part has the
same answer whichever process computes it, so several processes give what one does. Held-out scores, teachers and
results propagate on the whole graph.

Features are needed: a model that learns an embedding a node has no rows for a neighbourhood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from graphforget import parallel
from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.kernels import csr
from graphforget.kernels.hops import ONLY, HopSampler, Relation
from graphforget.task import Ask, Batch
from graphforget.train import seeded

PART = 512  # elements that share a neighbourhood (our default)
Encode = Callable[[nn.Module, Graph], Tensor]
ReadOut = Callable[[Tensor, Batch], Tensor]


class Neighbourhoods:
    """Sampled neighbourhoods of one graph.

    Args:
        graph: with features x.
        fan_outs: in-neighbours a hop, the nearest first; -1 takes all.

    Raises:
        InputError: no features, or a fan-out that is neither -1 nor at least 1.

    Example:
        >>> graph = Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4, features={"x": torch.eye(4)})
        >>> part = Neighbourhoods(graph, (-1,)).around(torch.tensor([3, 0]), seed=0)
        >>> part.x.argmax(1).tolist(), part.edge_index.tolist()
        ([3, 0, 2, 1], [[2, 3], [0, 1]])
    """

    def __init__(self, graph: Graph, fan_outs: Sequence[int]) -> None:
        if "x" not in graph.features:
            raise InputError("sampled neighbourhoods need features x (got none); add them, or leave out fan_outs")
        source, target = graph.edge_index.cpu().numpy()
        count = graph.num_nodes
        indptr, indices, self._order = csr.from_coo(target, source, count, count)
        try:
            relation = Relation(ONLY, ONLY, indptr, indices)
            self._hops = HopSampler({ONLY: relation}, {ONLY: count}, {ONLY: list(fan_outs)})
        except ValueError as error:
            raise InputError(f"fan_outs: {error}") from error
        self._values = dict(graph.edge_attrs)
        self._x = graph.x  # not the graph itself, whose cache would keep it alive

    def around(self, nodes: Tensor, seed: int) -> Graph:
        """The neighbourhood of distinct nodes [n] as a graph of its own, whose first n nodes they are."""
        sample = self._hops.sample({ONLY: nodes.cpu().numpy()}, seed)
        edges = torch.from_numpy(np.stack([sample.rows[ONLY], sample.cols[ONLY]]))
        device = self._x.device
        ids = torch.from_numpy(sample.nodes[ONLY]).to(device)
        slots = torch.from_numpy(self._order[sample.slots[ONLY]]).to(device)
        return Graph(
            edges.to(device),
            (len(ids), len(ids)),
            features={"x": self._x.index_select(0, ids)},
            edge_attrs={key: value.index_select(0, slots) for key, value in self._values.items()},
        )


def bind(model: nn.Module, context: Graph, fan_outs: tuple[int, ...], encode: Encode, read_out: ReadOut) -> Ask:
    """Return a function from batches to outputs, each part of a batch on a neighbourhood of its own.

    Args:
        model: in train mode.
        context: what it may see.
        fan_outs: in-neighbours a hop.
        encode: (model, graph) -> [N, d].
        read_out: ([n, d], batch) -> [B, C].
    """
    device = next((p.device for p in model.parameters()), context.device)

    def ask(batch: Batch) -> Tensor:
        around = _of(batch.input if batch.input is not None else context, fan_outs)
        start = int(torch.randint(2**62, ()))  # the same on every process: all have one stream
        rows = torch.arange(batch.size, device=batch.label.device).split(PART)

        def compute(k: int) -> Tensor:
            part = batch.take(rows[k])
            nodes, places = part.index.unique(return_inverse=True)
            with seeded(start + k):
                hidden = encode(model, around.around(nodes, start + k).to(device))
            return read_out(hidden, replace(part, index=places))

        return parallel.in_parts([len(each) for each in rows], compute)

    return ask


_TABLES: WeakKeyDictionary[Graph, dict[tuple[int, ...], Neighbourhoods]] = WeakKeyDictionary()


def _of(graph: Graph, fan_outs: tuple[int, ...]) -> Neighbourhoods:
    table = _TABLES.setdefault(graph, {})
    if fan_outs not in table:
        table[fan_outs] = Neighbourhoods(graph, fan_outs)
    return table[fan_outs]
