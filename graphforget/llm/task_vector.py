"""Task vectors (Ilharco et al., arXiv:2212.04089): learn the forgotten still better, and go the other way.

::

    theta* = theta trained on D_f                                                           (1)
    theta' = theta - alpha ( theta* - theta )                                               (2)

Nothing retained is read. The size of the step, alpha, and the training of (1) are our defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.llm.descent import tokens
from graphforget.task import Sequenced
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class TaskVector(Unlearner):
    """Subtract what training on the forgotten adds.

    Args:
        alpha: length of the step away.
        epochs: passes over the forgotten rows.
        lr: Adam's learning rate.
        batch_size: forgotten rows a step.
    """

    alpha: float = 1.0
    epochs: int = 10
    lr: float = 1e-5
    batch_size: int = 32

    paper: ClassVar[str] = "arXiv:2212.04089"
    needs: ClassVar[tuple[type, ...]] = (Sequenced,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget"})

    def __post_init__(self) -> None:
        if self.alpha <= 0 or self.batch_size < 1:
            raise InputError(
                f"alpha must be positive and batch_size at least 1 (got {self.alpha} and {self.batch_size})"
            )

    def _unlearn(self, job: Job) -> Unlearned:
        task: Any = job.task
        view = job.split.forget
        rows = view.rows()

        def steps(epoch: int) -> Iterator[Tensor]:
            for part in rows[torch.randperm(len(rows), generator=job.rng)].split(self.batch_size):
                yield task.loss(job.model, view, task.of_rows(view, part))

        job.notes["epochs"] = descend(job.model, steps, epochs=self.epochs, lr=self.lr, title="task vector")  # (1)
        job.notes["tokens"] = job.notes["epochs"] * tokens(view, rows)
        with torch.no_grad():
            for own, before in zip(job.model.parameters(), job.original.parameters(), strict=True):
                if own.requires_grad:
                    own.copy_(before - self.alpha * (own - before))  # (2)
        return Unlearned(job.model, job.split.retain, {})
