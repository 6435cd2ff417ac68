"""SCIF: selective and collaborative influence functions (Li et al.; arXiv:2304.10199), for pairwise ranking.

The published losses are pointwise; here they are those of BPR, and the average label of a triple is one half.

::

    g   = sum over D_f of ( grad L(true label) - grad L(average label) )                                   (1)
    H   = Hessian of the mean loss over retained triples, in the tables of users only                      (2)
    (H + damping I) x = g by conjugate gradients;  theta <- theta + x / |D_r|                              (3)

The tables of items and all other weights stay. ``damping`` makes (2) definite; peers without it step along directions
of negative curvature. Damping, iterations and the sample of (2) are our defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError, NotApplicable
from graphforget.hessian import conjugate
from graphforget.task import Batch
from graphforget.unlearner import Job, Unlearned, Unlearner
from recsys.tables import tables
from recsys.task import Recommendation


@dataclass(frozen=True)
class SCIF(Unlearner):
    """One influence step on the user embeddings.

    Args:
        damping: added to the Hessian's diagonal.
        iterations: of the conjugate gradients, at most.
        tolerance: stop when the residual is this share of the right-hand side.
        sample: retained triples that the Hessian rests on, at most.
    """

    damping: float = 1e-2
    iterations: int = 50
    tolerance: float = 1e-4
    sample: int = 50_000

    paper: ClassVar[str] = "arXiv:2304.10199"
    needs: ClassVar[tuple[type, ...]] = (Recommendation,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if self.damping <= 0:
            raise InputError(f"damping must be positive (got {self.damping})")
        if self.iterations < 1 or self.sample < 1:
            raise InputError(f"iterations and sample must be at least 1 (got {self.iterations}, {self.sample})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, context = job.task, job.split.retain
        job.model.eval()
        chosen = [p for _, p, side in tables(job.model, context.size) if side in ("user", "both")]
        if not chosen:
            raise NotApplicable("SCIF moves a table with a row a user; the model has none")
        forget = triples(job, job.split.gone)
        average = Batch(forget.index, 1 - forget.label)
        outputs = task.outputs(job.model, context, forget)
        true, other = task.criterion(outputs, forget).sum(), task.criterion(outputs, average).sum()
        g = torch.autograd.grad(true - (true + other) / 2, chosen)  # (1)
        retained = triples(job, context)
        rows = torch.randperm(retained.size, generator=job.rng)[: self.sample]
        loss = task.criterion(task.outputs(job.model, context, retained.take(rows)), retained.take(rows)).mean()
        first = torch.autograd.grad(loss, chosen, create_graph=True)

        def curved(x: list[Tensor]) -> list[Tensor]:
            product = torch.autograd.grad(first, chosen, grad_outputs=x, retain_graph=True)
            return [h + self.damping * v for h, v in zip(product, x, strict=True)]  # (2)

        step, residual = conjugate(curved, list(g), self.iterations, self.tolerance)
        with torch.no_grad():
            for parameter, move in zip(chosen, step, strict=True):
                parameter.add_(move / context.num_edges)  # (3)
        job.notes["residual"] = residual
        return Unlearned(job.model, context, {})


def triples(job: Job, view: Any) -> Batch:
    """All of a view's interactions as one batch of triples.

    Raises:
        InputError: the view has none.
    """
    found = list(job.task.batches(job.split.retain, view, job.rng))
    if not found:
        raise NotApplicable("SCIF forgets interactions (got a request for values only); use row_reset")
    return Batch(torch.cat([part.index for part in found], dim=1), torch.cat([part.label for part in found]))
