"""What is counted one by one: whom an element belongs to, bootstrap by subject, and scores binned for pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.intervals import Interval, bootstrap_interval
from graphforget.task import Batch

REPEATS = 400  # resamples; our default
BINS = 24
FEWEST_SHOWN = 10  # a part with fewer elements is not drawn: a bar would show a single one's score
TAIL = 0.005  # of the scores at either end is drawn in the outermost bin

Model = Literal["before", "after", "gold"]
Part = Literal["forget", "retain", "test"]


class Histogram(BaseModel):
    """The beliefs of one model in one part, binned; without ids and without any single element's score.

    Args:
        model: before, after, or gold (all golds together).
        part: forget, retain or test.
        edges: of the bins [n + 1], log-odds; the same for every model and part.
        shares: of the elements in each bin [n].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Model
    part: Part
    edges: tuple[float, ...]
    shares: tuple[float, ...]


def histograms(scores: Mapping[tuple[Model, Part], Tensor]) -> tuple[Histogram, ...]:
    """Bin scores [n] of several models and parts on one axis.

    Args:
        scores: (model, part) -> the beliefs, log-odds.

    Example:
        >>> found = histograms({("after", "test"): torch.arange(100.0), ("after", "forget"): torch.ones(3)})
        >>> [(each.part, len(each.shares)) for each in found]
        [('test', 24)]
    """
    shown = {key: each.double().cpu() for key, each in scores.items() if len(each) >= FEWEST_SHOWN}
    if not shown:
        return ()
    pooled = torch.cat(list(shown.values()))
    low, high = (float(pooled.quantile(tail)) for tail in (TAIL, 1 - TAIL))
    high = high if high > low else low + 1
    edges = torch.linspace(low, high, BINS + 1, dtype=torch.float64)
    found = []
    for (model, part), each in shown.items():
        share = torch.histogram(each.clamp(low, high), edges).hist / len(each)
        found.append(Histogram(model=model, part=part, edges=tuple(edges.tolist()), shares=tuple(share.tolist())))
    return tuple(found)


def subjects_of(split: ForgetSplit[Any], batch: Batch) -> Tensor:
    """[B] whom each forgotten element belongs to: a removed endpoint, else the element itself.

    Elements of one subject stand and fall together, so that they count once.

    Args:
        split: the request.
        batch: its forgotten elements.
    """
    itself = torch.arange(batch.size)
    retain, data = split.retain, split.data
    if batch.index.dim() != 2 or not isinstance(retain, Graph) or retain.removed is None:
        return itself
    removed = (retain.removed if data.removed is None else retain.removed & ~data.removed).cpu()
    ends = batch.index[:2].cpu() + torch.tensor([[0], [retain.size[0] if retain.bipartite else 0]])
    found = itself + len(removed)
    for end in (ends[1], ends[0]):  # of two removed endpoints the first counts
        found = torch.where(removed[end], end, found)
    _, subject = found.unique(return_inverse=True)
    return torch.as_tensor(subject)


class Resampler:
    """Bootstrap intervals of figures of the forgotten, drawn by subject."""

    def __init__(self, subjects: Tensor, seed: int) -> None:
        """Prepare the rows of every subject [B]."""
        self.count = int(subjects.max()) + 1
        self.seed = seed
        self._order = subjects.argsort(stable=True)
        self._sizes = torch.bincount(subjects, minlength=self.count)
        self._starts = self._sizes.cumsum(0) - self._sizes

    def rows(self, drawn: Tensor) -> Tensor:
        """[n] the elements of the drawn subjects [S], as often as they were drawn."""
        sizes = self._sizes[drawn]
        inside = torch.arange(int(sizes.sum())) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        return self._order[self._starts[drawn].repeat_interleave(sizes) + inside]

    def interval(self, statistic: Callable[..., float], *others: Tensor) -> Interval:
        """Return a figure and its 95 % interval; NaN bounds of a single subject.

        Args:
            statistic: of the rows of the forgotten [n], and of rows of each of the others.
            others: [m] rows of other parts, resampled by themselves.
        """
        everyone = torch.arange(self.count)

        def of_subjects(drawn: Tensor, *rest: Tensor) -> float:
            return statistic(self.rows(drawn), *rest)

        if self.count < 2:
            return Interval(of_subjects(everyone, *others), float("nan"), float("nan"))
        return bootstrap_interval(of_subjects, everyone, *others, repeats=REPEATS, seed=self.seed)
