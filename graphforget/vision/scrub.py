"""SCRUB (Kurmanji, Triantafillou, Hayes, Triantafillou; NeurIPS 2023, arXiv:2302.09880).

The student disobeys the original on the forgotten and obeys it on the retained, in turns.

::

    max step, in the first ``max_epochs`` epochs:  ascend  mean_{D_f} KL( T(x) || S(x) )                    (1)
    min step, in every epoch:  descend  alpha mean_{D_r} KL( T(x) || S(x) ) + gamma mean_{D_r} CE           (2)

KL is softened by ``temperature`` and scaled by its square. All numbers, Adam included, are our defaults; we start from
them because the one public benchmark that lists its own (lr .01, 3 max epochs of 10) passes the optimiser a model that
is not the one it trains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.distill import soft
from graphforget.errors import InputError
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.task import ImageClassification


@dataclass(frozen=True)
class SCRUB(Unlearner):
    """Disobey the original on the forgotten, obey it on the retained.

    Args:
        alpha: weight of the distance to the original on the retained.
        gamma: weight of their cross-entropy.
        temperature: of the softened distributions.
        max_epochs: epochs that begin with max steps.
        batch_size: forgotten images a max step.
        epochs: of min steps.
        lr: Adam's learning rate.
    """

    alpha: float = 0.5
    gamma: float = 1.0
    temperature: float = 4.0
    max_epochs: int = 3
    batch_size: int = 32
    epochs: int = 10
    lr: float = 5e-4

    paper: ClassVar[str] = "arXiv:2302.09880"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if min(self.alpha, self.gamma) < 0 or self.temperature <= 0:
            given = f"{self.alpha}, {self.gamma} and {self.temperature}"
            raise InputError(f"alpha and gamma must not be negative, temperature positive (got {given})")
        if self.max_epochs < 0 or self.batch_size < 1:
            raise InputError(
                f"max_epochs must be at least 0 and batch_size at least 1 (got {self.max_epochs}, {self.batch_size})"
            )

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, context = job.task, job.model, job.split.retain
        teacher = task.teacher(job.original, context)
        forgotten = task.elements(context, job.split.forget)

        def steps(epoch: int) -> Iterator[Tensor]:
            if epoch < self.max_epochs:
                for rows in torch.randperm(forgotten.size, generator=job.rng).split(self.batch_size):
                    gone = forgotten.take(rows.to(forgotten.label.device))
                    yield -soft(task, teacher, task.bind(model, context), gone, self.temperature).mean()  # (1)
            for batch in task.batches(context, context, job.rng):
                outputs = task.outputs(model, context, batch)
                near = task.divergence(teacher(batch), outputs, self.temperature).mean()
                yield self.alpha * near + self.gamma * task.criterion(outputs, batch).mean()  # (2)

        job.notes["epochs"] = descend(model, steps, epochs=self.epochs, lr=self.lr, title="scrub")
        return Unlearned(model, context, {})
