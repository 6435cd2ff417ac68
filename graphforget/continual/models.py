"""The encoder of the TinyOL comparison."""

from __future__ import annotations

from torch import nn

from graphforget.continual.data import AXES, STEPS, VOWELS

WIDTH = 128


def encoder(inputs: int = STEPS * AXES, labels: int = VOWELS) -> nn.Sequential:
    """Inputs - 128 - 128 - labels, ReLU; without its last layer it gives the features of the online learners.

    Example:
        >>> sum(p.numel() for p in encoder().parameters())
        94085
    """
    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, labels)
    )
