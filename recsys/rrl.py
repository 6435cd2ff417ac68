"""RRL-style unlearning: reverse BPR held back by a Fisher anchor (You et al., AAAI 2024, doi 10.1609/aaai.v38i8.28782).

We know the paper by its abstract and by how others describe it; weights and form of the anchor are ours.

::

    F_k  = mean over batches of D_r of (d L_fwd / d theta_k)^2, divided by its mean over k        diagonal Fisher  (1)
    loss = L_rev(D_f) + anchor sum_k F_k (theta_k - theta_0,k)^2                                                 (2)

L_rev is (1) of :mod:`recsys.mmrecun`. A public port multiplies L_rev by its sign twice, which makes it forward BPR; a
test holds ours to the right direction. It stops by the rule of :mod:`recsys.mmrecun`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError, NotApplicable
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from recsys.mmrecun import Watch, cycle, drift, reverse
from recsys.task import Recommendation


@dataclass(frozen=True)
class RRL(Unlearner):
    """Reverse BPR on the forgotten, anchored by what the retained interactions are sensitive to.

    Args:
        anchor: weight of the Fisher term (our default).
        epochs: at most so many passes over the forgotten interactions (our default).
        lr: Adam's learning rate (our default).
        steps: batches of forgotten triples an epoch (our default).
        tolerance: share of the held-out recall that may be lost (our default).
    """

    anchor: float = 1.0
    epochs: int = 20
    lr: float = 1e-3
    steps: int = 10
    tolerance: float = 0.1

    paper: ClassVar[str] = "doi:10.1609/aaai.v38i8.28782"
    needs: ClassVar[tuple[type, ...]] = (Recommendation,)

    def __post_init__(self) -> None:
        if self.anchor < 0:
            raise InputError(f"anchor must not be negative (got {self.anchor})")
        if self.steps < 1:
            raise InputError(f"steps must be at least 1 (got {self.steps})")

    def _unlearn(self, job: Job) -> Unlearned:
        context = job.split.retain
        if next(iter(job.task.batches(context, job.split.gone, None)), None) is None:
            raise NotApplicable("reverse BPR forgets interactions (got a request for values only); use row_reset")
        weights = fisher(job)
        start = [p.detach().clone() for p in job.model.parameters()]
        forgotten = cycle(job)

        def losses(epoch: int) -> Iterator[Tensor]:
            for _ in range(self.steps):
                yield reverse(job, next(forgotten)) + self.anchor * drift(job.model, start, weights)  # (2)

        watch = Watch.of(job, self.tolerance)
        job.notes["epochs"] = descend(job.model, losses, epochs=self.epochs, lr=self.lr, after_epoch=watch, title="rrl")
        job.notes.update(watch.notes())
        return Unlearned(job.model, context, {})


def fisher(job: Job) -> list[Tensor]:
    """(1), a tensor a parameter."""
    context = job.split.retain
    parameters = list(job.model.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    job.task.begin_epoch(job.model, context, job.rng)
    for batch in job.task.batches(context, context, job.rng):
        loss = job.task.loss(job.model, context, batch)
        for value, grad in zip(total, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
            if grad is not None:
                value += grad.square()
    mean = sum(float(value.sum()) for value in total) / sum(value.numel() for value in total)
    return [value / mean if mean > 0 else torch.ones_like(value) for value in total]
