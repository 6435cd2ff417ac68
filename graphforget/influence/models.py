"""The reference linear model: logistic regression of two classes by one row of weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Logistic(nn.Module):
    """Logits [0, w . x]; no intercept.

    Args:
        inputs: F.

    Example:
        >>> Logistic(3)(torch.zeros(2, 3)).tolist()
        [[0.0, 0.0], [0.0, 0.0]]
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Linear(inputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 2] of x [B, F]."""
        score = self.weight(x)
        return torch.cat([torch.zeros_like(score), score], dim=1)
