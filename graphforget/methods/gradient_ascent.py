"""Gradient ascent: climb the loss of the forgotten elements.

The baseline of GNNDelete (arXiv:2302.13406, its repository trains 10 epochs): theta <- theta + lr grad L(D_f). It
propagates on the retain part. It has no term that keeps the rest, and it shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class GradientAscent(Unlearner):
    """Ascend the task's loss on the forgotten elements.

    Args:
        epochs: passes over the forgotten elements (10 in GNNDelete's code).
        lr: Adam's learning rate (our default).
    """

    epochs: int = 10
    lr: float = 1e-3

    paper: ClassVar[str] = "arXiv:2302.13406"
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def _unlearn(self, job: Job) -> Unlearned:
        context = job.split.retain
        elements = job.task.elements(context, job.split.forget)

        def steps(epoch: int) -> Iterator[Tensor]:
            yield -job.task.loss(job.model, context, elements)

        descend(job.model, steps, epochs=self.epochs, lr=self.lr, title="gradient ascent")
        return Unlearned(job.model, context, {})
