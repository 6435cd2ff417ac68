"""Local unlearning: a method runs on the region of a request, and what it changed is handed back as a patch.

Nothing of the size of the graph is made. Weights that all nodes share come back whole; of a table with a row a node
(embeddings of users, items, nodes) the rows of the region are copied out, trained, and come back as rows. The context
of the result is the retained :class:`~graphforget.store.Store`: the same arrays, and the edges that are gone. The loss
is that of the region and a replay sample, an approximation; ``benchmarks.scale`` measures what it costs in accuracy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from graphforget.errors import InputError, NotApplicable
from graphforget.region import Reach, Region
from graphforget.store import IntArray, Store
from graphforget.task import Task
from graphforget.unlearner import Unlearner, unwrap


@runtime_checkable
class Sliced(Protocol):
    """A task whose models can run on a part of a graph."""

    def depth(self, model: nn.Module) -> int:
        """Hops that a node's output reads."""

    def tables(self, model: nn.Module, size: tuple[int, int]) -> Iterator[tuple[str, nn.Parameter, str]]:
        """(name, parameter, ``user`` | ``item`` | ``both``) of the parameters with a row a node."""


@dataclass(frozen=True, eq=False)
class Patch:
    """What local unlearning returns.

    Args:
        weights: the shared parameters and buffers, by name; none where only the graph changes.
        rows: {name: (ids [n], values [n, d])} of tables with a row a node.
        context: what the model may see from now on.
        record: the method's notes, and the region's: scope, nodes, core.
    """

    weights: Mapping[str, Tensor]
    rows: Mapping[str, tuple[Tensor, Tensor]]
    context: Store
    record: Mapping[str, Any]

    def onto(self, model: nn.Module) -> nn.Module:
        """Write the patch into a model, in place, and return it: memory-mapped tables change in these rows only."""
        state = unwrap(model).state_dict(keep_vars=True)
        with torch.no_grad():
            for name, value in self.weights.items():
                state[name].copy_(value)
            for name, (ids, values) in self.rows.items():
                state[name][ids.to(state[name].device)] = values.to(state[name])
        return model


def unlearn_local(
    method: Unlearner,
    model: nn.Module,
    task: Task[Any],
    store: Store,
    pairs: Tensor,
    *,
    held_out: Tensor | None = None,
    reach: Reach | None = None,
    seed: int = 0,
) -> Patch:
    """Unlearn a small request at a cost that follows the request, not the graph.

    Args:
        method: any that returns the model's own parameters.
        model: the trained model; left untouched until :meth:`Patch.onto`.
        task: how such models run.
        store: the graph.
        pairs: [2, k] edges or (user, item) interactions to forget.
        held_out: [2, m] validation edges, needed by calibrated methods.
        reach: how far around the request to look.
        seed: of everything random.

    Returns:
        The patch of the model, and the retained store.

    Raises:
        InputError: an edge is not there, or method, task and request do not fit together.
        NotApplicable: the method's result is bound to the nodes it was computed on.

    Example:
        >>> from graphforget.gnn.models import GCN
        >>> from graphforget.gnn.task import LinkPrediction
        >>> from graphforget.gnn.utu import UtU
        >>> from graphforget.graph import Graph
        >>> ring = torch.stack([torch.arange(9), (torch.arange(9) + 1) % 9])
        >>> store = Store.of(Graph.from_edges(ring, 9, features={"x": torch.eye(9)}))
        >>> unlearn_local(UtU(), GCN(9, 4, 2), LinkPrediction(), store, ring[:, :1]).context.num_edges
        16
    """
    if not method.drop_in:
        raise NotApplicable(f"{type(method).__name__} returns a model that is bound to its nodes; run it on the Graph")
    if not isinstance(task, Sliced):
        raise InputError(f"local unlearning needs a task that is Sliced (got {type(task).__name__})")
    retained = store.without(pairs)
    if method.unlinks:
        return Patch({}, {}, retained, {"scope": "none"})
    inner = unwrap(model)
    region = Region.of(store, retained, pairs, task.depth(inner), reach or Reach(), held_out, seed)
    small, rows = _cut(inner, task, store, region.nodes)
    result = method.unlearn(small, task, region.split, seed=seed)
    weights = {name: value for name, value in result.model.state_dict().items() if name not in rows}
    state = result.model.state_dict()
    record = {**result.record, "scope": region.scope, "region": len(region.nodes), "core": region.core}
    return Patch(weights, {name: (ids, state[name]) for name, ids in rows.items()}, retained, record)


def _cut(model: nn.Module, task: Sliced, store: Store, nodes: IntArray) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy of the model for the region's nodes, and the rows it took of each table."""
    users = int(np.searchsorted(nodes, store.size[0])) if store.bipartite else len(nodes)
    ids = {"user": nodes[:users], "item": nodes[users:] - store.size[0], "both": nodes}
    taken: dict[str, Tensor] = {}
    memo: dict[int, Any] = {}
    for name, parameter, side in task.tables(model, store.size):
        taken[name] = torch.from_numpy(ids[side].copy())
        own = nn.Parameter(parameter.detach()[taken[name].to(parameter.device)], parameter.requires_grad)
        memo[id(parameter)] = own  # deepcopy takes it for the copy of the table, which is never copied as a whole
    return copy.deepcopy(model, memo), taken
