"""Clips whose label is their motion: no single frame tells it, nor does their mean."""

from __future__ import annotations

import torch
from torch import Tensor

from graphforget.errors import InputError

WAYS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # right, left, down, up


def moving(
    count: int = 600, *, frames: int = 8, size: int = 16, noise: float = 0.05, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Make clips of a bright spot that crosses the image in one of four directions.

    A clip and the same clip backwards have the same frames in another order.

    Args:
        count: number of clips.
        frames: T, at least 2.
        size: height and width; the spot's path of T pixels must fit.
        noise: standard deviation of the pixels' noise.
        seed: of places, directions and noise.

    Returns:
        Clips [count, T, 1, size, size] in [0, 1], labels [count] in [0, 4).

    Raises:
        InputError: one frame, or an image smaller than the path.

    Example:
        >>> clips, label = moving(8, seed=1)
        >>> clips.shape, label.bincount().tolist()
        (torch.Size([8, 8, 1, 16, 16]), [2, 2, 2, 2])
    """
    if frames < 2 or size < frames + 2:
        raise InputError(f"a clip needs at least 2 frames and a side of frames + 2 (got {frames}, {size})")
    rng = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % len(WAYS)
    way = torch.tensor(WAYS)[label]
    low = (way < 0) * (frames - 1)
    start = low + (torch.rand(count, 2, generator=rng) * (size - (way != 0) * (frames - 1))).long()
    at = start[:, None] + way[:, None] * torch.arange(frames)[None, :, None]  # [count, T, 2]
    grid = torch.arange(size)
    rows = (-(grid - at[..., :1]).square() / 2.0).exp()
    columns = (-(grid - at[..., 1:]).square() / 2.0).exp()
    clips = rows[..., :, None] * columns[..., None, :]
    clips = (clips + noise * torch.randn(clips.shape, generator=rng)).clamp(0, 1)
    return clips[:, :, None], label
