"""Relearn time: how fast the forgotten comes back when it is shown again.

The unlearned model trains on the whole data again until its loss on the forgotten is as low as the original's. A model
that still holds the forgotten needs fewer epochs than a gold does.
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
    batch = task.elements(split.data, split.forget)
    with torch.no_grad():
        goal = float(task.criterion(task.teacher(copy.deepcopy(original), split.data)(batch), batch).mean())
    model = copy.deepcopy(result.model)

    def loss() -> float:
        return float(task.criterion(task.teacher(model, split.data)(batch), batch).mean())

    if loss() <= goal:
        return 0
    with seeded(seed) as rng:

        def steps(epoch: int) -> Iterator[Tensor]:
            for one in task.batches(split.data, split.data, rng):
                yield task.loss(model, split.data, one)

        return descend(
            model, steps, epochs=limit, lr=lr, after_epoch=lambda epoch, value: loss() <= goal, title="relearn"
        )
