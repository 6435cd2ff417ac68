"""Fine-tuning: go on training the original on what is retained.

The simplest baseline and a strong one (it recovers most of what poison did). Defaults are ours, no paper's; the weight
decay is that of the task's recipe.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class FineTune(Unlearner):
    """Train on the retained data for a few epochs.

    Args:
        epochs: passes over the retained data.
        lr: Adam's learning rate.
    """

    epochs: int = 30
    lr: float = 1e-2

    reads: ClassVar[frozenset[str]] = frozenset({"retain"})

    def _unlearn(self, job: Job) -> Unlearned:
        context = job.split.retain

        def steps(epoch: int) -> Iterator[Tensor]:
            job.task.begin_epoch(job.model, context, job.rng)
            for batch in job.task.batches(context, context, job.rng):
                yield job.task.loss(job.model, context, batch)

        decay = job.task.weight_decay
        epochs = descend(job.model, steps, epochs=self.epochs, lr=self.lr, weight_decay=decay, title="finetune")
        job.notes["epochs"] = epochs
        return Unlearned(job.model, context, {})
