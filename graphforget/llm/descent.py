"""The loop that the methods for language models share: a forget loss and a retain loss, batch beside batch.

::

    L = gamma L_f + alpha L_r

An epoch is a pass over the forgotten rows; each step takes as many retained rows, drawn in turn from a shuffled order.
``L_r`` is the cross-entropy of the retained answers (``nll``) or KL(original || model) on their tokens (``kl``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.llm.losses import cross_entropy, kl
from graphforget.samples import Samples
from graphforget.task import Batch
from graphforget.train import descend
from graphforget.unlearner import Job

RETAIN = ("nll", "kl")


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and against what weight.

    Args:
        gamma: weight of the forget loss.
        alpha: weight of the retain loss; 0 leaves the retained rows out.
        retain: ``nll`` or ``kl``.
        epochs: passes over the forgotten rows.
        lr: Adam's learning rate.
        batch_size: forgotten rows a step, and as many retained ones.
    """

    gamma: float
    alpha: float
    retain: str
    epochs: int
    lr: float
    batch_size: int

    def __post_init__(self) -> None:
        if self.retain not in RETAIN:
            raise unknown("retain loss", self.retain, RETAIN)
        if self.gamma <= 0 or self.alpha < 0:
            raise InputError(
                f"gamma must be positive and alpha not negative (got gamma={self.gamma}, alpha={self.alpha})"
            )
        if self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1 (got {self.batch_size})")


def forget_and_keep(
    job: Job,
    forget: Callable[[Batch], Tensor],
    schedule: Schedule,
    *,
    keep: Callable[[Batch], Tensor] | None = None,
    title: str,
) -> None:
    """Train ``job.model`` by gamma L_f + alpha L_r; notes the epochs and the tokens that were trained on.

    Args:
        job: the request.
        forget: L_f of a batch of forgotten rows.
        schedule: weights, epochs, learning rate.
        keep: L_r of a batch of retained rows, in place of that of the schedule.
        title: shown beside the progress bar.
    """
    task: Any = job.task
    split = job.split
    gone = split.forget.rows()
    kept = turns(split.retain, job.rng) if schedule.alpha else None
    beside = keep or retain_loss(job, schedule.retain)
    spent = 0

    def steps(epoch: int) -> Iterator[Tensor]:
        nonlocal spent
        for part in gone[torch.randperm(len(gone), generator=job.rng)].split(schedule.batch_size):
            loss = schedule.gamma * forget(task.of_rows(split.forget, part))
            spent += tokens(split.forget, part)
            if kept is not None:
                rows = torch.stack([next(kept) for _ in part])
                loss = loss + schedule.alpha * beside(task.of_rows(split.retain, rows))
                spent += tokens(split.retain, rows)
            yield loss

    job.notes["epochs"] = descend(job.model, steps, epochs=schedule.epochs, lr=schedule.lr, carries=True, title=title)
    job.notes["tokens"] = spent


def retain_loss(job: Job, kind: str) -> Callable[[Batch], Tensor]:
    """L_r: cross-entropy, or the distance to the original."""
    task: Any = job.task

    def near(batch: Batch) -> Tensor:
        with torch.no_grad():
            reference, _ = task.answers(job.original, batch)
        logits, labels = task.answers(job.model, batch)
        return kl(logits, reference, labels)

    return near if kind == "kl" else lambda batch: cross_entropy(*task.answers(job.model, batch))


def turns(view: Samples, rng: torch.Generator) -> Iterator[Tensor]:
    """The view's rows for ever, shuffled anew each time round."""
    rows = view.rows()
    while True:
        yield from rows[torch.randperm(len(rows), generator=rng)]


def tokens(view: Samples, rows: Tensor) -> int:
    """Number of tokens of some rows, prompts included."""
    return int(view.x[rows.to(view.x.device), 1].sum())
