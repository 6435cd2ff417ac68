"""SSD, selective synaptic dampening (Foster, Schoepf, Brintrup; AAAI 2024, arXiv:2308.07707).

Shrink the weights that matter much more for the forgotten than for all data; nothing is trained.

::

    I_D, I_F = mean over mini-batches of (gradient of the mean loss)^2 on D, on D_f                         (1)
    chosen where I_F > alpha I_D                                                                            (2)
    theta <- min(lambda I_D / I_F, 1) theta, where chosen                                                   (3)

==========  ======================================================================
paper       here
==========  ======================================================================
alpha       ``selection``
lambda      ``dampening``
I_D         of ``split.data``
==========  ======================================================================

The size of the mini-batches changes (1), so it is the same for both. Where I_F is 0 nothing is chosen. ``label_free``
takes LFSSD's importances instead: the mean size of the gradient of mean ||f(x)||^2, which needs no label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.saliency import Scores, gradients, label_free, squared
from graphforget.vision.task import ImageClassification


@dataclass(frozen=True)
class SSD(Unlearner):
    """Dampen the weights that matter for the forgotten.

    Args:
        selection: a weight is chosen when it matters so many times more for the forgotten.
        dampening: larger shrinks less.
        batch_size: images a gradient.
        label_free: importances without labels (LFSSD).
    """

    selection: float = 10.0
    dampening: float = 1.0
    batch_size: int = 128
    label_free: bool = False

    paper: ClassVar[str] = "arXiv:2308.07707"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget"})

    def __post_init__(self) -> None:
        for name in ("selection", "dampening", "batch_size"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive (got {getattr(self, name)})")

    def _unlearn(self, job: Job) -> Unlearned:
        every = self._importance(job, job.split.data)
        gone = self._importance(job, job.split.forget)  # (1)
        count = 0
        with torch.no_grad():
            for name, parameter in job.model.named_parameters():
                if name in gone:
                    factor = damped(every[name], gone[name], self.selection, self.dampening)
                    parameter.mul_(factor)
                    count += int((factor < 1).sum())
        job.notes["dampened"] = count
        return Unlearned(job.model, job.split.retain, {})

    def _importance(self, job: Job, view: Any) -> Scores:
        measure = label_free if self.label_free else squared
        return gradients(job.task, job.model, job.split.data, view, self.batch_size, measure)


def damped(every: Tensor, gone: Tensor, selection: float, dampening: float) -> Tensor:
    """Return the factor of each weight: (2) and (3).

    Args:
        every: importances on all data.
        gone: importances on the forgotten, of the same shape.
        selection: alpha.
        dampening: lambda.

    Example:
        >>> damped(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([20.0, 5.0, 0.0]), 10.0, 1.0)
        tensor([0.0500, 1.0000, 1.0000])
    """
    chosen = gone > selection * every
    ratio = (dampening * every / torch.where(chosen, gone, torch.ones_like(gone))).clamp(max=1.0)
    return torch.where(chosen, ratio, torch.ones_like(ratio))
