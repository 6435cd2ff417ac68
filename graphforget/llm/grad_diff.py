"""GradDiff: climb a loss of the forgotten answers, descend that of the retained ones.

The baseline of TOFU (arXiv:2401.06121); equations of open-unlearning (commit d3d7cf9) and RESTOR (arXiv:2411.00204).

::

    L = gamma L_f + alpha L_r

``forget`` names L_f:

===============  ====================================================================================
``ascent``       -CE
``wga``          -mean_t p_t nll_t, the weight without gradient (WGA, beta = 1)
``sat_imp``      -mean_t p_t^5 (1 - p_t) nll_t, likewise (SatImp)
``ce_u``         cross-entropy with the model's own distribution without the gold token (CE-U)
``kl``           -KL( model || original ), RESTOR's KL_FT as its paper writes it, on answer tokens
``kl_released``  the same as its code computes it: a cross-entropy without the entropy, on every position
===============  ====================================================================================

``alpha=0`` with ``ascent`` is gradient ascent in mini-batches (:mod:`graphforget.methods.gradient_ascent` climbs the
same loss on all of the forgotten at once). Published are lr 1e-5, 10 epochs and batches of 32 with AdamW; here Adam.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.errors import unknown
from graphforget.llm import losses
from graphforget.llm.descent import check, forget_and_keep, retain_loss
from graphforget.task import Batch, Sequenced
from graphforget.unlearner import Job, Unlearned, Unlearner

Loss = Callable[[Tensor, Tensor], Tensor]
OWN: dict[str, Loss] = {
    "ascent": lambda logits, labels: -losses.cross_entropy(logits, labels),
    "wga": lambda logits, labels: losses.weighted_ascent(logits, labels, beta=1.0),
    "sat_imp": lambda logits, labels: losses.sat_imp(logits, labels, beta1=5.0, beta2=1.0),
    "ce_u": losses.ce_u,
}
FORGET = (*OWN, "kl", "kl_released")


@dataclass(frozen=True)
class GradDiff(Unlearner):
    """Ascend on the forgotten, descend on the retained.

    Args:
        forget: L_f, see the table of this module.
        retain: L_r: ``nll``, or ``kl`` to the original.
        gamma: weight of L_f.
        alpha: weight of L_r.
        epochs: passes over the forgotten rows.
        lr: Adam's learning rate.
        batch_size: forgotten rows a step, and as many retained ones.
    """

    forget: str = "ascent"
    retain: str = "nll"
    gamma: float = 1.0
    alpha: float = 1.0
    epochs: int = 10
    lr: float = 1e-5
    batch_size: int = 32

    paper: ClassVar[str] = "arXiv:2401.06121"
    needs: ClassVar[tuple[type, ...]] = (Sequenced,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if self.forget not in FORGET:
            raise unknown("forget loss", self.forget, FORGET)
        check(self, retain=self.retain, gamma=self.gamma)

    def _unlearn(self, job: Job) -> Unlearned:
        task: Any = job.task

        def loss(batch: Batch) -> Tensor:
            logits, labels = task.answers(job.model, batch)
            if self.forget in OWN:
                return OWN[self.forget](logits, labels)
            with torch.no_grad():
                reference, _ = task.answers(job.original, batch)
            if self.forget == "kl":
                return -losses.kl_forget(logits, reference, labels)
            return -losses.kl_released(logits, reference)

        keep = retain_loss(job, self.retain)
        return forget_and_keep(job, self, loss, keep, gamma=self.gamma, title="grad diff")
