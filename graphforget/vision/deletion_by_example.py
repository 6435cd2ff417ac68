"""DEL, deletion by example localization (Torkzadehmahani et al.; TMLR 2025, arXiv:2412.02432).

Find the parameters that matter for the forgotten images, set them back to initial values, and train only them (and the
head) on what is retained.

::

    s_i    = | theta_i sum_b g_i(b) |      g(b): gradient of the mean loss of a forgotten mini-batch        (1)
    channel of C_out rows: its score = mean of the top max(1, int(h C_out)) of its s_i, the same for all    (2)
    m_i    = 1 for the int(alpha N) largest scores, all tensors ranked together                             (3)
    theta <- (1 - m) theta + m theta_init                                                                   (4)
    train on D_r;  where m = 0, the head excepted, theta stays                                              (5)

==========  =================================================================================================
paper       here
==========  =================================================================================================
alpha       ``budget``
h           ``h``, as a share of C_out as in the published code (the paper gives none); 0 takes the whole row,
            which is its rule for transformers
theta_init  a fresh initialisation, as in the published code
criterion   ``weighted_grad`` is (1); ``grad`` drops theta (SalUn's, "SalLoc"); ``weight`` is |theta|; ``random``
            draws scores: the control, to be read at the same granularity
==========  =================================================================================================

Vectors (biases, norms) keep a score for each element. The head is the linear layer that was registered last. SGD with
momentum, cosine to a hundredth; BatchNorm's running statistics move with the training on D_r, as published.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.train import cosine, descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.layers import head
from graphforget.vision.saliency import Scores, gradients, keeper, largest
from graphforget.vision.task import ImageClassification

CRITERIA = ("weighted_grad", "grad", "weight", "random")


@dataclass(frozen=True)
class DEL(Unlearner):
    """Reset the parameters that matter for the forgotten and train them on the retained.

    Args:
        criterion: ``weighted_grad``, ``grad``, ``weight`` or ``random``.
        granularity: ``channel`` or ``param``.
        budget: share of the parameters that is reset.
        h: entries of a channel that count, as a share of the number of channels; 0 for all of them.
        epochs: passes over the retained images.
        lr: SGD's learning rate at the start.
        momentum: of SGD.
        weight_decay: L2 term.
        batch_size: forgotten images a gradient (1).
    """

    criterion: str = "weighted_grad"
    granularity: str = "channel"
    budget: float = 0.3
    h: float = 0.1
    epochs: int = 30
    lr: float = 0.015
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 128

    paper: ClassVar[str] = "arXiv:2412.02432"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        if self.criterion not in CRITERIA:
            raise unknown("criterion", self.criterion, CRITERIA)
        if self.granularity not in ("channel", "param"):
            raise unknown("granularity", self.granularity, ("channel", "param"))
        if not 0 < self.budget <= 1:
            raise InputError(f"budget must lie in (0, 1] (got {self.budget})")
        if not 0 <= self.h <= 1:
            raise InputError(f"h must lie in [0, 1] (got {self.h})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, context = job.task, job.model, job.split.retain
        name, _ = head(model, "DEL")
        scores = self._scores(job)
        if self.granularity == "channel":
            scores = {key: by_channel(value, self.h) for key, value in scores.items()}
        masks = largest(scores, self.budget)  # (3)
        initial = dict(task.fresh(job.original, job.seed + 1).named_parameters())
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if key in masks:
                    parameter.copy_(torch.where(masks[key], initial[key], parameter))  # (4)
        free = {key: mask | (key.rpartition(".")[0] == name) for key, mask in masks.items()}

        def steps(epoch: int) -> Iterator[Tensor]:
            for batch in task.batches(context, context, job.rng):
                yield task.loss(model, context, batch)

        job.notes["epochs"] = descend(
            model, steps, epochs=self.epochs, lr=self.lr, weight_decay=self.weight_decay, momentum=self.momentum,
            schedule=cosine(self.epochs), after_step=keeper(model, free), title="del",
        )  # fmt: skip
        return Unlearned(model, context, {})

    def _scores(self, job: Job) -> Scores:
        """{parameter: score of each element}."""
        weights = {name: p.detach() for name, p in job.model.named_parameters() if p.requires_grad}
        if self.criterion == "weight":
            return {name: value.abs() for name, value in weights.items()}
        if self.criterion == "random":
            return {name: self._drawn(value, job.rng) for name, value in weights.items()}
        found = gradients(job.task, job.model, job.split.retain, job.split.forget, self.batch_size)
        if self.criterion == "grad":
            return {name: value.abs() for name, value in found.items()}
        return {name: (weights[name] * value).abs() for name, value in found.items()}  # (1)

    def _drawn(self, value: Tensor, rng: torch.Generator) -> Tensor:
        """Random scores; one a channel where channels are chosen."""
        if self.granularity == "param" or value.dim() < 2:
            return torch.rand(value.shape, generator=rng).to(value.device)
        rows = torch.rand(len(value), generator=rng).to(value.device)
        return rows.view(-1, *[1] * (value.dim() - 1)).expand_as(value)


def by_channel(scores: Tensor, h: float) -> Tensor:
    """Give every element of a channel (row of a tensor with two or more axes) the channel's score (2).

    Args:
        scores: of a parameter's elements.
        h: share of the number of channels; 0 for the mean of the whole row.

    Example:
        >>> by_channel(torch.tensor([[1.0, 3.0], [5.0, 0.0]]), 0.5)
        tensor([[3., 3.],
                [5., 5.]])
    """
    if scores.dim() < 2:
        return scores
    rows = scores.flatten(1)
    count = min(max(1, int(h * len(rows))), rows.shape[1]) if h else rows.shape[1]
    return rows.topk(count, dim=1).values.mean(1, keepdim=True).expand_as(rows).reshape(scores.shape)
