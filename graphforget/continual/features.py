"""What contrastive terms look at: the features before a model's last layer, and a second view of the same elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.graph import Graph
from graphforget.samples import Samples, SampleTask
from graphforget.task import Batch, Task

DROPPED = 0.2  # share of the edges that a graph's second view lacks; our default


def watched(task: Task[Any], model: nn.Module, context: Any) -> Callable[[Batch], tuple[Tensor, Tensor]]:
    """Run a model as ``task.bind`` does; answers (outputs [B, C], input of the last layer [B, d])."""
    last = list(cast(Any, task).find_layers(model).values())[-1]
    ask = task.bind(model, context)
    nodes: dict[int, Tensor] = {}  # of graphs: the model runs once for all batches

    def answer(batch: Batch) -> tuple[Tensor, Tensor]:
        found: list[Tensor] = []
        handle = last.register_forward_pre_hook(lambda _, given: found.append(given[0]))
        try:
            outputs = ask(batch)
        finally:
            handle.remove()
        if isinstance(task, SampleTask):
            return outputs, torch.cat(found).flatten(1)
        key = id(batch.input if batch.input is not None else context)
        if found:
            nodes[key] = found[0]
        return outputs, nodes[key].index_select(0, batch.index.to(nodes[key].device))

    return answer


def second_view(context: Any, batch: Batch, rng: torch.Generator) -> Batch | None:
    """The same elements seen otherwise.

    Square images are turned by one, two or three quarters; of a graph some edges are left out (ours: the paper knows
    images only). None of other data.
    """
    if isinstance(context, Graph):
        return Batch(batch.index, batch.label, thinned(context, rng))
    if isinstance(context, Samples) and context.x.dim() == 4 and context.x.shape[2] == context.x.shape[3]:
        turns = torch.randint(1, 4, (batch.size,), generator=rng)
        x = context.x[batch.index].clone()
        for turn in (1, 2, 3):
            x[turns == turn] = torch.rot90(x[turns == turn], turn, (2, 3))
        return Batch(torch.arange(batch.size, device=batch.index.device), batch.label, Samples(x, batch.label))
    return None


def thinned(graph: Graph, rng: torch.Generator, share: float = DROPPED) -> Graph:
    """The graph without a random share of its edges; twins go together."""
    low, high = graph.edge_index.min(0).values, graph.edge_index.max(0).values
    code = low * graph.num_nodes + high
    pairs, place = code.unique(return_inverse=True)
    kept = torch.rand(len(pairs), generator=rng) >= share
    return graph.with_edges(kept.to(place.device)[place])


def contrast(anchors: Tensor, others: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss (Khosla et al., arXiv:2004.11362, L_out).

    ::

        L = mean over i with a positive of  -1/|P(i)| sum_{j in P(i)} log( exp(a_i o_j / T) / sum_k exp(a_i o_k / T) )

    Args:
        anchors: [n, d] features, normalised here.
        others: [m, d] likewise.
        same: [n, m] float: 1 a positive, 0 another, NaN left out of the sum over k.
        temperature: T.

    Example:
        >>> a = torch.eye(2)
        >>> round(float(contrast(a, a, torch.eye(2), 1.0)), 4)
        0.3133
    """
    logits = F.normalize(anchors, dim=1) @ F.normalize(others, dim=1).t() / temperature
    log_p = logits.masked_fill(same.isnan(), -torch.inf).log_softmax(1)
    positive = same == 1
    count = positive.sum(1)
    each = -log_p.masked_fill(~positive, 0.0).sum(1) / count.clamp(min=1)
    return each[count > 0].mean() if bool((count > 0).any()) else logits.sum() * 0.0
