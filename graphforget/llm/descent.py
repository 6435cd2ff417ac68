"""The loop that the methods for language models share: a forget loss and a retain loss, batch beside batch.

::

    L = gamma L_f + alpha L_r

An epoch is a pass over the forgotten rows; each step takes as many retained rows, drawn in turn from a shuffled order.
``L_r`` is the cross-entropy of the retained answers (``nll``) or KL(original || model) on their tokens (``kl``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.llm.losses import cross_entropy, kl
from graphforget.samples import Samples
from graphforget.task import Batch
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned

RETAIN = ("nll", "kl")


class Paced(Protocol):
    """The fields of a method that runs the loop."""

    @property
    def alpha(self) -> float:
        """Weight of the retain loss; 0 leaves the retained rows out."""

    @property
    def epochs(self) -> int:
        """Passes over the forgotten rows."""

    @property
    def lr(self) -> float:
        """Adam's learning rate."""

    @property
    def batch_size(self) -> int:
        """Forgotten rows a step, and as many retained ones."""


def check(method: Paced, *, retain: str = "nll", **positive: float) -> None:
    """Refuse settings that make no loop; ``positive`` are fields that must lie above 0.

    Raises:
        InputError: naming the field and its value.
    """
    if retain not in RETAIN:
        raise unknown("retain loss", retain, RETAIN)
    for name, value in positive.items():
        if not value > 0:
            raise InputError(f"{name} must be positive (got {value})")
    if method.alpha < 0:
        raise InputError(f"alpha must not be negative (got {method.alpha})")
    if method.batch_size < 1:
        raise InputError(f"batch_size must be at least 1 (got {method.batch_size})")


def forget_and_keep(
    job: Job,
    method: Paced,
    forget: Callable[[Batch], Tensor],
    keep: Callable[[Batch], Tensor],
    *,
    gamma: float = 1.0,
    title: str,
) -> Unlearned:
    """Train ``job.model`` by gamma L_f + alpha L_r; notes the epochs and the tokens that were trained on.

    Args:
        job: the request.
        method: alpha, epochs, learning rate and batch size.
        forget: L_f of a batch of forgotten rows.
        keep: L_r of a batch of retained rows.
        gamma: weight of L_f.
        title: shown beside the progress bar.
    """
    task: Any = job.task
    split = job.split
    gone = split.forget.rows()
    kept = turns(split.retain, job.rng) if method.alpha else None
    spent = 0

    def steps(epoch: int) -> Iterator[Tensor]:
        nonlocal spent
        for part in gone[torch.randperm(len(gone), generator=job.rng)].split(method.batch_size):
            loss = gamma * forget(task.of_rows(split.forget, part))
            spent += tokens(split.forget, part)
            if kept is not None:
                rows = torch.stack([next(kept) for _ in part])
                loss = loss + method.alpha * keep(task.of_rows(split.retain, rows))
                spent += tokens(split.retain, rows)
            yield loss

    job.notes["epochs"] = descend(job.model, steps, epochs=method.epochs, lr=method.lr, carries=True, title=title)
    job.notes["tokens"] = spent
    return Unlearned(job.model, split.retain, {})


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
