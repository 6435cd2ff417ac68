"""What every task with real values shares, whatever the values are: its divergence and its beliefs.

The belief in an element is how near the output is to its target: minus the distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from graphforget.task import Batch, Task

D = TypeVar("D")


@dataclass(frozen=True)
class ValueTask(Task[D]):
    """Targets [B, D] by the distance of the model's output; see :class:`graphforget.task.Task`."""

    def divergence(self, teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
        """[B] squared distance of two predictions."""
        return (student - teacher).square().mean(1)

    def posterior(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B, 2] logits [0, belief]."""
        belief = self.scores(outputs, batch)
        return torch.stack([torch.zeros_like(belief), belief], dim=1)

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] minus the root mean squared distance of the prediction to the target."""
        return -(outputs - batch.label.to(outputs)).square().mean(1).sqrt()

    def shift(self, outputs: Tensor, batch: Batch, delta: Tensor) -> Tensor:
        """[B, D] predictions moved away from the target by delta; at most to it, where delta is negative."""
        apart = outputs - batch.label.to(outputs)
        length = apart.square().mean(1).sqrt()
        way = torch.where(length[:, None] > 0, apart / length[:, None].clamp(min=1e-12), torch.ones_like(apart))
        return outputs + way * torch.maximum(delta.to(outputs), -length)[:, None]
