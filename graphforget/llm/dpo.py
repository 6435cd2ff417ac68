"""DPO for "I don't know" (Rafailov et al., arXiv:2305.18290; as a baseline of TOFU, arXiv:2401.06121).

::

    L_f = -(2/beta) mean_x logsigmoid( beta [ (s_ref - s)(other) - (s_ref - s)(forget) ] )   (1)
    L   = gamma L_f + alpha L_r

s is the summed negative log-likelihood of an answer, s_ref that of the original. The other answers are the task's
``refusals``, one drawn for every row and step. Constants are open-unlearning's (commit d3d7cf9), with Adam for AdamW.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.llm.descent import check, forget_and_keep, retain_loss
from graphforget.llm.losses import dpo
from graphforget.llm.task import CausalLM
from graphforget.llm.tokens import encode, questions
from graphforget.task import Batch
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class DPO(Unlearner):
    """Prefer a refusal to the forgotten answer.

    Args:
        beta: sharpness.
        retain: L_r: ``nll``, or ``kl`` to the original.
        gamma: weight of L_f.
        alpha: weight of L_r.
        epochs: passes over the forgotten rows.
        lr: Adam's learning rate.
        batch_size: forgotten rows a step, and as many retained ones.
    """

    beta: float = 0.1
    retain: str = "nll"
    gamma: float = 1.0
    alpha: float = 1.0
    epochs: int = 10
    lr: float = 1e-5
    batch_size: int = 32

    paper: ClassVar[str] = "arXiv:2305.18290"
    needs: ClassVar[tuple[type, ...]] = (CausalLM,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        check(self, retain=self.retain, gamma=self.gamma, beta=self.beta)

    def _unlearn(self, job: Job) -> Unlearned:
        task: Any = job.task
        if task.tokenizer is None or not task.refusals:
            raise InputError(
                'DPO needs other answers: CausalLM(tokenizer=..., refusals=("I do not know.",)) (got none)'
            )

        def loss(batch: Batch) -> Tensor:
            other = self._refused(task, batch, job.rng)
            with torch.no_grad():
                before = task.answer_nll(job.original, batch), task.answer_nll(job.original, other)
            after = task.answer_nll(job.model, batch), task.answer_nll(job.model, other)
            return dpo(after[0], before[0], after[1], before[1], beta=self.beta)  # (1)

        keep = retain_loss(job, self.retain)
        return forget_and_keep(job, self, loss, keep, gamma=self.gamma, title="dpo")

    def _refused(self, task: Any, batch: Batch, rng: torch.Generator) -> Batch:
        """The same questions, in the same order, with refusals for answers."""
        view = batch.input
        rows = torch.unique(batch.index // view.y.shape[1])
        drawn = torch.randint(len(task.refusals), (len(rows),), generator=rng).tolist()
        asked = questions(task.tokenizer, view.view(view.mask_of(rows.cpu())))
        other = encode(task.tokenizer, list(zip(asked, [task.refusals[k] for k in drawn], strict=True)))
        return task.of_rows(other.to(view.y.device), torch.arange(len(rows)))  # type: ignore[no-any-return]
