"""How GNNs are run, trained and scored: link prediction and node classification, transductive.

The model contract is ``model(x, edge_index) -> [N, d]``; further edge attributes are given only to a forward that names
them (``edge_weight``, ``edge_type``, ``edge_time``). Forgotten nodes have no row left in the retain part: a question
about them is asked in isolation, with the features that the view still holds and no edge.
"""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from graphforget import metrics, parallel
from graphforget.classes import ClassTask
from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.gnn import minibatch, sparse
from graphforget.gnn.models import Reference
from graphforget.gnn.structure import SPARSE_BELOW, edge_structure, node_structure
from graphforget.graph import Graph
from graphforget.kernels import khop
from graphforget.splits import sample_negatives
from graphforget.task import Ask, Batch, Task
from graphforget.train import draw_seed

EVAL_SEED = 20_231  # negatives of views that carry none of their own: the same for every model


def encode(model: nn.Module, graph: Graph) -> Tensor:
    """[N, d] run a GNN on a graph: x (CSR where the model accepts it), edge_index, and the attributes it names."""
    x: Tensor | None = graph.features.get("x")
    if x is not None and getattr(model, "accepts_sparse", False) and graph.x_density < SPARSE_BELOW:
        x = graph.sparse_x
    if graph.outside is not None:
        sparse.tell_outside(graph.edge_index, graph.outside)
    names = inspect.signature(model.forward).parameters
    attrs = {f"edge_{key}": value for key, value in graph.edge_attrs.items() if f"edge_{key}" in names}
    with _uncached(model):
        out = model(x, graph.edge_index, **attrs)
    if not isinstance(out, Tensor) or out.dim() != 2 or out.shape[0] != graph.num_nodes:
        shape = list(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise InputError(f"model(x, edge_index) must return [{graph.num_nodes}, d] (got {shape}); check its forward")
    return out


@contextmanager
def _uncached(model: nn.Module) -> Iterator[None]:
    """Switch PyG's ``cached=True`` off inside the block: such a layer keeps the first adjacency that it saw."""
    convolutions = [module for module in model.modules() if isinstance(module, MessagePassing)]
    layers = [module for module in convolutions if getattr(module, "cached", False)]
    kept = [{name: value for name, value in vars(layer).items() if name.startswith("_cached")} for layer in layers]
    for layer, caches in zip(layers, kept, strict=True):
        vars(layer).update(dict.fromkeys(caches), cached=False)
    try:
        yield
    finally:
        for layer, caches in zip(layers, kept, strict=True):
            vars(layer).update(caches, cached=True)


@dataclass(frozen=True)
class GraphTask(Task[Graph]):
    """What link prediction and node classification share.

    Args:
        recipe: see :class:`graphforget.task.Task`.
        factory: see :class:`graphforget.task.Task`.
        layer_names: sub-modules whose outputs are the hidden layers; () finds PyG's message-passing layers.
        fan_outs: train on sampled neighbourhoods, so many in-neighbours a hop (:mod:`graphforget.gnn.minibatch`); ()
            propagates on the whole graph.
    """

    layer_names: tuple[str, ...] = ()
    fan_outs: tuple[int, ...] = ()

    @abstractmethod
    def read_out(self, hidden: Tensor, batch: Batch) -> Tensor:
        """[B, C] logits of the batch's elements from the model's output [N, d]."""

    def bind(self, model: nn.Module, context: Graph) -> Ask:
        """Propagate once on each graph that is asked for; see :meth:`graphforget.task.Task.bind`."""
        if self.fan_outs and model.training and torch.is_grad_enabled():
            return minibatch.bind(model, context, self.fan_outs, encode, self.read_out)
        device = next((p.device for p in model.parameters()), context.device)
        hidden: dict[int, tuple[Graph, Tensor]] = {}

        def ask(batch: Batch) -> Tensor:
            graph = cast(Graph, batch.input if batch.input is not None else context)
            if id(graph) not in hidden:
                hidden[id(graph)] = (graph, encode(model, _moved(graph, device)))
            return self.read_out(hidden[id(graph)][1], batch)

        return parallel.shared(ask)

    def layers(self, model: nn.Module, context: Graph, view: Graph) -> dict[str, Tensor]:
        """{name: [rows, d]} outputs of the layers for the nodes the view speaks for, on the context."""
        modules = self.find_layers(model)
        found: dict[str, Tensor] = {}
        handles = [
            module.register_forward_hook(lambda _m, _i, out, name=name: found.__setitem__(name, out))
            for name, module in modules.items()
        ]
        try:
            encode(model, isolated(context, view) or context)
        finally:
            for handle in handles:
                handle.remove()
        rows = view.nodes()
        return {name: found[name].index_select(0, rows) for name in modules}

    def find_layers(self, model: nn.Module) -> dict[str, nn.Module]:
        """The named layers, or every PyG message-passing layer in order.

        Raises:
            InputError: the model has no such layer; its children are named.
        """
        named = dict(model.named_modules())
        if self.layer_names:
            for name in self.layer_names:
                if name not in named:
                    raise InputError(f"the model has no layer {name!r}; known: {sorted(filter(None, named))}")
            return {name: named[name] for name in self.layer_names}
        found = {name: module for name, module in named.items() if isinstance(module, MessagePassing)}
        if not found:
            children = [name for name, _ in model.named_children()]
            raise InputError(f"no message-passing layer was found; name them: layer_names=(...) out of {children}")
        return found

    def depth(self, model: nn.Module) -> int:
        """Hops that a node's output reads: the layers; one more where they take degrees from the edges they see."""
        return len(self.find_layers(model)) + (not isinstance(model, Reference))

    def tables(self, model: nn.Module, size: tuple[int, int]) -> Iterator[tuple[str, nn.Parameter, str]]:
        """(name, parameter, ``both``) of the parameters with a row a node."""
        for name, parameter in model.named_parameters():
            if parameter.dim() == 2 and parameter.shape[0] == size[0]:
                yield name, parameter, "both"

    def near(self, split: ForgetSplit[Graph], batch: Batch, hops: int) -> Tensor:
        """[B] bool: does an element touch the nodes within ``hops`` of the request (in the whole graph)."""
        distance = self.distance(split, hops)
        index = batch.index if batch.index.dim() == 2 else batch.index[None]
        return (distance[index.to(distance.device)] >= 0).any(0).to(batch.index.device)

    def distance(self, split: ForgetSplit[Graph], hops: int) -> Tensor:
        """[N] hops from the request's nodes in the whole graph, -1 beyond ``hops``."""
        key = _DISTANCE.setdefault(split, {})
        if hops not in key:
            seeds = split.forget.nodes().cpu().numpy()
            indptr, indices, _ = split.data.csr
            key[hops] = torch.from_numpy(np.asarray(khop.k_hop_distance(indptr, indices, seeds, hops), dtype=np.int64))
        return key[hops]

    def region(self, split: ForgetSplit[Graph], hops: int) -> float:
        """Share of the graph's nodes within ``hops`` of the request."""
        return float((self.distance(split, hops) >= 0).float().mean())

    def _chunks(self, batch: Batch, rng: torch.Generator | None) -> Iterator[Batch]:
        size = getattr(self.recipe, "batch_size", None)
        if rng is None or size is None or batch.size <= size:
            yield batch
            return
        order = torch.randperm(batch.size, generator=rng).to(batch.label.device)
        for rows in order.split(size):
            yield batch.take(rows)


_DISTANCE: WeakKeyDictionary[Any, dict[int, Tensor]] = WeakKeyDictionary()
_MOVED: WeakKeyDictionary[Graph, Graph] = WeakKeyDictionary()
_ISOLATED: WeakKeyDictionary[Graph, WeakKeyDictionary[Graph, Graph]] = WeakKeyDictionary()


def _moved(graph: Graph, device: torch.device) -> Graph:
    """The graph on a device, moved once."""
    if graph.device == device:
        return graph
    if graph not in _MOVED or _MOVED[graph].device != device:
        _MOVED[graph] = graph.to(device)
    return _MOVED[graph]


def isolated(context: Graph, view: Graph) -> Graph | None:
    """The context with the features of its removed nodes that the view speaks for, still without their edges.

    None when the view asks about no removed node, or there are no features.
    """
    if context.removed is None or "x" not in context.features or "x" not in view.features:
        return None
    asked = context.removed if view.node_mask is None else context.removed & view.node_mask
    if not bool(asked.any()):
        return None
    table = _ISOLATED.setdefault(context, WeakKeyDictionary())
    if view not in table:
        x = torch.where(asked[:, None], view.x, context.x)
        table[view] = replace(context, features={**context.features, "x": x})
    return table[view]


@dataclass(frozen=True)
class LinkPrediction(GraphTask):
    """Edges against non-edges by the dot product of the endpoints' embeddings; outputs are [0, s].

    Example:
        >>> from graphforget.gnn.models import GCN
        >>> graph = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, features={"x": torch.eye(3)})
        >>> task = LinkPrediction()
        >>> task.outputs(GCN(3, 4, 4), graph, task.elements(graph, graph)).shape
        torch.Size([2, 2])
    """

    score_name: ClassVar[str] = "auc"

    def read_out(self, hidden: Tensor, batch: Batch) -> Tensor:
        """[B, 2] logits [0, <z_u, z_v>]."""
        u, v = batch.index.to(hidden.device)
        score = sparse.pair_dot(hidden, u, v)
        return torch.stack([torch.zeros_like(score), score], dim=1)

    def batches(self, context: Graph, view: Graph, rng: torch.Generator | None) -> Iterator[Batch]:
        """Edges once each; with ``rng`` as many fresh non-edges of context and view."""
        pairs = view.pairs()
        if not pairs.shape[1]:
            return
        ones = torch.ones(pairs.shape[1], dtype=torch.int64, device=pairs.device)
        asked = isolated(context, view)
        if rng is None:
            yield Batch(pairs, ones, asked)
            return
        negatives = sample_negatives(context, pairs.shape[1], seed=draw_seed(rng), also=view)
        both = Batch(torch.cat([pairs, negatives], dim=1), torch.cat([ones, torch.zeros_like(ones)]), asked)
        yield from self._chunks(both, rng)

    def negatives(self, context: Graph, view: Graph) -> Batch:
        """The non-edges a view is scored against: its own, or a fixed draw outside context and view."""
        pairs = view.negatives
        if pairs is None:
            count = max(int(view.pairs().shape[1]), 1)
            pairs = sample_negatives(context, count, seed=EVAL_SEED, also=view)
        return Batch(pairs, torch.zeros(pairs.shape[1], dtype=torch.int64, device=pairs.device))

    def evaluate(
        self, model: nn.Module, context: Graph, view: Graph, reference: Tensor | None = None
    ) -> dict[str, float]:
        """auc, ap, mean belief; with gold's outputs on the view's edges js_to_gold, kl_to_gold and mean shift."""
        ask = self.teacher(model, context)
        batch = self.elements(context, view)
        outputs = ask(batch)
        positive, negative = self.scores(outputs, batch), ask(self.negatives(context, view))[:, 1]
        found = {
            "auc": metrics.auc(positive, negative),
            "ap": metrics.average_precision(positive, negative),
            "belief": float(positive.sigmoid().mean()),
        }
        if reference is not None:
            found |= self.to_gold(outputs, reference, batch)
        return found

    def held_out_score(self, model: nn.Module, context: Graph, held_out: Graph) -> float:
        """AUC on held-out edges."""
        ask = self.teacher(model, context)
        positive = ask(self.elements(context, held_out))[:, 1]
        return metrics.auc(positive, ask(self.negatives(context, held_out))[:, 1])

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] the edge's logit."""
        return outputs[:, 1] - outputs[:, 0]

    def shift(self, outputs: Tensor, batch: Batch, delta: Tensor) -> Tensor:
        """[B, 2] outputs with the edge's logit lowered by delta."""
        return torch.stack([outputs[:, 0], outputs[:, 1] - delta], dim=1)

    def structure(self, context: Graph, batch: Batch) -> npt.NDArray[np.float64]:
        """[B, 4 or 6] see :func:`graphforget.gnn.structure.edge_structure`."""
        return edge_structure(context, batch)

    def sample(self, view: Graph, count: int, rng: torch.Generator) -> Batch:
        """A random sample of the view's edges."""
        pairs = view.pairs()
        rows = torch.randperm(pairs.shape[1], generator=rng)[:count].to(pairs.device)
        return Batch(pairs[:, rows], torch.ones(len(rows), dtype=torch.int64, device=pairs.device))

    def unlinked(self, split: ForgetSplit[Graph], batch: Batch) -> Graph:
        """The retain graph without those of the edges that are in it."""
        inside = split.retain.has_edges(batch.index)
        return split.retain.unlinked(batch.index[:, inside]) if bool(inside.any()) else split.retain


@dataclass(frozen=True)
class NodeClassification(ClassTask[Graph], GraphTask):
    """Labels of nodes by the softmax of the model's output.

    Example:
        >>> from graphforget.gnn.models import GCN
        >>> y = torch.tensor([0, 1, 1])
        >>> graph = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3, features={"x": torch.eye(3)}, y=y)
        >>> sorted(NodeClassification().evaluate(GCN(3, 4, 2), graph, graph))
        ['accuracy', 'belief', 'f1']
    """

    def read_out(self, hidden: Tensor, batch: Batch) -> Tensor:
        """[B, C] rows of the model's output."""
        return hidden.index_select(0, batch.index.to(hidden.device))

    def batches(self, context: Graph, view: Graph, rng: torch.Generator | None) -> Iterator[Batch]:
        """The labelled nodes that the view speaks for."""
        if view.y is None:
            raise InputError("node classification needs y; the graph has no labels")
        nodes = view.nodes()
        nodes = nodes[view.y[nodes] >= 0]
        if len(nodes):
            yield from self._chunks(Batch(nodes, view.y[nodes], isolated(context, view)), rng)

    def structure(self, context: Graph, batch: Batch) -> npt.NDArray[np.float64]:
        """[B, 2 or 3] see :func:`graphforget.gnn.structure.node_structure`."""
        return node_structure(context, batch)

    def sample(self, view: Graph, count: int, rng: torch.Generator) -> Batch:
        """A random sample of the view's labelled nodes."""
        batch = self.elements(view, view)
        rows = torch.randperm(batch.size, generator=rng)[:count].to(batch.label.device)
        return batch.take(rows)

    def unlinked(self, split: ForgetSplit[Graph], batch: Batch) -> Graph:
        """The retain graph with those nodes isolated, where the request isolates its own; else the retain graph."""
        gone = split.retain.removed
        if gone is None or not bool(
            (gone & split.forget.node_mask).any() if split.forget.node_mask is not None else True
        ):
            return split.retain
        alone = torch.zeros(split.retain.num_nodes, dtype=torch.bool, device=batch.index.device)
        alone[batch.index] = True
        return split.retain.with_edges(~alone[split.retain.edge_index].any(0))
