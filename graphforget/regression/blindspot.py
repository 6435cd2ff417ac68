"""Blindspot (Tarun, Chundawat, Mandal, Kankanhalli, "Deep Regression Unlearning"; arXiv:2210.08196, ICML 2023).

Steer the answers about the forgotten rows to those of a network that was trained for a short time and never saw them;
keep the rest by the data.

::

    B    = a fresh network, trained on D_r only for ``blind_epochs``
    S    = a copy of the original; per step, with a = share of forgotten rows in it,
    L    = a L_f + (1 - a) L_r                                                                          (1)
    L_r  = loss(S(x_r), y_r)                                                                            (2)
    L_f  = loss(S(x_f), B(x_f)) + beta sum_k mean_rows || Q(A_k^S) - Q(A_k^B) ||^2                      (3)
    Q(A) = normalize(flatten(mean_c A^2)) of [B, C, H, W],  of [B, T, F] the mean over T,
           normalize(A^2) of [B, F]                                                                     (4)

==============  ==========================================================================
paper, code     here
==============  ==========================================================================
loss            the task's own: absolute error on ages, squared error on sentence pairs
A_k             every layer that the task finds, the last one included
beta            ``beta``, 50 in the code
lr of B         ``blind_lr``, .01 in the code
==============  ==========================================================================

Deviations. Mean over rows in (3), and over nothing else: the code's own reduction is not verified. The published Q of
[B, F] averages its single axis away, so that the attention term is 0 there; (4) does not. The code mixes retained and
forgotten rows at random into a batch; here each step has its share of both, as in all our distillations, and every
row comes once an epoch. B goes when S is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.distill import paired
from graphforget.errors import InputError
from graphforget.methods.finetune import go_on
from graphforget.regression.task import Regression, gone
from graphforget.task import Batch, evaluating
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class Blindspot(Unlearner):
    """Learn the forgotten rows' answers from a network that never saw them.

    Args:
        blind_epochs: passes of B over the retained rows (2 on ages, 10 on sentence pairs in the code).
        blind_lr: Adam's learning rate for B.
        epochs: passes of the student (1 on ages, 5 on sentence pairs).
        lr: Adam's learning rate for the student.
        beta: weight of the attention term; 0 leaves it out.
    """

    blind_epochs: int = 2
    blind_lr: float = 1e-2
    epochs: int = 1
    lr: float = 1e-3
    beta: float = 50.0

    paper: ClassVar[str] = "arXiv:2210.08196"
    needs: ClassVar[tuple[type, ...]] = (Regression,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if self.beta < 0:
            raise InputError(f"beta must not be negative (got {self.beta})")
        if self.blind_epochs < 1 or not self.blind_lr > 0:
            raise InputError(
                f"blind_epochs must be at least 1 and blind_lr positive (got {self.blind_epochs}, {self.blind_lr})"
            )

    def _unlearn(self, job: Job) -> Unlearned:
        task, context = cast(Regression, job.task), job.split.retain
        forgotten = gone(job, "Blindspot")
        blind = task.fresh(job.original, job.seed + 1).requires_grad_(True)
        go_on(replace(job, model=blind), epochs=self.blind_epochs, lr=self.blind_lr, title="blindspot: B")
        blind.eval().requires_grad_(False)

        def steps(epoch: int) -> Iterator[Tensor]:
            for kept, rows in paired(task, context, context, forgotten, job.rng):
                retain = task.loss(job.model, context, kept)  # (2)
                if rows is None:
                    yield retain
                    continue
                outputs, layers = task.watch(job.model, context, rows)
                with evaluating(blind), torch.no_grad():
                    told, seen = task.watch(blind, context, rows)
                forget = task.criterion(outputs, Batch(rows.index, told)).mean()
                if self.beta:
                    forget = forget + self.beta * apart(layers, seen)  # (3)
                share = rows.size / (rows.size + kept.size)
                yield mix(share, forget, retain)

        job.notes["epochs"] = descend(job.model, steps, epochs=self.epochs, lr=self.lr, title="blindspot")
        return Unlearned(job.model, context, {})


def mix(share: float, forget: Tensor, retain: Tensor) -> Tensor:
    """Weigh the two losses of a step by the share of forgotten rows in it: (1).

    Example:
        >>> float(mix(0.25, torch.tensor(8.0), torch.tensor(4.0)))
        5.0
    """
    return share * forget + (1 - share) * retain


def attention(activation: Tensor) -> Tensor:
    """[B, K] the normalised attention map of a layer's output [B, F], [B, T, F] or [B, C, H, W]: (4).

    Example:
        >>> attention(torch.tensor([[3.0, 4.0]]).sqrt())
        tensor([[0.6000, 0.8000]])
    """
    square = activation.square()
    if activation.dim() >= 3:
        square = square.mean(1)
    return F.normalize(square.flatten(1), dim=1)


def apart(student: Mapping[str, Tensor], blind: Mapping[str, Tensor]) -> Tensor:
    """Sum over layers of the mean squared distance of two attention maps."""
    each = [(attention(value) - attention(blind[name])).square().sum(1).mean() for name, value in student.items()]
    return torch.stack(each).sum()
