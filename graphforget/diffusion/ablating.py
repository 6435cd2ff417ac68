"""Ablating concepts (Kumari et al.; arXiv:2303.13516): a concept's prediction becomes that of an anchor.

::

    model-based:  L = || stopgrad(eps(x_t, anchor)) - eps(x_t, c) ||^2
    noise-based:  L = || eps - eps(x_t, c) ||^2,  x_t of images of the anchor
    + keep || eps(x_t, c') - eps0(x_t, c') ||^2 on the other concepts (prior preservation)

We had no access to paper and code: the equations are those that are commonly stated and are **not verified**, and every
constant is our default. The usual anchor is the empty condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.diffusion.erasure import (
    Noised,
    anchor_of,
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
from graphforget.errors import InputError, unknown
from graphforget.samples import Samples
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner

TARGETS = ("model", "noise")


@dataclass(frozen=True)
class AblatingConcepts(Unlearner):
    """Map forgotten concepts to an anchor.

    Args:
        anchor: the label that takes their place; -1 is the empty condition.
        target: ``model`` (the anchor's prediction) or ``noise`` (the noise in images of the anchor).
        group: parameters that are trained; see :func:`graphforget.diffusion.erasure.train_only`.
        source: noised ``data`` of the retained, or images of the anchor ``sampled`` from the original.
        keep: weight of the prior preservation.
        epochs: steps.
        lr: Adam's learning rate.
        batch_size: images a step.
        pool: images that the original draws at once, where they are sampled.
    """

    anchor: int = NULL
    target: str = "model"
    group: str = "esd-all"
    source: str = "data"
    keep: float = 1.0
    epochs: int = 100
    lr: float = 1e-3
    batch_size: int = 48
    pool: int = 48

    paper: ClassVar[str] = "arXiv:2303.13516"
    needs: ClassVar[tuple[type, ...]] = (NoisePrediction,)
    reads: ClassVar[frozenset[str]] = frozenset({"retain"})

    def __post_init__(self) -> None:
        check(self)
        if self.target not in TARGETS:
            raise unknown("target", self.target, TARGETS)
        if self.target == "noise" and self.source == "sampled":
            raise InputError("target='noise' needs images with known noise (got source='sampled'); use source='data'")

    def _unlearn(self, job: Job) -> Unlearned:
        task, split, concepts = cast(NoisePrediction, job.task), job.split, concepts_of(job)
        anchor = anchor_of(concepts, self.anchor)
        kept = split.retain
        own = of_data(task, kept, self.batch_size, job.rng)
        shape = tuple(kept.x.shape[1:])
        drawn = of_model(job.original, task, anchor, shape, (self.pool, self.batch_size), job.rng)
        train_only(job.model, self.group)
        images = kept if self.anchor == NULL else of_label(kept, self.anchor)
        if self.target == "noise" and not images.size:
            raise InputError(f"no retained row shows the anchor {self.anchor}; use target='model' or another anchor")

        def steps(epoch: int) -> Iterator[Tensor]:
            if self.target == "noise":
                batch = next(iter(task.batches(images, images, job.rng)))
                batch = batch.take(torch.arange(min(self.batch_size, batch.size)))
                x, t, _ = task.noised(images, batch)
                goal = batch.label.view_as(x)
            else:
                x, t, _ = next(own if self.source == "data" else drawn)
                goal = anchored(job, (x, t, anchor.expand(len(x))))
            c = concepts[torch.randint(len(concepts), (len(x),), generator=job.rng)]
            own_prediction = predictions(job.model, x, t, c)
            loss = F.mse_loss(own_prediction, goal.to(own_prediction))
            yield loss + self.keep * keeping(job, own, concepts) if self.keep else loss

        descend(job.model, steps, epochs=self.epochs, lr=self.lr, carries=True, title="ablating concepts")
        return Unlearned(job.model, split.retain, {})


def of_label(view: Samples, label: int) -> Samples:
    """The rows of a view that have a label."""
    rows = view.rows()
    return view.view(view.mask_of(rows[view.y.cpu()[rows] == label]))


def anchored(job: Job, noised: Noised) -> Tensor:
    """The model's own prediction of the anchor, without gradient."""
    with torch.no_grad():
        return predictions(job.model, *noised)
