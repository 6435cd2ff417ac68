"""GIF, graph influence function (Wu, Yang, Qian, Sui, Wang, He; WWW 2023; arXiv:2304.02835).

Forget by one Newton step whose gradient also counts the elements whose neighbourhood changes. The inverse Hessian is
applied by a series of Hessian-vector products.

::

    g1     = 1/n sum_{e influenced or deleted} grad l(e; G)                                   (1)
    g2     = 1/n sum_{e influenced}            grad l(e; G_r)                                 (2)
    v      = g1 - g2                                                                          (3)
    h_0    = v;    h_{t+1} = v + (1 - damp) h_t - H h_t / scale                               (4)
    theta' = theta + h / scale                                                                (5)
    fixed point of (4):  h / scale = (H + damp scale I)^-1 v,  reached if scale > lambda_max  (6)

==========  =================================================================================================
paper       here
==========  =================================================================================================
l(e; G)     the task's loss of element e with messages on G, plus the recipe's decay / 2 ||theta||^2
G, G_r      ``split.data``, ``split.retain``
H           Hessian of the mean loss of the retained elements on G_r
n           number of retained elements: (1), (2) and H are parts of one mean, so scale means the same everywhere
==========  =================================================================================================

What is an element, deleted, influenced:

* *Link prediction.* Elements are edges and as many non-edges, one draw for (1), (2) and H. Deleted are the edges that
  nothing retains and as many non-edges of G, since the loss that trained them held both. Influenced are the retained
  elements with an end within ``hops`` of the request.
* *Node classification.* Elements are labelled nodes. Deleted are forgotten nodes and labels. Influenced are retained
  labelled nodes within ``hops`` of the request, the ends of a forgotten edge and the owners of a feature included.
* *Features.* All elements stay, so none is deleted: (1) sees the old values, (2) the masked ones.
* *Nodes* reach one hop further, as in the published code: their neighbours lose degree.

Beyond the model's receptive field l(e; G) = l(e; G_r), so at a trained theta v is minus the gradient of the retained
loss. Our defaults: ``scale=0`` takes 1.2 lambda_max, estimated by Lanczos steps (published runs tune it by hand between
50 and 1e6, issue #1 of the repository), and raises ``damp`` where the Hessian has negative curvature, along which (4)
would grow; iterations, damp; dropout and batch norm run in evaluation mode, their buffers stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from graphforget.errors import InputError
from graphforget.gnn.task import GraphTask
from graphforget.graph import Graph
from graphforget.hessian import Product, extremes, series
from graphforget.task import Batch
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class GIF(Unlearner):
    """One influence-function step that counts the influenced neighbourhood.

    Args:
        iterations: at most so many terms of the series (4), one Hessian-vector product each.
        scale: divides the Hessian; 0 chooses it above the largest eigenvalue.
        damp: share of ``scale`` added to the Hessian's diagonal (6).
        hops: influenced elements lie within so many hops of the request; at least the number of layers.
    """

    iterations: int = 100
    scale: float = 0.0
    damp: float = 0.01
    hops: int = 2

    paper: ClassVar[str] = "arXiv:2304.02835"
    needs: ClassVar[tuple[type, ...]] = (GraphTask,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain"})

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError(f"iterations must be at least 1 (got {self.iterations})")
        if self.scale < 0:
            raise InputError(f"scale must be positive, or 0 for automatic (got {self.scale})")
        if not 0 <= self.damp < 1:
            raise InputError(f"damp must lie in [0, 1) (got {self.damp})")
        if self.hops < 1:
            raise InputError(f"hops must be at least 1 (got {self.hops})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, split, model = cast(GraphTask, job.task), job.split, job.model.eval()
        chosen = [p for p in model.parameters() if p.requires_grad]
        if not chosen:
            raise InputError("the model has no trainable parameter; unfreeze at least one")
        gone = split.gone
        hops = self.hops + int(len(gone.nodes()) > 0)
        retained = list(task.batches(split.retain, split.retain, job.rng))
        influenced = [batch.take(task.near(split, batch, hops)) for batch in retained]
        deleted = list(task.batches(split.data, gone, job.rng))
        n = sum(batch.size for batch in retained)
        g1 = _gradient(task, model, split.data, influenced + deleted, chosen) / n  # (1)
        g2 = _gradient(task, model, split.retain, influenced, chosen) / n  # (2)
        decay = float(getattr(task.recipe, "weight_decay", 0.0))
        theta = parameters_to_vector(chosen).detach()
        v = g1 - g2 + decay * sum(batch.size for batch in deleted) / n * theta  # (3); of e in both, decay cancels
        hessian = _hessian(_gradient(task, model, split.retain, retained, chosen, twice=True) / n, chosen, decay)
        scale, damp = self._scale(hessian, v, job.rng)
        step, iterations, residual = series(
            hessian, v, scale=scale, damp=damp, iterations=self.iterations, title="gif"
        )  # (4)
        with torch.no_grad():
            vector_to_parameters(theta + step, chosen)  # (5)
        notes = {"scale": scale, "damp": damp, "iterations": iterations, "residual": residual}
        return Unlearned(model, split.retain, notes)

    def _scale(self, hessian: Product, v: Tensor, rng: torch.Generator) -> tuple[float, float]:
        """Return (scale, damp): as given, or such that the series converges."""
        if self.scale:
            return self.scale, self.damp
        lowest, highest = extremes(hessian, torch.randn(len(v), generator=rng).to(v))
        scale = 1.2 * max(highest, -lowest, torch.finfo(v.dtype).tiny)
        return scale, max(self.damp, -1.2 * lowest / scale)


def _gradient(
    task: GraphTask,
    model: nn.Module,
    context: Graph,
    batches: Sequence[Batch],
    parameters: Sequence[nn.Parameter],
    *,
    twice: bool = False,
) -> Tensor:
    """[P] gradient of the summed loss of all elements; ``twice`` keeps what a second derivative needs."""
    ask = task.bind(model, context)
    total = sum(
        (task.criterion(ask(batch), batch).sum() for batch in batches if batch.size), parameters[0].new_zeros(())
    )
    if not total.requires_grad:
        return torch.cat([p.detach().new_zeros(p.numel()) for p in parameters])
    options: dict[str, Any] = {"create_graph": twice, "allow_unused": True, "materialize_grads": True}
    return torch.cat([grad.flatten() for grad in torch.autograd.grad(total, parameters, **options)])


def _hessian(gradient: Tensor, parameters: Sequence[nn.Parameter], decay: float) -> Product:
    """Return h -> (H + decay) h by differentiating a gradient that was built once."""

    def product(h: Tensor) -> Tensor:
        options: dict[str, Any] = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        rows = torch.autograd.grad(gradient, parameters, grad_outputs=h, **options)
        return torch.cat([row.flatten() for row in rows]) + decay * h

    return product
