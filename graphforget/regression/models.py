"""Reference regressors: a network for tables, two for pairs of sentences, two for series, one for images.

Every model ends in ``centre + scale * h``, two constants in the unit of the targets that are given when it is built:
with targets near 450 a plain output would spend its first epochs on the way there.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.regression.data import WORDS
from graphforget.samples import Samples


class Scaled(nn.Module):
    """Values in the unit of the targets: centre + scale * h."""

    def __init__(self, centre: float, scale: float) -> None:
        super().__init__()
        self.centre, self.scale = centre, scale

    def forward(self, h: Tensor) -> Tensor:
        """[B, D]."""
        return self.centre + self.scale * h


def mlp(*widths: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with ReLU between them: ``mlp(4, 64, 1)``."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(itertools.pairwise(widths)):
        if number:
            layers += [nn.ReLU()] + ([nn.Dropout(dropout)] if dropout else [])
        layers.append(nn.Linear(before, after))
    return nn.Sequential(*layers)


class Table(nn.Module):
    """F-64-64-D on rows [B, F]; a window [B, T, F] or an image [B, C, H, W] is read as one row."""

    def __init__(self, inputs: int, outputs: int, centre: float, scale: float) -> None:
        super().__init__()
        self.layers, self.scaled = mlp(inputs, 64, 64, outputs), Scaled(centre, scale)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] of x [B, F]."""
        found: Tensor = self.scaled(self.layers(x.flatten(1)))
        return found


class Bag(nn.Module):
    """Mean word vectors u, v of two sentences; a network on (|u - v|, u * v). Our own."""

    def __init__(self, outputs: int, centre: float, scale: float, width: int = 64) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, width, padding_idx=0)
        self.layers, self.scaled = mlp(2 * width, 64, 32, outputs, dropout=0.3), Scaled(centre, scale)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] of hashed words x [B, 2, T]."""
        count = (x > 0).sum(2, keepdim=True).clamp(min=1)
        u, v = (self.words(x).sum(2) / count).unbind(1)
        found: Tensor = self.scaled(self.layers(torch.cat([(u - v).abs(), u * v], dim=1)))
        return found


class PairLSTM(nn.Module):
    """Last states of an LSTM over both sentences; linears 128-64-32-16-1 with dropout .3, as in the paper's notebook.

    Word vectors are learned (the notebook reads GloVe's), and the states u, v enter as (|u - v|, u * v).
    """

    def __init__(self, outputs: int, centre: float, scale: float, width: int = 64) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, width, padding_idx=0)
        self.lstm = nn.LSTM(width, 64, batch_first=True)
        self.states = nn.Identity()  # the two sentences of a pair in one row: a layer by name
        self.layers, self.scaled = mlp(128, 64, 32, 16, outputs, dropout=0.3), Scaled(centre, scale)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] of hashed words x [B, 2, T]."""
        size, _, steps = x.shape
        out, _ = self.lstm(self.words(x.flatten(0, 1)))
        out = self.states(out.reshape(size, 2, steps, -1).flatten(1, 2)).reshape(size, 2, steps, -1)
        last = ((x > 0).sum(2) - 1).clamp(min=0)
        u, v = out.gather(2, last[:, :, None, None].expand(-1, -1, 1, out.shape[3])).squeeze(2).unbind(1)
        found: Tensor = self.scaled(self.layers(torch.cat([(u - v).abs(), u * v], dim=1)))
        return found


class Forecaster(nn.Module):
    """An LSTM over a window; a linear layer from its last state to all steps ahead."""

    def __init__(self, inputs: int, outputs: int, centre: float, scale: float) -> None:
        super().__init__()
        self.lstm, self.last = nn.LSTM(inputs, 64, batch_first=True), nn.Linear(64, outputs)
        self.scaled = Scaled(centre, scale)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] of x [B, T, F]."""
        out, _ = self.lstm(x)
        found: Tensor = self.scaled(self.last(out[:, -1]))
        return found


class Picture(nn.Module):
    """Two convolutions, each halving the image, and two linear layers."""

    def __init__(self, shape: torch.Size, outputs: int, centre: float, scale: float, width: int = 16) -> None:
        super().__init__()
        channels, height, across = shape
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.layers = mlp(2 * width * (height // 4) * (across // 4), 64, outputs)
        self.scaled = Scaled(centre, scale)

    def forward(self, x: Tensor) -> Tensor:
        """[B, D] of images x [B, C, H, W]."""
        found: Tensor = self.scaled(self.layers(self.convolutions(x).flatten(1)))
        return found


MODELS: Mapping[str, tuple[str, ...]] = {  # model -> the layouts it reads
    "mlp": ("table", "bundled", "series", "images"),
    "bag": ("pairs",),
    "lstm": ("pairs", "series"),
    "cnn": ("images",),
}


def build(name: str, train: Samples) -> nn.Module:
    """Build a never-trained model for the rows of a view; its two output constants are those of the view's targets.

    Args:
        name: a key of :data:`MODELS`.
        train: x [N, F] table, [N, T, F] series, [N, C, H, W] images or [N, 2, T] int64 pairs.

    Raises:
        InputError: an unknown name, or a model that does not read such rows.

    Example:
        >>> data = Samples(torch.zeros(4, 3), torch.tensor([[1.0], [3.0], [1.0], [3.0]]))
        >>> model = build("mlp", data)
        >>> model.scaled.centre, model.scaled.scale, list(model(data.x).shape)
        (2.0, 1.0, [4, 1])
    """
    if name not in MODELS:
        raise unknown("model", name, tuple(MODELS))
    x, y = train.x, train.y[train.rows().to(train.y.device)].double()
    layout = {2: "table", 4: "images"}.get(x.dim(), "series" if x.is_floating_point() else "pairs")
    if layout not in MODELS[name]:
        raise InputError(f"the model {name!r} reads {' or '.join(MODELS[name])} (got rows of a {layout})")
    rest: dict[str, Any] = {"centre": float(y.mean()), "scale": float(y.std(correction=0)) or 1.0}
    outputs = y.shape[1]
    if name == "mlp":
        return Table(x[0].numel(), outputs, **rest)
    if name == "cnn":
        return Picture(x.shape[1:], outputs, **rest)
    if layout == "series":
        return Forecaster(x.shape[2], outputs, **rest)
    return Bag(outputs, **rest) if name == "bag" else PairLSTM(outputs, **rest)
