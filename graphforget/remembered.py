"""Is anything of the forgotten remembered at all? Asked before a weight is changed; gold is not looked at.

A model that generalises well, on data of which the request is a small part, believes no more in what it was trained on
than in what it never saw. Then there is nothing to take away: gold differs from the original by the noise of its seed
alone, and whatever trains on moves away from it. Measured are beliefs beyond what structure says, each against the
regression of unseen elements on their structure:

1. r_u, of unseen elements (out of sample), the level to compare with;
2. r_t, of retained elements that were trained on, asked without their link: the memory of elements like the forgotten;
3. r_f, of the forgotten themselves: what this very request left (planted edges stand out here).

    z = max( (mean r_t - mean r_u) / se, (mean r_f - mean r_u) / se )                                             (1)

with the standard error of a difference of two means (Welch). This is ours, not any paper's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from graphforget.calibrate import REGRESSIONS, SMALLEST, Array, asked, sampled
from graphforget.forget import ForgetSplit
from graphforget.strangers import absent
from graphforget.task import Scored, Task


def remembered(
    task: Task[Any],
    model: nn.Module,
    split: ForgetSplit[Any],
    rng: torch.Generator,
    *,
    samples: int,
    least: int,
    regression: str,
) -> float:
    """Return how many standard errors the memory of the forgotten stands above none, z of (1).

    Infinite where the question cannot be put: no element is gone (value kinds), fewer than 20 unseen elements, or a
    label that nothing retained has (a model trained on the rest would not know it).

    Args:
        task: how the model is run.
        model: the original.
        split: the request.
        rng: random stream of the samples.
        samples: see :func:`graphforget.calibrate.calibrate`, as for what follows.
        least: retained elements in all samples.
        regression: of scores on structure.
    """
    gone = next(iter(task.batches(split.retain, split.gone, None)), None)
    unseen = next(iter(task.batches(split.retain, split.held_out, None)), None)
    if gone is None or unseen is None or not isinstance(task, Scored) or unseen.size < 2 * SMALLEST:
        return math.inf
    if bool(absent(task, split, gone).any()):
        return math.inf
    size, count = sampled(task, split, gone.size, samples, least)
    trained = [asked(task, model, split, task.sample(split.untouched, size, rng)) for _ in range(count)]
    x_trained, s_trained = np.concatenate([x for x, _ in trained]), np.concatenate([s for _, s in trained])
    x_gone, s_gone = asked(task, model, split, gone)
    x_unseen, s_unseen = asked(task, model, split, unseen)
    half = np.random.default_rng(0).permutation(len(s_unseen)) % 2 == 0
    of_trained, of_gone, of_unseen = np.zeros(len(s_trained)), np.zeros(len(s_gone)), np.empty(len(s_unseen))
    for own in (half, ~half):
        fitted = REGRESSIONS[regression]().fit(x_unseen[own], s_unseen[own])
        of_unseen[~own] = s_unseen[~own] - fitted.predict(x_unseen[~own])
        of_trained += (s_trained - fitted.predict(x_trained)) / 2
        of_gone += (s_gone - fitted.predict(x_gone)) / 2
    return max(welch(of_trained, of_unseen), welch(of_gone, of_unseen))


def welch(a: Array, b: Array) -> float:
    """How many standard errors the mean of a stands above that of b; 0 for single values.

    Example:
        >>> round(welch(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 2.0])), 3)
        1.225
    """
    if min(len(a), len(b)) < 2:
        return 0.0
    error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return float((a.mean() - b.mean()) / error) if error else math.inf
