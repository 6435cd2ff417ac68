"""The encoders of the TinyOL comparison."""

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


def image_encoder(side: int = 28, labels: int = 6, width: int = 8) -> nn.Sequential:
    """Two convolutions and a pooling, twice, and a last layer on what comes out; kernels and widths are our default.

    Example:
        >>> image_encoder()[-1].in_features
        784
    """
    layers: list[nn.Module] = []
    for inside, outside in ((1, width), (width, 2 * width)):
        layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(outside, outside, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2 * width * (side // 4) ** 2, labels))
