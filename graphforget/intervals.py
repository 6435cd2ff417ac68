"""Intervals of figures: Student's t of a mean, of paired differences, and the bootstrap of any statistic.

Everything is computed in float64; nothing touches the global random state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from scipy.special import stdtrit
from torch import Tensor

from graphforget import checked
from graphforget.errors import InputError


class Interval(NamedTuple):
    """A figure and the bounds of its interval; the bounds are NaN where they cannot be known."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    statistic: Callable[..., float], *samples: Tensor, level: float = 0.95, repeats: int = 1000, seed: int = 0
) -> Interval:
    """Return a statistic and its percentile bootstrap interval.

    Args:
        statistic: called with the samples, then with resampled ones; it sees their dtype and device.
        samples: tensors [N_k, ...], each resampled by itself along dim 0; paired values go into one tensor [N, 2].
        level: coverage in (0, 1).
        repeats: resamples; the same seed draws the same ones on every device.
        seed: of a generator of its own.

    Raises:
        InputError: no or an empty sample, NaN in one, a level outside (0, 1), no repeats.

    Example:
        >>> bootstrap_interval(lambda sample: float(sample.mean()), torch.ones(5))
        Interval(value=1.0, low=1.0, high=1.0)
    """
    _check_level(level)
    if repeats < 1 or not samples:
        raise InputError(f"at least one sample and one repeat are needed (got {len(samples)} and {repeats})")
    for place, sample in enumerate(samples):
        if not sample.dim() or not sample.numel() or bool(sample.isnan().any()):
            shape = list(sample.shape)
            raise InputError(f"sample {place} must be filled and free of NaN (got shape {shape}); drop the NaN rows")
    rng = torch.Generator().manual_seed(seed)
    found = torch.empty(repeats, dtype=torch.float64)
    for repeat in range(repeats):
        drawn = [torch.randint(len(sample), (len(sample),), generator=rng) for sample in samples]
        found[repeat] = statistic(*(each[rows.to(each.device)] for each, rows in zip(samples, drawn, strict=True)))
    low, high = (float(found.quantile(tail)) for tail in ((1 - level) / 2, (1 + level) / 2))
    return Interval(float(statistic(*samples)), low, high)


def mean_interval(values: Sequence[float] | Tensor, level: float = 0.95) -> Interval:
    """Return the mean of values [N] and its Student t interval; one value has NaN bounds.

    Example:
        >>> [round(bound, 3) for bound in mean_interval([1.0, 2.0, 3.0])]  # 2 -+ 4.303 / sqrt 3
        [2.0, -0.484, 4.484]
    """
    _check_level(level)
    found = checked.scores(values, "values")
    mean, count = float(found.mean()), len(found)
    if count == 1:
        return Interval(mean, math.nan, math.nan)
    half = float(stdtrit(count - 1, (1 + level) / 2)) * float(found.std()) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def paired_interval(a: Sequence[float] | Tensor, b: Sequence[float] | Tensor, level: float = 0.95) -> Interval:
    """Return :func:`mean_interval` of a - b [N], paired by position (by seed, by request)."""
    first = checked.scores(a, "a")
    return mean_interval(first - checked.same_shape(checked.scores(b, "b"), first, "b", "a"), level)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level must be inside (0, 1) (got {level}); 0.95 is usual")
