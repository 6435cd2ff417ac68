"""The preserver / destroyer distillation with per-element weights, once for every domain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.task import Ask, Batch, Task


def paired(
    task: Task[Any], context: Any, view: Any, forget: Batch | None, rng: torch.Generator
) -> Iterator[tuple[Batch, Batch | None]]:
    """Yield each step's retained elements (with fresh negatives) beside its share of the forgotten ones.

    Over one epoch every retained and every forgotten element comes once.
    """
    batches = list(task.batches(context, view, rng))
    if not batches:
        raise InputError("the request touches every element of the retain part: nothing is left to distil from")
    if forget is None:
        yield from ((batch, None) for batch in batches)
        return
    order = torch.randperm(forget.size, generator=rng).to(forget.label.device)
    shares = [order] if len(batches) == 1 else list(order.tensor_split(len(batches)))
    for batch, rows in zip(batches, shares, strict=True):
        yield batch, forget.take(rows) if len(rows) else None


def soft(task: Task[Any], teacher: Ask, student: Ask, batch: Batch, temperature: float) -> Tensor:
    """[B] divergence of the student from a teacher on a batch: T^2 KL(teacher || student)."""
    return task.divergence(teacher(batch), student(batch), temperature)


def layerwise(teacher: dict[str, Tensor], student: dict[str, Tensor]) -> Tensor:
    """Sum over layers of the mean squared distance of the rows: sum_l mean_v || h_S - h_T ||^2."""
    total = torch.zeros(())
    for name, value in student.items():
        if value.shape[0]:
            total = total.to(value.device) + (value - teacher[name]).square().sum(1).mean()
    return total


def combine(retain: Tensor, forget: Tensor | None, *, alpha: float, weighting: str, forget_weight: float) -> Tensor:
    """Reduce per-element losses to the scalar of a step.

    Args:
        retain: [B_r] losses of retained elements.
        forget: [B_f] losses of forgotten elements, or None.
        alpha: share of the retain term under ``mean``.
        weighting: ``mean`` gives alpha mean(retain) + (1 - alpha) mean(forget) (the paper's form, in which a forgotten
            element weighs |retain| / |forget| times a retained one); ``per_element`` gives
            (sum(retain) + forget_weight * sum(forget)) / (number of terms).
        forget_weight: weight of a forgotten element under ``per_element``.

    Example:
        >>> r, f = torch.tensor([1.0, 1.0, 4.0]), torch.tensor([2.0])
        >>> float(combine(r, f, alpha=0.5, weighting="mean", forget_weight=1.0))
        2.0
        >>> float(combine(r, f, alpha=0.5, weighting="per_element", forget_weight=1.0))
        2.0
    """
    if weighting == "mean":
        if forget is None:
            return alpha * retain.mean()
        return alpha * retain.mean() + (1 - alpha) * forget.mean()
    if forget is None:
        return retain.mean()
    return (retain.sum() + forget_weight * forget.sum()) / (retain.shape[0] + forget.shape[0])
