"""Gradient ascent: climb the loss of the forgotten elements.

The baseline of GNNDelete (arXiv:2302.13406, its repository trains 10 epochs): theta <- theta + lr grad L(D_f). It
propagates on the retain part. It has no term that keeps the rest, and it shows; with ``keep`` it has one: NegGrad+ (a
baseline of SCRUB, arXiv:2302.09880, and of DEL, arXiv:2412.02432, whose code weighs .99 and .01).

::

    L = keep L(D_r) - (1 - keep) L(D_f)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphforget.distill import paired
from graphforget.errors import InputError
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class GradientAscent(Unlearner):
    """Ascend the task's loss on the forgotten elements.

    Args:
        epochs: passes over the forgotten elements (10 in GNNDelete's code).
        lr: Adam's learning rate (our default).
        keep: weight of the retained loss, in [0, 1); above 0 an epoch is a pass over the retained elements, each step
            with its share of the forgotten ones.
    """

    epochs: int = 10
    lr: float = 1e-3
    keep: float = 0.0

    paper: ClassVar[str] = "arXiv:2302.13406"
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if not 0 <= self.keep < 1:
            raise InputError(f"keep must lie in [0, 1) (got {self.keep}): at 1 nothing is forgotten")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, context = job.task, job.model, job.split.retain
        elements = task.elements(context, job.split.forget)

        def steps(epoch: int) -> Iterator[Tensor]:
            if not self.keep:
                yield -task.loss(model, context, elements)
                return
            task.begin_epoch(model, context, job.rng)
            for retained, forgotten in paired(task, context, context, elements, job.rng):
                loss = self.keep * task.loss(model, context, retained)
                yield loss if forgotten is None else loss - (1 - self.keep) * task.loss(model, context, forgotten)

        descend(model, steps, epochs=self.epochs, lr=self.lr, title="gradient ascent")
        return Unlearned(model, context, {})
