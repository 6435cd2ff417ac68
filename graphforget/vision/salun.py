"""SalUn, saliency unlearning (Fan et al.; ICLR 2024, arXiv:2310.12508).

Give the forgotten images random labels and train on them beside the retained ones, but move only the weights that
their loss depends on most.

::

    m     = 1 for the int(budget N) largest |sum over D_f of grad L|, all tensors ranked together           (1)
    theta <- descent on L of D_r and D_f with random labels, each image alike, where m = 1                  (2)

With ``budget=1`` every weight moves: amnesiac unlearning by relabelling (Graves, Nagisetty, Ganesh; arXiv:2010.10981).
Labels are drawn uniformly over all classes, once, as DEL's code does. Optimiser, epochs, learning rate and that a step
takes its share of the forgotten beside a batch of the retained are our defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.distill import combine, paired
from graphforget.errors import InputError
from graphforget.task import Batch
from graphforget.train import cosine, descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.saliency import gradients, keeper, largest
from graphforget.vision.task import ImageClassification


@dataclass(frozen=True)
class SalUn(Unlearner):
    """Train the salient weights on random labels of the forgotten.

    Args:
        budget: share of the parameters that move.
        epochs: passes over the retained images.
        lr: SGD's learning rate at the start; it falls along a cosine to half.
        momentum: of SGD.
        batch_size: forgotten images a gradient (1).
    """

    budget: float = 0.5
    epochs: int = 10
    lr: float = 0.01
    momentum: float = 0.9
    batch_size: int = 128

    paper: ClassVar[str] = "arXiv:2310.12508"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 1:
            raise InputError(f"budget must lie in (0, 1] (got {self.budget})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, context = job.task, job.model, job.split.retain
        found = gradients(task, model, context, job.split.forget, self.batch_size)
        masks = largest({name: value.abs() for name, value in found.items()}, self.budget)  # (1)
        forgotten = task.elements(context, job.split.forget)
        classes = task.teacher(model, context)(forgotten.take(torch.arange(1))).shape[1]
        label = torch.randint(classes, forgotten.label.shape, generator=job.rng).to(forgotten.label.device)
        relabelled = Batch(forgotten.index, label, forgotten.input)

        def steps(epoch: int) -> Iterator[Tensor]:
            for batch, wrong in paired(task, context, context, relabelled, job.rng):
                ask = task.bind(model, context)
                kept = task.criterion(ask(batch), batch)
                gone = None if wrong is None else task.criterion(ask(wrong), wrong)
                yield combine(kept, gone, alpha=0.5, weighting="per_element", forget_weight=1.0)  # (2)

        job.notes["epochs"] = descend(
            model, steps, epochs=self.epochs, lr=self.lr, weight_decay=task.weight_decay, momentum=self.momentum,
            schedule=cosine(self.epochs, 0.5), after_step=keeper(model, masks), title="salun",
        )  # fmt: skip
        return Unlearned(model, context, {})
