"""DUCK, distance-based unlearning via centroid kinematics (Cotogni et al.; arXiv:2312.02052).

Drive the embeddings of forgotten images to the nearest centroid of a wrong class, and keep the retained ones right.
Written from the paper's equations.

::

    c_j   = mean embedding of retained images of class j, under the original, over the first batches        (1)
    d     = 1 - cos;   t(x) = the c_j nearest to Psi(x) under the original, j not the image's own class     (2)
    L     = lambda_1 mean_i d(Psi(x_i), t(x_i)) + lambda_2 CE( Gamma(Psi(x_r)) / T, y_r )                   (3)
    stop after the epoch whose accuracy on D_f is under the goal                                            (4)

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
them. The published code's second phase (two more epochs that repair) is left out; Adam's rate is constant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget import metrics
from graphforget.errors import InputError
from graphforget.task import Batch
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.layers import embed, head, inputs
from graphforget.vision.metrics import absent
from graphforget.vision.task import ImageClassification

CENTROID_BATCHES = 50


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
    """

    forget_weight: float = 1.0
    retain_weight: float = 1.4
    temperature: float = 2.0
    ratio: int = 5
    goal: float = 0.01
    batch_size: int = 256
    epochs: int = 10
    lr: float = 5e-4

    paper: ClassVar[str] = "arXiv:2312.02052"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain", "held_out"})

    def __post_init__(self) -> None:
        if min(self.forget_weight, self.retain_weight) < 0 or self.temperature <= 0:
            given = f"{self.forget_weight}, {self.retain_weight} and {self.temperature}"
            raise InputError(f"the weights must not be negative, temperature positive (got {given})")
        if self.ratio < 0 or self.batch_size < 1:
            raise InputError(f"ratio must be at least 0 and batch_size 1 (got {self.ratio} and {self.batch_size})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, split, context = job.task, job.model, job.split, job.split.retain
        name, last = head(model, "DUCK")
        forgotten = task.elements(context, split.forget)
        target = targets(task, job.original, context, forgotten, job.rng)
        whole = bool(absent(split, split.forget).all())
        goal = self.goal if whole else right(task, job.original, context, split.held_out)

        def steps(epoch: int) -> Iterator[Tensor]:
            retained = endless(job)
            for rows in torch.randperm(forgotten.size, generator=job.rng).split(self.batch_size):
                gone = forgotten.take(rows.to(forgotten.label.device))
                for _ in range(self.ratio + 1):
                    with inputs({name: last}) as found:
                        task.outputs(model, context, gone)
                        moved = found[name]
                    batch = next(retained)
                    kept = task.criterion(task.outputs(model, context, batch) / self.temperature, batch).mean()
                    away = (1 - F.cosine_similarity(moved, target[rows.to(target.device)])).mean()
                    yield self.forget_weight * away + self.retain_weight * kept  # (3)

        def reached(epoch: int, loss: float) -> bool:
            return right(task, model, context, split.forget) < goal  # (4)

        job.notes["epochs"] = descend(model, steps, epochs=self.epochs, lr=self.lr, after_epoch=reached, title="duck")
        job.notes["goal"] = goal
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
