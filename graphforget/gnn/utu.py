"""UtU, "Unlink to Unlearn" (Tan, Sun, Ma, Qi, Cheng et al., WWW 2024 Companion; arXiv:2402.10695).

Forget edges by cutting them out of the message-passing graph; no weight changes. It costs nothing and, where the
weights did not memorise the forgotten edges, it reaches gold's own noise floor: the baseline that every method has to
beat.

::

    h'      = f(G_r; theta*)                                                                  (paper, eq. 6)
    Delta p = mean_{(i,j) in E_r} phi(h'_i, h'_j) - phi(h^r_i, h^r_j)        over-forgetting: Delta p < 0  (3.1)

==========  ==================================================
paper       here
==========  ==================================================
G_r         ``split.retain``, the context that comes back
theta*      the original's weights, returned bit for bit
h^r         gold's embeddings
==========  ==================================================

The whole result is the context: who keeps the old graph keeps the old predictions. What the weights memorised stays
(low-degree or poisoned edges). The paper forgets edges only; for the other kinds the same rule is our default: the
context loses the nodes' edges and the values, and the weights still carry what they learned from them (of a label:
everything, since no message carries it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphforget.gnn.task import GraphTask
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class UtU(Unlearner):
    """Drop the forgotten part from the graph and keep the weights.

    Example:
        >>> import torch
        >>> from graphforget.forget import ForgetRequest, ForgetSplit
        >>> from graphforget.gnn.models import GCN
        >>> from graphforget.gnn.task import LinkPrediction
        >>> from graphforget.graph import Graph
        >>> graph = Graph.from_edges(torch.tensor([[0, 1, 2], [1, 2, 3]]), 4, features={"x": torch.eye(4)})
        >>> split = ForgetSplit.of(graph, ForgetRequest.of("edge", [[0], [1]]), graph)
        >>> UtU().unlearn(GCN(4, 4, 2), LinkPrediction(), split).context.num_edges
        4
    """

    paper: ClassVar[str] = "arXiv:2402.10695"
    needs: ClassVar[tuple[type, ...]] = (GraphTask,)
    reads: ClassVar[frozenset[str]] = frozenset({"retain"})
    unlinks: ClassVar[bool] = True

    def _unlearn(self, job: Job) -> Unlearned:
        return Unlearned(job.model, job.split.retain, {})
