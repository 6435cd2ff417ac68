"""SimNPO (Fan, Liu, Lin, Jia, Zhang, Mei, Liu; arXiv:2410.07163): NPO without the original, by length.

::

    L_f = -(2/beta) mean_x logsigmoid( beta ( s(x) / T - delta ) )                          (1)
    L   = gamma L_f + alpha L_r

s is the summed negative log-likelihood of an answer of T tokens. Constants are open-unlearning's (commit d3d7cf9), with
Adam for AdamW.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from graphforget.llm.descent import check, forget_and_keep, retain_loss
from graphforget.llm.losses import lengths, nll, simnpo
from graphforget.task import Batch, Sequenced
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class SimNPO(Unlearner):
    """Make the forgotten answers unlikely per token, ever more weakly.

    Args:
        beta: sharpness.
        delta: margin in nats per token.
        retain: L_r: ``nll``, or ``kl`` to the original.
        gamma: weight of L_f.
        alpha: weight of L_r.
        epochs: passes over the forgotten rows.
        lr: Adam's learning rate.
        batch_size: forgotten rows a step, and as many retained ones.
    """

    beta: float = 4.5
    delta: float = 0.0
    retain: str = "nll"
    gamma: float = 0.125
    alpha: float = 1.0
    epochs: int = 10
    lr: float = 1e-5
    batch_size: int = 32

    paper: ClassVar[str] = "arXiv:2410.07163"
    needs: ClassVar[tuple[type, ...]] = (Sequenced,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        check(self, retain=self.retain, gamma=self.gamma, beta=self.beta)

    def _unlearn(self, job: Job) -> Unlearned:
        task: Any = job.task

        def loss(batch: Batch) -> Tensor:
            logits, labels = task.answers(job.model, batch)
            return simnpo(nll(logits, labels), lengths(labels), beta=self.beta, delta=self.delta)  # (1)

        keep = retain_loss(job, self.retain)
        return forget_and_keep(job, self, loss, keep, gamma=self.gamma, title="simnpo")
