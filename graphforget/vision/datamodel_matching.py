"""DMM, datamodel matching (Georgiev et al., "Attribute-to-Delete"; ICLR 2025, arXiv:2410.23232).

Predict by data attribution what a model that never saw the forgotten would answer, then train towards that prediction.

::

    f_dm(x) = f(x; theta) - m sum_{i in D_f} w_i(x)                                                         (1)
    min  mean || f(x; theta) - f_dm(x) ||^2  over D_f and a fixed random part of D_r                        (2)

==========================  =================================================================================
paper                       here
==========================  =================================================================================
m                           ``multiplier``
retain / forget multiplier  ``retain_share`` times |D_f| retained images; ``forget_share`` times each forgotten
w_i                         ``attribution="head"``: see below; ``"trak"``: TRAK of every logit over all weights
                            (:mod:`graphforget.vision.attribution`) of ``models`` models, the original among them
oracle matching             ``attribution="oracle"``: targets are the mean logits of ``oracles`` models that are
                            retrained without D_f; an upper bound that costs more than retraining
==========================  =================================================================================

The paper's w_i come from TRAK over many checkpoints, or from models of half the data. ``head`` is TRAK's formula on the
last layer of the one model at hand, where per-logit gradients are the embeddings h (with a constant), and D_f is
removed at once:

::

    K = H_r^T H_r + damping mean(h_i^T h_i) I,   H_r: embeddings of D_r,  R_f = one-hot - softmax on D_f    (3)
    sum_{i in D_f} w_i(x) = h(x)^T K^-1 H_f^T R_f                                                           (4)

For ridge regression on h, with residuals for R_f, (4) is the exact effect of leaving D_f out. A network that fits its
training images has no residuals: (4) then predicts no change, and ``head`` and ``trak`` leave such a model as it is.
Adam decays by .95 an epoch, as published; batch size and damping are our defaults. ``trak`` takes C backward passes for
each retained row and model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.task import Batch
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision import attribution
from graphforget.vision.layers import embed
from graphforget.vision.task import ImageClassification

KNOWN = ("head", "trak", "oracle")


@dataclass(frozen=True)
class DMM(Unlearner):
    """Train towards what attribution predicts of a model that never saw the forgotten.

    Args:
        attribution: ``head``, ``trak`` or ``oracle``.
        multiplier: m.
        damping: of the inverse (3), as a share of the mean squared length of an embedding.
        oracles: models that ``oracle`` retrains.
        models: models that ``trak`` averages over; all but the first are trained for it, on all the data.
        dims: numbers that ``trak`` projects a gradient to; 0 keeps all of it.
        retain_share: retained images, as a multiple of the forgotten.
        forget_share: times that each forgotten image comes in an epoch.
        batch_size: images a step.
        epochs: passes over both.
        lr: Adam's learning rate at the start.
    """

    attribution: str = "head"
    multiplier: float = 1.0
    damping: float = 1.0
    oracles: int = 1
    models: int = 1
    dims: int = 512
    retain_share: int = 3
    forget_share: int = 1
    batch_size: int = 128
    epochs: int = 5
    lr: float = 5e-4

    paper: ClassVar[str] = "arXiv:2410.23232"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain", "held_out"})

    def __post_init__(self) -> None:
        if self.attribution not in KNOWN:
            raise unknown("attribution", self.attribution, KNOWN)
        for name in ("oracles", "models", "retain_share", "forget_share", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        if self.damping <= 0 or self.dims < 0:
            raise InputError(f"damping must be positive and dims not negative (got {self.damping} and {self.dims})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, context = job.task, job.model, job.split.retain
        gone, kept = task.elements(context, job.split.forget), task.elements(context, job.split.untouched)
        order = torch.randperm(kept.size, generator=job.rng)[: self.retain_share * gone.size].to(kept.label.device)
        parts = [kept.take(order), *[gone] * self.forget_share]
        asked = Batch(torch.cat([part.index for part in parts]), torch.cat([part.label for part in parts]), gone.input)
        target = self._targets(job, asked)

        def steps(epoch: int) -> Iterator[Tensor]:
            for rows in torch.randperm(asked.size, generator=job.rng).to(target.device).split(self.batch_size):
                outputs = task.outputs(model, context, asked.take(rows))
                yield (outputs - target[rows]).square().mean()  # (2)

        job.notes["epochs"] = descend(
            model, steps, epochs=self.epochs, lr=self.lr, schedule=lambda epoch: 0.95**epoch, title="dmm"
        )
        return Unlearned(model, context, {})

    def _targets(self, job: Job, batch: Batch) -> Tensor:
        """[B, C] logits to train towards."""
        task, context = job.task, job.split.retain
        if self.attribution == "head":
            outputs = task.teacher(job.original, context)(batch)
            return outputs - self.multiplier * effect(job, batch, self.damping).to(outputs)  # (1)
        if self.attribution == "trak":
            models = [job.model, *(trained(job, job.split.data, 201 + k) for k in range(self.models - 1))]
            gone = task.elements(context, job.split.forget)
            ask: dict[str, Any] = {"damping": self.damping, "dims": self.dims, "rng": job.rng}
            added = attribution.effect(task, models, context, gone, batch, **ask)
            return task.teacher(job.original, context)(batch) - self.multiplier * added  # (1)
        oracles = [task.teacher(trained(job, context, 101 + k), context)(batch) for k in range(self.oracles)]
        return torch.stack(oracles).mean(0)


def trained(job: Job, data: Any, number: int) -> nn.Module:
    """A model of the same architecture, trained anew on a part of the data by the task's own recipe."""
    seed = job.seed + number
    model = job.task.fresh(job.original, seed).requires_grad_(True)
    return job.task.fit(model, data, job.split.held_out, seed=seed)


def effect(job: Job, batch: Batch, damping: float) -> Tensor:
    """[B, C] what the forgotten add to the logits of some elements (4)."""
    task, context, model = job.task, job.split.retain, job.original
    gone, kept = task.elements(context, job.split.forget), task.elements(context, context)
    outputs = task.teacher(model, context)(gone)
    residual = F.one_hot(gone.label, outputs.shape[1]).to(outputs) - outputs.softmax(1)
    rows, went, asked = (embed(task, model, context, part, "DMM") for part in (kept, gone, batch))
    return left_out(rows, went, asked, residual, damping)


def left_out(kept: Tensor, gone: Tensor, asked: Tensor, residual: Tensor, damping: float) -> Tensor:
    """Return the effect of some rows of a ridge regression on its predictions (3), (4).

    Args:
        kept: [n, d] features of the rows that stay.
        gone: [m, d] of those that go.
        asked: [B, d] of those that are predicted.
        residual: [m, C] targets less predictions of the full regression.
        damping: as a share of the mean squared length of a row.

    Returns:
        [B, C] float64: full prediction less that of a regression without the rows, with the same ridge.
    """
    k, g, a = (torch.cat([each, torch.ones_like(each[:, :1])], 1).double() for each in (kept, gone, asked))
    ridge = damping * torch.cat([k, g]).square().sum(1).mean()
    inverse = torch.linalg.inv(k.T @ k + ridge * torch.eye(k.shape[1], dtype=k.dtype, device=k.device))  # (3)
    found: Tensor = a @ inverse @ g.T @ residual.double()  # (4)
    return found
