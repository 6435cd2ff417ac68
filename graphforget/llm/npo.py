"""NPO, negative preference optimisation (Zhang, Lin, Bai, Mei; arXiv:2404.05868): ascent that stops by itself.

::

    L_f = -(2/beta) mean_x logsigmoid( beta ( s(x) - s_ref(x) ) )                          (1)
    L   = gamma L_f + alpha L_r

==========  ==================================================================
s           summed negative log-likelihood of an answer under the model
s_ref       the same under the original
beta        ``beta``
==========  ==================================================================

``reduction="batch_mean"`` takes one logsigmoid of the batch's mean token losses instead, as RESTOR, MUSE and SimNPO's
fork do: another loss under the same name. Constants are open-unlearning's (commit d3d7cf9), with Adam for AdamW.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.errors import unknown
from graphforget.llm.descent import check, forget_and_keep, retain_loss
from graphforget.llm.losses import REDUCTIONS, lengths, nll, npo
from graphforget.task import Batch, Sequenced
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class NPO(Unlearner):
    """Make the forgotten answers less likely than they were under the original, ever more weakly.

    Args:
        beta: sharpness; towards 0 it becomes gradient ascent.
        reduction: ``sequence`` (the equation) or ``batch_mean``.
        retain: L_r: ``nll``, or ``kl`` to the original.
        gamma: weight of L_f.
        alpha: weight of L_r.
        epochs: passes over the forgotten rows.
        lr: Adam's learning rate.
        batch_size: forgotten rows a step, and as many retained ones.
    """

    beta: float = 0.1
    reduction: str = "sequence"
    retain: str = "nll"
    gamma: float = 1.0
    alpha: float = 1.0
    epochs: int = 10
    lr: float = 1e-5
    batch_size: int = 32

    paper: ClassVar[str] = "arXiv:2404.05868"
    needs: ClassVar[tuple[type, ...]] = (Sequenced,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise unknown("reduction", self.reduction, REDUCTIONS)
        check(self, retain=self.retain, gamma=self.gamma, beta=self.beta)

    def _unlearn(self, job: Job) -> Unlearned:
        task: Any = job.task

        def loss(batch: Batch) -> Tensor:
            with torch.no_grad():
                reference = task.answer_nll(job.original, batch)
            logits, labels = task.answers(job.model, batch)
            return npo(nll(logits, labels), reference, lengths(labels), beta=self.beta, reduction=self.reduction)  # (1)

        keep = retain_loss(job, self.retain)
        return forget_and_keep(job, self, loss, keep, gamma=self.gamma, title="npo")
