"""Relearn time: how fast the forgotten comes back when it is shown again.

The unlearned model trains on the whole data again until its loss on the forgotten is as low as the original's. A model
that still holds the forgotten needs fewer epochs than a gold does. The anamnesis index (AIN; Chundawat et al.,
arXiv:2201.05629) counts steps until the loss is within 5 % of the original's, over gold's steps.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from graphforget.forget import ForgetSplit
from graphforget.task import Task
from graphforget.train import descend, seeded
from graphforget.unlearner import Unlearned


def relearn_epochs(
    task: Task[Any],
    split: ForgetSplit[Any],
    original: nn.Module,
    result: Unlearned,
    *,
    limit: int = 100,
    lr: float = 1e-3,
    seed: int = 0,
) -> int:
    """Count epochs on the whole data until the loss on the forgotten elements is the original's.

    Args:
        task: how models run.
        split: the request.
        original: sets the loss to reach.
        result: a gold or an unlearned model; left untouched.
        limit: give up after so many epochs and return it.
        lr: Adam's learning rate.
        seed: of batches and negatives.
    """
    model = copy.deepcopy(result.model)
    goal = forget_loss(task, split, copy.deepcopy(original))

    def loss() -> float:
        return forget_loss(task, split, model)

    if loss() <= goal:
        return 0
    with seeded(seed) as rng:

        def steps(epoch: int) -> Iterator[Tensor]:
            for one in task.batches(split.data, split.data, rng):
                yield task.loss(model, split.data, one)

        return descend(
            model, steps, epochs=limit, lr=lr, after_epoch=lambda epoch, value: loss() <= goal, title="relearn"
        )


def relearn_steps(
    task: Task[Any],
    split: ForgetSplit[Any],
    original: nn.Module,
    result: Unlearned,
    *,
    margin: float = 0.05,
    limit: int = 1000,
    lr: float = 1e-3,
    seed: int = 0,
) -> int:
    """Count steps on the whole data until the loss on the forgotten elements is within a margin of the original's.

    Args:
        task: how models run.
        split: the request.
        original: sets the loss to reach.
        result: a gold or an unlearned model; left untouched.
        margin: share of the original's loss, .05 in the papers.
        limit: give up after so many steps and return it.
        lr: Adam's learning rate.
        seed: of batches and negatives.
    """
    model = copy.deepcopy(result.model)
    goal = (1 + margin) * forget_loss(task, split, copy.deepcopy(original))
    with seeded(seed) as rng:
        used, reached = 0, forget_loss(task, split, model) <= goal

        def steps(epoch: int) -> Iterator[Tensor]:
            nonlocal used, reached
            for one in task.batches(split.data, split.data, rng):
                if reached or used == limit:
                    return
                yield task.loss(model, split.data, one)
                used, reached = used + 1, forget_loss(task, split, model) <= goal

        def done(epoch: int, mean: float) -> bool:
            return bool(reached or used == limit)

        if not reached:
            descend(model, steps, epochs=limit, lr=lr, after_epoch=done, title="relearn")
    return used


def forget_loss(task: Task[Any], split: ForgetSplit[Any], model: nn.Module) -> float:
    """The mean loss on the forgotten elements, with the whole data to see."""
    batch = task.elements(split.data, split.forget)
    with torch.no_grad():
        return float(task.criterion(task.teacher(model, split.data)(batch), batch).mean())
