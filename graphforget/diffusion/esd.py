"""ESD, erased stable diffusion (Gandikota et al.; arXiv:2303.07345): push a concept's prediction past the empty one.

::

    target = eps0(x_t, from) - eta (eps0(x_t, c) - eps0(x_t, null))                        (1)
    loss   = || eps*(x_t, from) - target ||^2                                              (2)

==========  ===================================================================
eps0, eps*  the original, the model in training
c           the forgotten concept; ``from`` is c itself
eta         ``eta``, counted from eps0(from): 1 is the empty prediction, 2 its reflection beyond
==========  ===================================================================

Constants are the authors' code's (rohitgandikota/erasing, commit 25613d2) as far as ours are the same: eta 2. Learning
rate, steps and batch suit models of 10^5 parameters (our default). As published there is no term that keeps the rest:
``keep`` adds our own, the distance to the original on the other concepts. It and ``source="data"`` read noised images
of all concepts, those of the forgotten one as images without a concept: the empty prediction still knows their shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.diffusion.erasure import (
    check,
    concepts_of,
    keeping,
    of_data,
    of_model,
    predictions,
    train_only,
)  # fmt: skip
from graphforget.diffusion.models import NULL
from graphforget.diffusion.task import NoisePrediction
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class ESD(Unlearner):
    """Steer the forgotten concepts' predictions away from what they were.

    Args:
        eta: negative guidance.
        group: parameters that are trained: ``esd-x``, ``esd-u``, ``esd-all``, ``esd-x-strict``.
        source: noised ``data``, or ``sampled`` from the original.
        keep: weight of our term that keeps the other concepts; 0 as published.
        epochs: steps.
        lr: Adam's learning rate.
        batch_size: images a step.
        pool: images that the original draws at once, where they are sampled.
    """

    eta: float = 2.0
    group: str = "esd-all"
    source: str = "data"
    keep: float = 1.0
    epochs: int = 100
    lr: float = 1e-3
    batch_size: int = 48
    pool: int = 48

    paper: ClassVar[str] = "arXiv:2303.07345"
    needs: ClassVar[tuple[type, ...]] = (NoisePrediction,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "retain"})

    def __post_init__(self) -> None:
        check(self)

    def _unlearn(self, job: Job) -> Unlearned:
        task, split, concepts = cast(NoisePrediction, job.task), job.split, concepts_of(job)
        shape = tuple(split.data.x.shape[1:])
        own = of_data(task, split.data, self.batch_size, job.rng)
        drawn = of_model(job.original, task, concepts, shape, (self.pool, self.batch_size), job.rng)
        train_only(job.model, self.group)

        def steps(epoch: int) -> Iterator[Tensor]:
            x, t, _ = next(own if self.source == "data" else drawn)
            c = concepts[torch.randint(len(concepts), (len(x),), generator=job.rng)]
            loss = F.mse_loss(predictions(job.model, x, t, c), esd_target(job.original, x, t, c, self.eta))  # (2)
            yield loss + self.keep * keeping(job, own, concepts) if self.keep else loss

        descend(job.model, steps, epochs=self.epochs, lr=self.lr, carries=True, title="esd")
        return Unlearned(job.model, split.retain, {})


def esd_target(original: torch.nn.Module, x: Tensor, t: Tensor, c: Tensor, eta: float) -> Tensor:
    """The prediction to be learned: equation (1), without gradient."""
    with torch.no_grad():
        own, empty = predictions(original, x, t, c), predictions(original, x, t, NULL)
    return own - eta * (own - empty)
