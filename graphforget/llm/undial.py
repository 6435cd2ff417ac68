"""UNDIAL (Dong, Lin, Belkin, Huerta, Vulic; arXiv:2402.10052): distil from the original, its gold token lowered.

::

    L_f = CE( model, softmax( logits_original - beta onehot(y) ) )                          (1)
    L   = gamma L_f + alpha L_r

Constants are open-unlearning's (commit d3d7cf9), with Adam for AdamW. Its code averages over prompt and padding too,
where the label -100 points at some other word; ours takes answer tokens alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.llm.descent import check, forget_and_keep, retain_loss
from graphforget.llm.losses import undial
from graphforget.task import Batch, Sequenced
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class UNDIAL(Unlearner):
    """Distil on the forgotten from the original without its gold tokens.

    Args:
        beta: by how much the gold token's logit is lowered.
        retain: L_r: ``nll``, or ``kl`` to the original.
        gamma: weight of L_f.
        alpha: weight of L_r; 0 as published.
        epochs: passes over the forgotten rows.
        lr: Adam's learning rate.
        batch_size: forgotten rows a step, and as many retained ones.
    """

    beta: float = 10.0
    retain: str = "nll"
    gamma: float = 1.0
    alpha: float = 0.0
    epochs: int = 10
    lr: float = 1e-4
    batch_size: int = 32

    paper: ClassVar[str] = "arXiv:2402.10052"
    needs: ClassVar[tuple[type, ...]] = (Sequenced,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        check(self, retain=self.retain, gamma=self.gamma, beta=self.beta)

    def _unlearn(self, job: Job) -> Unlearned:
        task: Any = job.task

        def loss(batch: Batch) -> Tensor:
            with torch.no_grad():
                reference, _ = task.answers(job.original, batch)
            logits, labels = task.answers(job.model, batch)
            return undial(logits, reference, labels, beta=self.beta)  # (1)

        keep = retain_loss(job, self.retain)
        return forget_and_keep(job, self, loss, keep, gamma=self.gamma, title="undial")
