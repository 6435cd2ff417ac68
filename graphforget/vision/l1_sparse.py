"""L1-sparse fine-tuning (Jia et al., "Model sparsity can simplify machine unlearning"; NeurIPS 2023, arXiv:2304.04934).

Go on training on what is retained with a penalty that sparsifies first and fades out.

::

    L(epoch) = L(D_r) + gamma (1 - epoch / epochs) ||theta||_1

gamma is that of DEL's comparison (7e-5 in its code); epochs and learning rate are our defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.task import ImageClassification


@dataclass(frozen=True)
class L1Sparse(Unlearner):
    """Fine-tune on the retained images with a fading L1 penalty.

    Args:
        gamma: weight of the penalty at the start.
        epochs: passes over the retained images.
        lr: Adam's learning rate.
    """

    gamma: float = 7e-5
    epochs: int = 10
    lr: float = 1e-3

    paper: ClassVar[str] = "arXiv:2304.04934"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"retain"})

    def __post_init__(self) -> None:
        if self.gamma < 0:
            raise InputError(f"gamma must not be negative (got {self.gamma})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, context = job.task, job.model, job.split.retain
        weights = [p for p in model.parameters() if p.requires_grad]

        def steps(epoch: int) -> Iterator[Tensor]:
            strength = self.gamma * (1 - epoch / self.epochs)
            for batch in task.batches(context, context, job.rng):
                size = torch.stack([p.abs().sum() for p in weights]).sum()
                yield task.loss(model, context, batch) + strength * size

        job.notes["epochs"] = descend(
            model, steps, epochs=self.epochs, lr=self.lr, weight_decay=task.weight_decay, title="l1 sparse"
        )
        return Unlearned(model, context, {})
