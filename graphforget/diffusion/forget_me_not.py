"""Forget-Me-Not (Zhang et al.; arXiv:2303.17591): starve the concept's tokens of attention.

::

    loss = || concat over cross-attentions of the probabilities at the concept's tokens ||_2

Images of the concept are noised at a random step; the prediction itself is not used, and nothing keeps the rest: only a
few steps are made (35 in the authors' code, SHI-Labs/Forget-Me-Not, commit a4a81e8). The loss grows with layers, heads,
pixels and tokens, so a learning rate means something for one model only: ours are our default. The model says which
tokens name a concept (``token_mask(c) -> [B, tokens]``). Its textual inversion beforehand is not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from graphforget.diffusion.attention import attended, cross_attentions
from graphforget.diffusion.erasure import check, concepts_of, train_only
from graphforget.diffusion.task import NoisePrediction
from graphforget.errors import NotApplicable
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class ForgetMeNot(Unlearner):
    """Lower the attention to the forgotten concepts' tokens.

    Args:
        group: parameters that are trained; the paper trains all (``esd-all``), optionally ``xattn``.
        epochs: steps.
        lr: Adam's learning rate (our default).
        batch_size: images a step.
    """

    group: str = "esd-all"
    epochs: int = 35
    lr: float = 1e-4
    batch_size: int = 16

    paper: ClassVar[str] = "arXiv:2303.17591"
    needs: ClassVar[tuple[type, ...]] = (NoisePrediction,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget"})

    def __post_init__(self) -> None:
        check(self)

    def _unlearn(self, job: Job) -> Unlearned:
        task, view = cast(NoisePrediction, job.task), job.split.forget
        concepts_of(job)
        cross_attentions(job.model)
        if not hasattr(job.model, "token_mask"):
            raise NotApplicable(
                f"{type(job.model).__name__} must say which tokens name a concept: token_mask(c) -> [B, tokens] bool"
            )
        train_only(job.model, self.group)

        def steps(epoch: int) -> Iterator[Tensor]:
            batch = next(iter(task.batches(view, view, job.rng)))
            batch = batch.take(torch.arange(min(self.batch_size, batch.size)))
            x, t, _ = task.noised(view, batch)
            yield attention_norm(job.model, x, t, view.y[batch.index[0]])

        descend(job.model, steps, epochs=self.epochs, lr=self.lr, carries=True, title="forget-me-not")
        return Unlearned(job.model, job.split.retain, {})


def attention_norm(model: nn.Module, x: Tensor, t: Tensor, c: Tensor) -> Tensor:
    """The norm of the attention that the tokens of concepts [B] receive, over all blocks, heads, pixels and tokens."""
    device = next(model.parameters()).device
    mask = model.token_mask(c.to(device))  # type: ignore[operator]
    seen = attended(model, lambda: model(x.to(device), t.to(device), c.to(device)))
    own = [one.transpose(1, 3)[mask].flatten() for one in seen]  # tokens of concepts, pixels, heads
    norm: Tensor = torch.cat(own).norm()
    return norm
