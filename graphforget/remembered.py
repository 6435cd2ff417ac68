"""Is anything of the forgotten remembered at all? Asked before a weight is changed; gold is not looked at.

A model that generalises well, on data of which the request is a small part, believes no more in what it was trained on
than in what it never saw. Then there is nothing to take away: gold differs from the original by the noise of its seed
alone, and whatever trains on moves away from it. Measured are beliefs beyond what structure says, each against the
regression of unseen elements on their structure:

1. r_u, of unseen elements (out of sample), the level to compare with;
2. r_t, of retained elements that were trained on, asked without their link: the memory of elements like the forgotten;
3. r_f, of the forgotten themselves: what this very request left (planted edges stand out here).

    z = max( (mean r_t - mean r_u) / se, (mean r_f - mean r_u) / se )                                             (1)

with the standard error of a difference of two means. Elements that share a node deviate together (ten edges of one hub
are hardly more than one observation), so the deviation of an element counts as the sum of an effect of each of its
nodes, of variance v_n, and of its own, of variance v:

    v_n = mean of r_i r_j over pairs of elements with a node in common, each r about its group's mean              (2)
    se^2 = v_n sum_n ( share of node n in one group - its share in the other )^2 + v_a / n_a + v_b / n_b           (3)

Where no two elements share anything (rows of images, tables) v_n is 0 and (3) is Welch's. Two are asked: where
nothing is remembered z stands above 1.64 one time in ten, above 1.96 one in twenty. This is ours, not any paper's.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from graphforget.calibrate import REGRESSIONS, SMALLEST, Array, sampled
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.strangers import absent
from graphforget.task import Ask, Batch, Scored, Task


class Group(NamedTuple):
    """Elements and how far the model believes in them beyond what structure says.

    Args:
        nodes: [K, B] the K nodes of each element, rows of an image count as one node each.
        beyond: [B].
    """

    nodes: npt.NDArray[np.int64]
    beyond: Array

    @property
    def about_mean(self) -> Array:
        """[B] deviations from the group's mean."""
        return np.asarray(self.beyond - self.beyond.mean())

    def shares(self, size: int) -> Array:
        """[size] of the elements, the share that has the node."""
        return np.asarray(np.bincount(self.nodes.ravel(), minlength=size) / self.nodes.shape[1])


def remembered(
    task: Task[Any],
    model: nn.Module,
    split: ForgetSplit[Any],
    rng: torch.Generator,
    *,
    samples: int,
    least: int,
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
    """
    gone = next(iter(task.batches(split.retain, split.gone, None)), None)
    unseen = next(iter(task.batches(split.retain, split.held_out, None)), None)
    if gone is None or unseen is None or not isinstance(task, Scored) or unseen.size < 2 * SMALLEST:
        return math.inf
    if bool(absent(task, split, gone).any()):
        return math.inf
    size, count = sampled(task, split, gone.size, samples, least)
    trained, untrained, forgotten = [], [], []
    for part in range(count):
        sample, some = task.sample(split.untouched, size, rng), unseen.take(torch.arange(part, unseen.size, count))
        context = task.unlinked(split, sample)  # all are asked in what the sample thins: this alone shifts beliefs
        ask = task.teacher(model, context)
        trained.append(_read(task, split, context, ask, sample))
        untrained.append(_read(task, split, context, ask, some))
        if part == 0:
            forgotten.append(_read(task, split, context, ask, gone))
    groups = _beyond_structure([_together(reads) for reads in (untrained, trained, forgotten)])
    shared = shared_variance(groups[:2])
    return max(apart(group, groups[0], shared) for group in groups[1:])


class _Read(NamedTuple):
    """[K, B] nodes, [B, S] structure and [B] scores of elements that are not in the context."""

    nodes: npt.NDArray[np.int64]
    structure: Array
    scores: Array


def _read(task: Any, split: ForgetSplit[Any], context: Any, ask: Ask, batch: Batch) -> _Read:
    nodes = batch.index.reshape(-1, batch.size).cpu().numpy().copy()
    if isinstance(split.data, Graph) and split.data.bipartite:
        nodes[0] += split.data.size[1]  # users and items have numbers of their own
    return _Read(nodes, task.structure(context, batch), task.scores(ask(batch), batch).double().cpu().numpy())


def _together(parts: Sequence[_Read]) -> _Read:
    nodes, structure, scores = zip(*parts, strict=True)
    return _Read(np.concatenate(nodes, axis=1), np.concatenate(structure), np.concatenate(scores))


def _beyond_structure(reads: Sequence[_Read]) -> list[Group]:
    """Scores less the regression of the first ones (the unseen) on structure; theirs out of sample, over two halves.

    Linear: a difference of means needs no curves, and trees cost a hundred times as much.
    """
    unseen = reads[0]
    half = np.random.default_rng(0).permutation(len(unseen.scores)) % 2 == 0
    beyond = [np.zeros(len(read.scores)) for read in reads]
    for own in (half, ~half):
        fitted = REGRESSIONS["linear"]().fit(unseen.structure[own], unseen.scores[own])
        beyond[0][~own] = unseen.scores[~own] - fitted.predict(unseen.structure[~own])
        for values, read in zip(beyond[1:], reads[1:], strict=True):
            values += (read.scores - fitted.predict(read.structure)) / 2
    return [Group(read.nodes, values) for read, values in zip(reads, beyond, strict=True)]


def shared_variance(groups: Iterable[Group]) -> float:
    """Return v_n of (2), 0 where no two elements share a node.

    Example:
        >>> pairs = np.array([[0, 0, 1, 1], [2, 3, 4, 5]])
        >>> shared_variance([Group(pairs, np.array([1.0, 1.0, -1.0, -1.0]))])
        1.0
    """
    together, pairs = 0.0, 0
    for group in groups:
        nodes, values = group.nodes.ravel(), np.tile(group.about_mean, len(group.nodes))
        count = np.bincount(nodes)
        sums, squares = np.bincount(nodes, values), np.bincount(nodes, values**2)
        together += float((sums**2 - squares).sum())
        pairs += int((count * (count - 1)).sum())
    return max(together / pairs, 0.0) if pairs else 0.0


def apart(a: Group, b: Group, shared: float) -> float:
    """Return how many standard errors of (3) the mean of a stands above that of b; 0 for single values.

    Example:
        >>> rows = np.arange(3)[None]
        >>> a, b = Group(rows, np.array([1.0, 2.0, 3.0])), Group(rows + 3, np.array([0.0, 1.0, 2.0]))
        >>> round(apart(a, b, shared=0.0), 3)
        1.225
        >>> round(apart(Group(np.zeros_like(rows), a.beyond), b, shared=1.0), 3)  # all at one node
        0.866
    """
    if min(len(a.beyond), len(b.beyond)) < 2:
        return 0.0
    size = int(max(a.nodes.max(), b.nodes.max())) + 1
    variance = shared * float(np.square(a.shares(size) - b.shares(size)).sum())
    for group in (a, b):
        own = group.beyond.var(ddof=1) - shared * len(group.nodes)
        variance += max(float(own), 0.0) / len(group.beyond)
    return float((a.beyond.mean() - b.beyond.mean()) / math.sqrt(variance)) if variance else math.inf
