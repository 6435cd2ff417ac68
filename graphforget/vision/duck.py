"""DUCK, distance-based unlearning via centroid kinematics (Cotogni et al.; arXiv:2312.02052).

Drive the embeddings of forgotten images to the nearest centroid of a wrong class, and keep the retained ones right.
Written from the paper's equations.

::

    c_j   = mean embedding of retained images of class j, under the original, over the first batches        (1)
    d     = 1 - cos;   t(x) = the c_j nearest to Psi(x) under the original, j not the image's own class     (2)
    L     = lambda_1 mean_i d(Psi(x_i), t(x_i)) + lambda_2 CE( Gamma(Psi(x_r)) / T, y_r )                   (3)
    stop after the epoch whose accuracy on D_f is under the goal                                            (4)
    repair: L = lambda_1 / 10 mean_i d(Psi(x_i), t(x_i)) + CE( Gamma(Psi(x_r)) / T, y_r )                   (5)

==========  =====================================================================================
paper       here
==========  =====================================================================================
Psi, Gamma  what enters the linear layer that was registered last, and that layer
lambda_1    ``forget_weight``
lambda_2    ``retain_weight``
T           ``temperature``
==========  =====================================================================================

Each forgotten batch meets ``ratio`` + 1 retained ones. Goal: 1 % where whole classes go (``goal``); else the original's
accuracy on held-out images (the paper takes the test images, which no method may see here). Centroids carry the label
of their class, and targets are found once an image, so that neither removed classes nor the order of batches shift
them. Adam's rate is constant. The second phase of the published code is ``repair=2`` epochs (0 leaves it out): Adam at
1e-4 along a cosine, each forgotten batch beside a whole pass over the retained where classes go, else beside 20 of
them. Its retained batches of 512 augmented images, which share a forward pass with the forgotten, are the recipe's own
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget import metrics
from graphforget.errors import InputError
from graphforget.task import Batch
from graphforget.train import cosine, descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.layers import embed, head, inputs
from graphforget.vision.metrics import absent
from graphforget.vision.task import ImageClassification

CENTROID_BATCHES = 50
REPAIR_BATCHES, REPAIR_LR = 20, 1e-4


@dataclass(frozen=True)
class DUCK(Unlearner):
    """Move the forgotten's embeddings to wrong centroids.

    Args:
        forget_weight: lambda_1.
        retain_weight: lambda_2.
        temperature: divides the retained logits.
        ratio: retained batches, less one, that each forgotten batch meets.
        goal: accuracy on the forgotten under which it stops where whole classes go.
        batch_size: forgotten images a step.
        epochs: passes over the forgotten images, at most.
        lr: Adam's learning rate.
        repair: epochs of the second phase (5).
    """

    forget_weight: float = 1.0
    retain_weight: float = 1.4
    temperature: float = 2.0
    ratio: int = 5
    goal: float = 0.01
    batch_size: int = 256
    epochs: int = 10
    lr: float = 5e-4
    repair: int = 0

    paper: ClassVar[str] = "arXiv:2312.02052"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain", "held_out"})

    def __post_init__(self) -> None:
        if min(self.forget_weight, self.retain_weight) < 0 or self.temperature <= 0:
            given = f"{self.forget_weight}, {self.retain_weight} and {self.temperature}"
            raise InputError(f"the weights must not be negative, temperature positive (got {given})")
        if self.ratio < 0 or self.batch_size < 1:
            raise InputError(f"ratio must be at least 0 and batch_size 1 (got {self.ratio} and {self.batch_size})")
        if self.repair < 0:
            raise InputError(f"repair must not be negative (got {self.repair})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, split, context = job.task, job.model, job.split, job.split.retain
        name, last = head(model, "DUCK")
        forgotten = task.elements(context, split.forget)
        target = targets(task, job.original, context, forgotten, job.rng)
        whole = bool(absent(split, split.forget).all())
        goal = self.goal if whole else right(task, job.original, context, split.held_out)

        def away(rows: Tensor) -> Tensor:
            with inputs({name: last}) as found:
                task.outputs(model, context, forgotten.take(rows.to(forgotten.label.device)))
                return (1 - F.cosine_similarity(found[name], target[rows.to(target.device)])).mean()

        def kept(batch: Batch) -> Tensor:
            return task.criterion(task.outputs(model, context, batch) / self.temperature, batch).mean()

        def shares() -> Iterator[Tensor]:
            yield from torch.randperm(forgotten.size, generator=job.rng).split(self.batch_size)

        def steps(epoch: int) -> Iterator[Tensor]:
            retained = endless(job)
            for rows in shares():
                for _ in range(self.ratio + 1):
                    yield self.forget_weight * away(rows) + self.retain_weight * kept(next(retained))  # (3)

        def second(epoch: int) -> Iterator[Tensor]:
            for rows in shares():
                beside = task.batches(context, context, job.rng) if whole else islice(endless(job), REPAIR_BATCHES)
                for batch in beside:
                    yield self.forget_weight / 10 * away(rows) + kept(batch)  # (5)

        def reached(epoch: int, loss: float) -> bool:
            return right(task, model, context, split.forget) < goal  # (4)

        job.notes["epochs"] = descend(model, steps, epochs=self.epochs, lr=self.lr, after_epoch=reached, title="duck")
        job.notes["goal"] = goal
        if self.repair and min(self.forget_weight, self.retain_weight) > 0:  # as published
            falls = cosine(self.repair)
            descend(model, second, epochs=self.repair, lr=REPAIR_LR, schedule=falls, title="duck repair")
        return Unlearned(model, context, {})


def targets(task: Any, model: nn.Module, context: Any, batch: Batch, rng: torch.Generator) -> Tensor:
    """[B, d] the centroid (1) of another class that is nearest to each element (2).

    Args:
        task: how the model runs.
        model: the original.
        context: the retained part, of which the centroids are.
        batch: the forgotten elements.
        rng: which retained batches come first.

    Raises:
        InputError: no class but an element's own is retained.
    """
    sums: dict[int, Tensor] = {}
    counts: dict[int, int] = {}
    for number, kept in enumerate(task.batches(context, context, rng)):
        if number == CENTROID_BATCHES:
            break
        found = embed(task, model, context, kept, "DUCK")
        for label in kept.label.unique().tolist():
            own = found[kept.label == label]
            sums[label] = sums.get(label, torch.zeros_like(own[0])) + own.sum(0)
            counts[label] = counts.get(label, 0) + len(own)
    labels = torch.tensor(sorted(sums))
    centroids = torch.stack([sums[label] / counts[label] for label in labels.tolist()])
    own = embed(task, model, context, batch, "DUCK")
    distance = 1 - F.cosine_similarity(own[:, None], centroids[None], dim=2)
    distance = distance.masked_fill(batch.label[:, None] == labels.to(batch.label.device)[None], torch.inf)
    if not bool(torch.isfinite(distance).any(1).all()):
        raise InputError("DUCK needs a retained class beside each forgotten image's own (got none); use retrain")
    return centroids[distance.argmin(1)]


def right(task: Any, model: nn.Module, context: Any, view: Any) -> float:
    """Accuracy of a model on a view."""
    batch = task.elements(context, view)
    return metrics.accuracy(task.teacher(model, context)(batch), batch.label)


def endless(job: Job) -> Iterator[Batch]:
    """Retained batches, shuffled anew each round."""
    while True:
        yield from job.task.batches(job.split.retain, job.split.retain, job.rng)
