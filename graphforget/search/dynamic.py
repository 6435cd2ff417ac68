"""Dynamic images: a clip becomes one image by approximate rank pooling.

::

    d   = sum_t a_t psi_t
    a_t = 2 (T - t + 1) - (T + 1) (H_T - H_{t-1}),   H_t = sum_{i <= t} 1/i          (rank)
    a_t = 2 t - T - 1                                                                (linear)

then min-max to [0, 255]. The equations are those that are commonly given for Bilen et al. (CVPR 2016), recalled and
not checked against the paper. EmoNAS (arXiv:2303.13653) turns clips of a face into one image so; of a clip that stands
still nothing is left, and the image is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.samples import Samples

FORMS = ("rank", "linear")


def coefficients(frames: int, form: str = "rank") -> Tensor:
    """Compute the weights of a clip's frames; they sum to 0.

    Args:
        frames: T, at least 2.
        form: ``rank`` or ``linear``.

    Returns:
        [T] float64.

    Raises:
        InputError: a clip of one frame: nothing moves in it.

    Example:
        >>> coefficients(2).tolist()
        [-0.5, 0.5]
    """
    if form not in FORMS:
        raise unknown("form", form, FORMS)
    if frames < 2:
        raise InputError(f"a dynamic image needs at least two frames (got {frames}); use the frame itself")
    t = torch.arange(1, frames + 1, dtype=torch.float64)
    if form == "linear":
        return 2 * t - frames - 1
    harmonic = torch.cat([torch.zeros(1, dtype=torch.float64), (1 / t).cumsum(0)])
    return 2 * (frames - t + 1) - (frames + 1) * (harmonic[-1] - harmonic[:-1])


def dynamic_image(clips: Tensor, *, form: str = "rank", top: float = 255.0) -> Tensor:
    """Turn clips into one image each.

    Args:
        clips: [..., T, C, H, W]; whole numbers are taken as float32.
        form: ``rank`` or ``linear``.
        top: each image is scaled to [0, top].

    Returns:
        [..., C, H, W]; 0 where a clip stands still.

    Raises:
        InputError: fewer than four axes, one frame, or NaN.

    Example:
        >>> clip = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2).tril()])
        >>> dynamic_image(clip, top=1.0)[0].tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    if clips.dim() < 4:
        raise InputError(f"clips must be [..., T, C, H, W] (got {list(clips.shape)})")
    clips = clips if clips.is_floating_point() else clips.float()
    weights = coefficients(clips.shape[-4], form).to(clips)
    if not bool(torch.isfinite(clips).all()):
        raise InputError(f"clips hold NaN or infinity (got {list(clips.shape)}); remove or fill such frames")
    moved = clips - clips[..., :1, :, :, :]  # the weights sum to 0: what stands still is 0 without rounding
    found = (moved * weights[:, None, None, None]).sum(-4)
    flat = found.flatten(-3)
    low, high = flat.amin(-1), flat.amax(-1)
    still = high == low
    spread = torch.where(still, torch.ones_like(low), high - low)
    scaled = (found - low[..., None, None, None]) / spread[..., None, None, None] * top
    return torch.where(still[..., None, None, None], torch.zeros_like(scaled), scaled)


def dynamic(clips: Tensor, label: Tensor) -> Samples:
    """Turn clips into rows: one dynamic image in [0, 1] each, with its label.

    Args:
        clips: [N, T, C, H, W].
        label: [N].

    Example:
        >>> dynamic(torch.rand(4, 3, 1, 8, 8), torch.tensor([0, 1, 0, 1])).x.shape
        torch.Size([4, 1, 8, 8])
    """
    return Samples(dynamic_image(clips, top=1.0), label)
