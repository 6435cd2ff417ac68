"""GNNDelete (Cheng, Dasoulas, He, Agarwal, Zitnik; ICLR 2023; arXiv:2302.13406), node-embedding loss.

Forget by one small linear *deletion operator* behind each layer, applied to the nodes near the request. The base is
frozen; only the operators learn. Our code follows the equations, not the published code.

::

    Del^l:   h^l[S^l] <- h^l[S^l] W_D^l              behind layer l, before its activation                  (1)
    DEC^l  = MSE( z^l of the endpoints of E_f ; zori^l of the endpoints of as many random non-edges )       (2)
    NI^l   = MSE( z^l [S^l - V(E_f)] ; zori^l [S^l - V(E_f)] )                                              (3)
    loss^l = alpha DEC^l + (1 - alpha) NI^l                                                                 (4)
    layerwise rule: W_D^l descends d loss^l / d W_D^l alone, all of them taken before any step              (5)

==========  ==========================================================================================
paper       here
==========  ==========================================================================================
lambda      ``alpha`` (the code's word)
S^l         nodes within l hops of the request (in the whole graph)
z           outputs behind the operators on the edges inside S^L, the forgotten ones included
zori        the given model's outputs on the retained graph, computed once
W_D         ``weight`` of an :class:`Operator`; ones / 1000 as in the code, or the identity
==========  ==========================================================================================

``masks="legacy"`` walks one-directional edges (row < col) as the published code does; its regions are 2-10 times too
small. ``negatives="once"`` is the published code, ``"epoch"`` that of the UtU repository.

Our defaults, where the paper is silent or speaks of edges only:

* *Nodes, features, labels.* The published scripts turn a node into its incident edges and would randomise its
  neighbours too. Here (2) takes, of the endpoints of E_f, those that the request speaks for (both of a forgotten edge,
  but only the forgotten node of a node's edges, and a node without edges once), and (3) leaves out only these. S^l
  starts from them and from both ends of every edge that goes, since both lose a neighbour.
* *Stop rule.* ``gain``: training ends when the mean loss of the last ``window`` epochs is less than a share ``gain``
  below that of the window before. The published code runs all its epochs (1500 in its script): ``gain=0``.
* *Form.* The operators become a child ``gnndelete`` of the user's own model, one stage a request, called through
  forward hooks: names, ``forward`` and ``state_dict`` keys of the base stay. :func:`restore` loads such a state. A
  later request adds a stage behind the earlier ones, which are frozen with the base.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetSplit
from graphforget.gnn.task import GraphTask, encode
from graphforget.graph import Graph
from graphforget.kernels import csr, khop
from graphforget.splits import sample_negatives
from graphforget.train import descend, draw_seed
from graphforget.unlearner import Job, Unlearned, Unlearner

CHILD = "gnndelete"  # the operators' name inside the user's model


class Operator(nn.Module):
    """A deletion operator, which is the forward hook of its layer: h[mask] <- h[mask] W_D, other rows untouched.

    Args:
        layer: whose output it changes.
        mask: [N] bool, S^l.
        weight: [d, d] initial W_D.
    """

    mask: Tensor

    def __init__(self, layer: nn.Module, mask: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.register_buffer("mask", mask)
        self.handle = layer.register_forward_hook(self)  # kept: its id survives deepcopy and pickle with the hook

    def reset_parameters(self) -> None:
        """Forget nothing: the identity."""
        nn.init.eye_(self.weight)

    def forward(self, layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        """[N, d] the layer's output behind the operator (1)."""
        if output.shape[0] != self.mask.shape[0]:
            raise InputError(
                f"deletion operators know a graph of {self.mask.shape[0]} nodes (got {output.shape[0]}); run the "
                "unlearned model on its own graph"
            )
        rows = self.mask.nonzero().flatten()
        return output.index_copy(0, rows, output.index_select(0, rows) @ self.weight)


def insert(
    model: nn.Module, layers: Sequence[nn.Module], masks: Sequence[Tensor], weights: Sequence[Tensor]
) -> nn.Module:
    """Put one operator behind each layer of the model, in place, behind those that are there; return the new stage."""
    operators = [Operator(*each) for each in zip(layers, masks, weights, strict=True)]
    if not hasattr(model, CHILD):
        model.add_module(CHILD, nn.ModuleList())
    stage = nn.ModuleList(operators)
    cast(nn.ModuleList, getattr(model, CHILD)).append(stage)
    return stage


def restore(model: nn.Module, layers: Sequence[nn.Module], state: Mapping[str, Tensor]) -> nn.Module:
    """Put the operators of a saved ``state_dict`` into a model of the original's architecture and load the state.

    Args:
        model: changed in place and returned.
        layers: its layers in the order in which they run, as ``task.find_layers(model).values()``.
        state: ``state_dict()`` of what :class:`GNNDelete` returned.
    """
    stages = sum(key.startswith(f"{CHILD}.") and key.endswith(".0.weight") for key in state)
    for stage in range(stages):
        keys = [f"{CHILD}.{stage}.{number}" for number in range(len(layers))]
        masks, weights = ([state[f"{key}.{name}"].clone() for key in keys] for name in ("mask", "weight"))
        insert(model, layers, masks, weights)
    model.load_state_dict(state)
    return model


@dataclass(frozen=True)
class GNNDelete(Unlearner):
    """Learn a deletion operator for each layer; the result is the frozen base with its operators.

    Args:
        alpha: lambda, weight of DEC against NI, in [0, 1].
        epochs: at most so many full-batch steps.
        lr: Adam's learning rate.
        init: W_D starts as ``ones`` / 1000 or as the ``identity``.
        masks: ``true`` regions, or the published code's ``legacy`` ones.
        negatives: random non-edges of (2) drawn each ``epoch`` or ``once``.
        gain: of the stop rule (ours); 0 runs all epochs.
        window: of the stop rule, in epochs.
    """

    alpha: float = 0.5
    epochs: int = 1500
    lr: float = 1e-3
    init: str = "ones"
    masks: str = "true"
    negatives: str = "epoch"
    gain: float = 0.01
    window: int = 50

    paper: ClassVar[str] = "arXiv:2302.13406"
    needs: ClassVar[tuple[type, ...]] = (GraphTask,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain"})
    drop_in: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha must lie in [0, 1] (got {self.alpha})")
        if not 0 <= self.gain < 1:
            raise InputError(f"gain must lie in [0, 1), 0 switches the stop rule off (got {self.gain})")
        for name in ("epochs", "window"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        for name, known in (
            ("init", ("ones", "identity")),
            ("masks", ("true", "legacy")),
            ("negatives", ("epoch", "once")),
        ):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)

    def _unlearn(self, job: Job) -> Unlearned:
        task, split, model = cast(GraphTask, job.task), job.split, job.model.eval().requires_grad_(False)
        device = next((p.device for p in model.parameters()), split.data.device)
        data, retain, forget = (part.to(device) for part in (split.data, split.retain, split.forget))
        zori = _run(job.original, retain, task.find_layers(job.original))
        found = task.find_layers(model)
        layers = {name: found[name] for name in zori}  # in the order in which they run
        hops = region(split, len(layers), legacy=self.masks == "legacy").to(device)
        masks = [(hops >= 0) & (hops <= depth) for depth in range(1, len(layers) + 1)]
        inside = replace(data.with_edges(masks[-1][data.edge_index].all(0)), outside=None)
        asked = endpoints(forget)
        kept = [mask.index_fill(0, asked, False).nonzero().flatten() for mask in masks]
        operators = insert(model, list(layers.values()), masks, [_start(self.init, value) for value in zori.values()])

        def draw() -> Tensor:
            count = -(-len(asked) // 2)
            return sample_negatives(retain, count, seed=draw_seed(job.rng), also=forget).flatten()[: len(asked)]

        drawn = draw()

        def steps(epoch: int) -> Iterator[Tensor]:
            others = drawn if self.negatives == "once" or not epoch else draw()
            z = _run(model, inside, layers)
            each = [
                layer_loss(z[name], zori[name], asked, others, rows, self.alpha)
                for name, rows in zip(layers, kept, strict=True)
            ]
            yield torch.stack(each).sum()  # z^l is cut from the layers below: one backward gives each gradient of (5)

        losses: list[float] = []

        def stalled(epoch: int, loss: float) -> bool:
            losses.append(loss)
            if not self.gain or len(losses) < 2 * self.window:
                return False
            last, before = sum(losses[-self.window :]), sum(losses[-2 * self.window : -self.window])
            return before - last < self.gain * before

        with _constant(model, inside, next(iter(layers.values()))):
            epochs = descend(operators, steps, epochs=self.epochs, lr=self.lr, after_epoch=stalled, title="gnndelete")
        notes = {"epochs": epochs, "loss": losses[-1], "region": [int(mask.sum()) for mask in masks]}
        notes["layers"] = list(layers)
        for parameter in operators.parameters():
            parameter.grad = None
        return Unlearned(model, split.retain, notes)

    def place(self, result: Unlearned, nodes: Tensor, num_nodes: int) -> Callable[[nn.Module], object]:
        """Return what puts the operators that were learned on a part of a graph into a model of the whole graph.

        Args:
            result: of the part.
            nodes: [n] the whole graph's ids of the part's nodes.
            num_nodes: of the whole graph.
        """
        stage = cast(nn.ModuleList, cast(nn.ModuleList, getattr(result.model, CHILD))[-1])
        ids = [nodes[cast(Operator, operator).mask.cpu()] for operator in stage]
        weights = [cast(Operator, operator).weight.detach() for operator in stage]
        return functools.partial(_placed, result.record["layers"], ids, weights, num_nodes)


def _placed(
    names: Sequence[str], ids: Sequence[Tensor], weights: Sequence[Tensor], num_nodes: int, model: nn.Module
) -> None:
    """Freeze a model and put operators behind its named layers, for the nodes of these ids."""
    found = dict(model.requires_grad_(False).named_modules())
    masks = [torch.zeros(num_nodes, dtype=torch.bool).index_fill_(0, rows, True) for rows in ids]
    masks = [mask.to(weight.device) for mask, weight in zip(masks, weights, strict=True)]
    insert(model, [found[name] for name in names], masks, [weight.clone() for weight in weights])


def layer_loss(z: Tensor, zori: Tensor, asked: Tensor, others: Tensor, kept: Tensor, alpha: float) -> Tensor:
    """Loss of one layer: alpha DEC + (1 - alpha) NI.

    Args:
        z: [N, d] outputs behind the operators.
        zori: [N, d] the given model's outputs on the retained graph.
        asked: [n] endpoints of forgotten edges.
        others: [n] endpoints of random non-edges.
        kept: [k] nodes of S^l that the request does not speak for; without any, NI is 0.
        alpha: lambda.
    """
    dec = F.mse_loss(z.index_select(0, asked), zori.index_select(0, others))  # (2)
    if not len(kept):
        return alpha * dec
    ni = F.mse_loss(z.index_select(0, kept), zori.index_select(0, kept))  # (3)
    return alpha * dec + (1 - alpha) * ni  # (4)


def endpoints(forget: Graph) -> Tensor:
    """[n] the rows of DEC: endpoints of forgotten edges that the request speaks for, then its nodes without an edge."""
    touched = forget.node_mask if forget.node_mask is not None else torch.ones(forget.num_nodes, dtype=torch.bool)
    ends = forget.edge_index.flatten()
    ends = ends[touched[ends]]
    alone = touched.index_fill(0, ends, False).nonzero().flatten()
    return torch.cat([ends, alone])


def region(split: ForgetSplit[Graph], hops: int, *, legacy: bool = False) -> Tensor:
    """[N] hops from the request in the whole graph, -1 beyond ``hops``.

    Args:
        split: the request; it starts at the nodes it speaks for and at both ends of every edge that goes.
        hops: how far to walk.
        legacy: walk only from the larger to the smaller id, as the published code does.
    """
    seeds = torch.cat([split.forget.nodes(), split.gone.edge_index.flatten()]).unique().cpu().numpy()
    indptr, indices, _ = split.data.csr
    if legacy:
        rows, cols = split.data.pairs().cpu().numpy()
        indptr, indices, _ = csr.from_coo(cols, rows, split.data.num_nodes, split.data.num_nodes)
    return torch.from_numpy(khop.k_hop_distance(indptr, indices, seeds, hops)).long()


def _start(init: str, value: Tensor) -> Tensor:
    """[d, d] the initial W_D of a layer whose output is [N, d]."""
    start = value.new_full((value.shape[1], value.shape[1]), 1e-3)
    return nn.init.eye_(start) if init == "identity" else start


def _run(model: nn.Module, graph: Graph, layers: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """{name: [N, d]} outputs of the layers in the order in which they run, each cut from the gradient of the next."""
    found: dict[str, Tensor] = {}

    def keep(name: str, output: Any) -> Tensor:
        if name in found:
            raise InputError(f"layer {name!r} runs more than once a forward; name the layers: layer_names=(...)")
        if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[0] != graph.num_nodes:
            shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise InputError(f"layer {name!r} must return [{graph.num_nodes}, d] (got {shape}); name other layers")
        found[name] = output
        return found[name].detach()

    hooks = [
        layer.register_forward_hook(lambda _m, _i, output, name=name: keep(name, output))
        for name, layer in layers.items()
    ]
    try:
        encode(model, graph)
    finally:
        for hook in hooks:
            hook.remove()
    return found


@contextmanager
def _constant(model: nn.Module, graph: Graph, layer: nn.Module) -> Iterator[None]:
    """Compute a layer's own output once: nothing before the first operator can change it."""
    outputs: list[Tensor] = []
    hook = layer.register_forward_hook(lambda _m, _i, output: outputs.append(output), prepend=True)
    try:
        with torch.no_grad():
            encode(model, graph)
    finally:
        hook.remove()
    before = layer.__dict__.get("forward")
    layer.__dict__["forward"] = lambda *_args, **_named: outputs[0]
    try:
        yield
    finally:
        del layer.__dict__["forward"]
        if before is not None:
            layer.__dict__["forward"] = before
