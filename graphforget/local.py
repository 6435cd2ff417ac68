"""Local unlearning: a method runs on the region of a request, and what it changed is handed back as a patch.

Nothing of the size of the graph is made. Weights that all nodes share come back whole; of a table with a row a node
(embeddings of users, items, nodes) the rows of the region are copied out, trained, and come back as rows. The context
of the result is the retained :class:`~graphforget.store.Store`: the same arrays, and what is gone. The loss is that of
the region and a replay sample, an approximation; ``benchmarks.scale`` measures what it costs in accuracy.

A method that draws rows anew (row reset, D2DGN's destroyer) asks for a never-trained model. Many initialisations give a
small table larger rows than a large one, so those of the region get the scale that the whole table's would have.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from graphforget.errors import InputError, NotApplicable
from graphforget.forget import ForgetRequest
from graphforget.fresh import fresh
from graphforget.region import Reach, Region
from graphforget.store import IntArray, Store, read, write
from graphforget.task import Task
from graphforget.unlearner import Unlearned, Unlearner, unwrap

log = logging.getLogger(__name__)
CONSTANT = 1.2  # variances of tables of n and 2 n rows that are closer than this do not depend on the rows


@runtime_checkable
class Sliced(Protocol):
    """A task whose models can run on a part of a graph."""

    def depth(self, model: nn.Module) -> int:
        """Hops that a node's output reads."""

    def tables(self, model: nn.Module, size: tuple[int, int]) -> Iterator[tuple[str, nn.Parameter, str]]:
        """(name, parameter, ``user`` | ``item`` | ``both``) of the parameters with a row a node."""


@runtime_checkable
class Placed(Protocol):
    """A method whose result is bound to the nodes it was computed on, and which can bind it to others."""

    def place(self, result: Unlearned, nodes: Tensor, num_nodes: int) -> Callable[[nn.Module], object]:
        """Return what gives a model of the whole graph, in place, what ``result`` has for a part of its nodes."""


@dataclass(frozen=True, eq=False)
class Patch:
    """What local unlearning returns.

    Args:
        weights: the shared parameters and buffers, by name; none where only the graph changes.
        rows: {name: (ids [n], values [n, d])} of tables with a row a node.
        context: what the model may see from now on.
        record: the method's notes, and the region's: scope, nodes, core.
        more: what the model gets besides (GNNDelete's operators), or None.
    """

    weights: Mapping[str, Tensor]
    rows: Mapping[str, tuple[Tensor, Tensor]]
    context: Store
    record: Mapping[str, Any]
    more: Callable[[nn.Module], object] | None = None

    def onto(self, model: nn.Module) -> nn.Module:
        """Write the patch into a model, in place, and return it: memory-mapped tables change in these rows only."""
        state = unwrap(model).state_dict(keep_vars=True)
        with torch.no_grad():
            for name, value in self.weights.items():
                state[name].copy_(value)
            for name, (ids, values) in self.rows.items():
                if (array := getattr(state[name], "mapped", None)) is not None:
                    write(array, ids.numpy(), values.to(state[name]).cpu().numpy())
                else:
                    state[name][ids.to(state[name].device)] = values.to(state[name])
        if self.more is not None:
            self.more(unwrap(model))
        return model


def unlearn_local(
    method: Unlearner,
    model: nn.Module,
    task: Task[Any],
    store: Store,
    request: ForgetRequest | Tensor,
    *,
    held_out: Tensor | None = None,
    reach: Reach | None = None,
    seed: int = 0,
) -> Patch:
    """Unlearn a small request at a cost that follows the request, not the graph.

    Args:
        method: any that returns the model's own parameters, or is :class:`Placed`. Calibrated D2DGN without refresh,
            which would train on the region alone where there is something to forget.
        model: the trained model; left untouched until :meth:`Patch.onto`.
        task: how such models run.
        store: the graph.
        request: [2, k] edges or (user, item) interactions, or a request for edges, nodes, users or items.
        held_out: [2, m] validation edges, needed by calibrated methods.
        reach: how far around the request to look.
        seed: of everything random.

    Returns:
        The patch of the model, and the retained store.

    Raises:
        InputError: an element is not there, or method, task and request do not fit together.
        NotApplicable: the method's result is bound to the nodes it was computed on, or it is gold.

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
    if not method.drop_in and not isinstance(method, Placed):
        raise NotApplicable(f"{type(method).__name__} returns a model that is bound to its nodes; run it on the Graph")
    if method.whole:
        raise NotApplicable(f"{type(method).__name__} needs all that is retained; run it on the Graph")
    if not isinstance(task, Sliced):
        raise InputError(f"local unlearning needs a task that is Sliced (got {type(task).__name__})")
    if isinstance(request, Tensor):
        request = ForgetRequest.of("edge", request)
    if getattr(method, "refresh", 0):
        log.warning("refresh=%s trains on the region alone, and the rest pays for it: take refresh=0", method.refresh)  # type: ignore[attr-defined]
    pairs, nodes = store.resolve(request)
    retained = store.less(pairs, nodes)
    if method.unlinks:
        return Patch({}, {}, retained, {"scope": "none"})
    inner = unwrap(model)
    region = Region.of(store, retained, request, (pairs, nodes), task.depth(inner), reach or Reach(), held_out, seed)
    part = _Part.of(inner, task, store, region.nodes)
    result = method.unlearn(part.model, part.task(task), region.split, seed=seed)
    state = result.model.state_dict()
    rows = {name: (ids, state[name]) for name, ids in part.rows.items()}
    record = {**result.record, "scope": region.scope, "region": len(region.nodes), "core": region.core}
    if isinstance(method, Placed):
        return Patch({}, {}, retained, record, method.place(result, torch.from_numpy(region.nodes), store.num_nodes))
    own = inner.state_dict().keys() - rows.keys() - part.sliced
    return Patch({name: state[name] for name in sorted(own)}, rows, retained, record)


@dataclass(frozen=True, eq=False)
class _Part:
    """A model of a part of the nodes.

    Args:
        model: a copy with the part's rows of each table.
        rows: {name: [n] rows taken of each table}.
        whole: {name: rows that the whole table has}.
        sliced: buffers with an entry a node, of which the part's were taken.
        twice: makes the same with every row of the tables twice.
    """

    model: nn.Module
    rows: Mapping[str, Tensor]
    whole: Mapping[str, int]
    sliced: frozenset[str]
    twice: Callable[[], nn.Module]

    @classmethod
    def of(cls, model: nn.Module, task: Sliced, store: Store, nodes: IntArray) -> _Part:
        users = int(np.searchsorted(nodes, store.size[0])) if store.bipartite else len(nodes)
        ids = {"user": nodes[:users], "item": nodes[users:] - store.size[0], "both": nodes}
        found = list(task.tables(model, store.size))
        rows = {name: torch.from_numpy(ids[side].copy()) for name, _, side in found}
        masks = {
            name: buffer
            for name, buffer in model.named_buffers()
            if not store.bipartite and buffer.dim() == 1 and buffer.shape[0] == store.num_nodes
        }

        def cut(times: int) -> nn.Module:
            memo: dict[int, Any] = {}
            for name, table, _ in found:  # deepcopy takes these for the copies of the tables, never copied as a whole
                taken = _taken(table, rows[name].repeat(times))
                memo[id(table)] = nn.Parameter(taken, table.requires_grad)
            for mask in masks.values():
                memo[id(mask)] = mask[torch.from_numpy(nodes).to(mask.device)]
            return copy.deepcopy(model, memo)

        whole = {name: table.shape[0] for name, table, _ in found}
        return cls(cut(1), rows, whole, frozenset(masks), lambda: cut(2))

    def task(self, task: Task[Any]) -> Task[Any]:
        """The task, whose never-trained models of the part are those of the whole."""
        return replace(task, factory=self._drawn) if self.rows else task

    def _drawn(self) -> nn.Module:
        seed = int(torch.randint(2**31, ()))  # who asks for a fresh model has seeded the global stream
        new, twice = fresh(self.model, seed), dict(fresh(self.twice(), seed).named_parameters())
        parameters = dict(new.named_parameters())
        with torch.no_grad():
            for name, total in self.whole.items():
                parameters[name].mul_(shrink(parameters[name], twice[name], total))
        return new


def _taken(table: nn.Parameter, ids: Tensor) -> Tensor:
    """[n, d] rows of a table, copied; of one in a file (``graphforget.disk_tables``) nothing else stays resident."""
    array = getattr(table, "mapped", None)
    if array is not None:
        return torch.from_numpy(np.asarray(read(array, ids.numpy())))
    return table.detach()[ids.to(table.device)]


def shrink(drawn: Tensor, twice: Tensor, total: int) -> float:
    """What to multiply a drawn table of n rows by, so that its rows have the spread of one of ``total`` rows.

    Initialisations draw with a variance that is constant, or 1 / (a + b rows) (Xavier, Kaiming): a and b come from the
    tables of n and 2 n rows.

    Example:
        >>> table = lambda n: nn.init.xavier_uniform_(torch.empty(n, 8))
        >>> _ = torch.manual_seed(0)
        >>> one, two, whole = table(500), table(1000), table(20000)
        >>> abs(shrink(one, two, 20000) * float(one.std()) / float(whole.std()) - 1) < 0.05
        True
        >>> shrink(torch.randn(500, 8), torch.randn(1000, 8), 20000)
        1.0
    """
    few, more = float(drawn.var()), float(twice.var())
    if not few > CONSTANT * more or not more:
        return 1.0
    inverse = 1 / few + (1 / more - 1 / few) * (total - len(drawn)) / len(drawn)
    return float((1 / few / inverse) ** 0.5)
