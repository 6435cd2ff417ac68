"""SDD, safe self-distillation (Kim et al.; arXiv:2307.05977): a concept's prediction becomes the model's empty one.

::

    loss = || stopgrad(eps(z_t, null)) - eps(z_t, c) ||^2          both of the student
    teacher <- decay teacher + (1 - decay) student                 after each step; the teacher is returned

z_t is drawn from the *teacher*, with guidance. Concepts are labels here: z_t is of one of them, where the authors' code
joins the words of all, and each image of a step has a concept at random, where theirs takes one a step in turn.
Written from the equations (the authors' code, nannullna/safe-diffusion, has no licence and was not copied). With its
decay .999 and 1,500 steps the returned teacher is still .999^1500 = 22 % original; our shorter runs take .98 (our
default), as are learning rate, steps and batch. Gradients are clipped at 1.
``source="data"`` takes noised rows of the retained for z_t, which is faster and not the paper's.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.diffusion.erasure import (
    check,
    concepts_of,
    keeping,
    of_data,
    of_model,
    predictions,
    train_only,
)  # fmt: skip
from graphforget.diffusion.models import NULL
from graphforget.diffusion.task import NoisePrediction
from graphforget.errors import InputError
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class SDD(Unlearner):
    """Distil the empty prediction into the forgotten concepts'; return the moving average.

    Args:
        decay: of the moving average.
        group: parameters that are trained; the paper's are ``xattn``.
        source: ``sampled`` from the teacher, or noised ``data`` of the retained.
        keep: weight of our term that keeps the other concepts; 0 as published.
        epochs: steps.
        lr: Adam's learning rate.
        batch_size: images a step.
        pool: images that the teacher draws at once.
    """

    decay: float = 0.98
    group: str = "esd-all"
    source: str = "sampled"
    keep: float = 1.0
    epochs: int = 100
    lr: float = 1e-3
    batch_size: int = 48
    pool: int = 48

    paper: ClassVar[str] = "arXiv:2307.05977"
    needs: ClassVar[tuple[type, ...]] = (NoisePrediction,)
    reads: ClassVar[frozenset[str]] = frozenset({"retain"})

    def __post_init__(self) -> None:
        check(self)
        if not 0 <= self.decay < 1:
            raise InputError(f"decay must lie in [0, 1) (got {self.decay})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, split, concepts = cast(NoisePrediction, job.task), job.split, concepts_of(job)
        teacher = copy.deepcopy(job.original)
        own = of_data(task, split.retain, self.batch_size, job.rng)
        shape = tuple(split.retain.x.shape[1:])
        drawn = of_model(teacher, task, concepts, shape, (self.pool, self.batch_size), job.rng)
        train_only(job.model, self.group)

        def steps(epoch: int) -> Iterator[Tensor]:
            x, t, _ = next(own if self.source == "data" else drawn)
            c = concepts[torch.randint(len(concepts), (len(x),), generator=job.rng)]
            loss = sdd_loss(job.model, x, t, c)
            yield loss + self.keep * keeping(job, own, concepts) if self.keep else loss

        descend(
            job.model, steps, epochs=self.epochs, lr=self.lr, clip=1.0, carries=True,
            after_step=lambda: follow(teacher, job.model, self.decay), title="sdd",
        )  # fmt: skip
        job.model.load_state_dict(teacher.state_dict())
        return Unlearned(job.model, split.retain, {})


def sdd_loss(model: nn.Module, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    """The loss of a step; its gradient flows through the concept's branch alone."""
    with torch.no_grad():
        empty = predictions(model, x, t, NULL)
    return F.mse_loss(predictions(model, x, t, c), empty)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """Move the average towards the student: decay teacher + (1 - decay) student."""
    for kept, new in zip(teacher.parameters(), student.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)
