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
        job.notes["epochs"] = go_on(job, epochs=self.epochs, lr=self.lr, title="finetune")
        return Unlearned(job.model, job.split.retain, {})


def go_on(job: Job, *, epochs: int, lr: float, title: str) -> int:
    """Train ``job.model`` by the task's own loss on the retained part; return the number of epochs run."""
    task, context = job.task, job.split.retain

    def steps(epoch: int) -> Iterator[Tensor]:
        task.begin_epoch(job.model, context, job.rng)
        for batch in task.batches(context, context, job.rng):
            yield task.loss(job.model, context, batch)

    return descend(job.model, steps, epochs=epochs, lr=lr, weight_decay=task.weight_decay, title=title)
