"""PGU, projected gradient unlearning (Hoang et al.; WACV 2024, arXiv:2312.04095).

Unlearn by gradient steps that are orthogonal to the inputs which the retained images give each layer, so that the
layer answers them as before. Written from the equations.

::

    R_l  = sum over images of z z^T,  z: the inputs of layer l (patches of a convolution)                   (1)
    retained: R_l - sum over D_f of z z^T = U diag(S^2) U^T                                                 (2)
    k    = #{ cumsum(S) / sum(S) <= gamma },  P = U_k U_k^T                                                 (3)
    L    = w1 mean_{D_f} -log(1 - (p_y - offset)) - w2 mean_{D_f} H(p)                                (4)
    W   <- W - lr (G - G P)                                                                                 (5)

==========  ==================================================================================================
paper       here
==========  ==================================================================================================
gamma       ``gamma``; 0 gives P = 0: the unprojected twin
w1, w2      ``away``, ``flat``
R_l         of ``split.data`` under the original, or the last request's record: then no retained image is read
==========  ==================================================================================================

Only weights of linear layers and convolutions of one group move; biases and norms are frozen. The learning rate falls
geometrically from ``lr`` to ``last_lr``. It stops when the accuracy on the forgotten is under the goal: that on
held-out images, or 0 for classes that nothing retains (the paper's rule is for samples). A gap also follows from
collapse, so no epoch counts that lowers the held-out accuracy by more than ``most_lost`` (the paper's rule for poison).

Deviations: (2) by an eigendecomposition clipped at 0, since augmentation can make it indefinite and an SVD would return
absolute values; patches at the layer's own stride; no augmentation or dropout in (1).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphforget import metrics
from graphforget.errors import Diverged, InputError
from graphforget.task import Batch
from graphforget.unlearner import Job, Unlearned, Unlearner
from graphforget.vision.layers import inputs, rows_of, weighted
from graphforget.vision.saliency import parts_of
from graphforget.vision.task import ImageClassification

Grams = dict[str, Tensor]
Layers = Mapping[str, nn.Linear | nn.Conv2d]


@dataclass(frozen=True)
class PGU(Unlearner):
    """Ascend on the forgotten, orthogonally to what the retained images span.

    Args:
        gamma: share of the singular values that is protected, in [0, 1].
        away: w1, weight of leaving the label.
        flat: w2, weight of the entropy.
        offset: of p_y in (4).
        most_lost: held-out accuracy that may be lost.
        batch_size: images a step.
        epochs: passes over the forgotten images, at most.
        lr: learning rate at the start.
        last_lr: and at the end.
    """

    gamma: float = 0.9
    away: float = 1.0
    flat: float = 0.2
    offset: float = 0.05
    most_lost: float = 0.05
    batch_size: int = 128
    epochs: int = 100
    lr: float = 1.0
    last_lr: float = 0.2

    paper: ClassVar[str] = "arXiv:2312.04095"
    needs: ClassVar[tuple[type, ...]] = (ImageClassification,)
    reads: ClassVar[frozenset[str]] = frozenset({"data", "forget", "retain", "held_out"})

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise InputError(f"gamma must lie in [0, 1] (got {self.gamma})")
        if not 0 < self.last_lr <= self.lr:
            raise InputError(f"last_lr must lie in (0, lr] (got {self.last_lr} and {self.lr})")
        if not 0 <= self.offset < 1:
            raise InputError(f"offset must lie in [0, 1) (got {self.offset})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, model, split = job.task, job.model.eval(), job.split
        layers = weighted(model, "PGU")
        known: Mapping[str, Any] = job.record.get("grams") or grams(task, job.original, split.data, self.batch_size)
        gone = grams(task, job.original, split.forget, self.batch_size)
        kept = {name: known[name] - gone[name] for name in layers}  # (2)
        away = {name: projector(kept[name], self.gamma) for name in layers}
        forgotten = task.elements(split.retain, split.forget)
        held_out = task.elements(split.retain, split.held_out)
        seen = split.retain.y[split.retain.rows().to(split.retain.y.device)].unique()
        whole = not bool(torch.isin(forgotten.label, seen).any())

        def right(batch: Batch) -> float:
            return metrics.accuracy(task.teacher(model, split.retain)(batch), batch.label)

        start, best, best_gap = right(held_out), copy.deepcopy(model.state_dict()), float("inf")
        epoch, gap = 0, float("inf")
        for epoch in range(self.epochs):
            share = epoch / max(self.epochs - 1, 1)
            self._epoch(job, layers, away, forgotten, self.lr * (self.last_lr / self.lr) ** share)
            value = right(held_out)
            if value < start - self.most_lost:
                break
            gap = (0.0 if whole else value) - right(forgotten)
            if abs(gap) <= best_gap:
                best, best_gap = copy.deepcopy(model.state_dict()), abs(gap)
            if gap >= 0:
                break
        model.load_state_dict(best)
        job.notes.update(
            epochs=epoch + 1, gap=gap, protected=sum(int(p.diagonal().sum().round()) for p in away.values())
        )
        return Unlearned(model, split.retain, {"grams": kept})

    def _epoch(
        self, job: Job, layers: Mapping[str, nn.Linear | nn.Conv2d], away: Grams, forgotten: Batch, lr: float
    ) -> None:
        weights = [layer.weight for layer in layers.values()]
        for rows in torch.randperm(forgotten.size, generator=job.rng).split(self.batch_size):
            batch = forgotten.take(rows.to(forgotten.label.device))
            value = departing(job.task.outputs(job.model, job.split.retain, batch), batch.label, self)
            if not bool(value.isfinite()):
                raise Diverged(f"the loss became {float(value)}; lower lr={self.lr}")
            for weight, grad, p in zip(weights, torch.autograd.grad(value, weights), away.values(), strict=True):
                full = grad.flatten(1)
                with torch.no_grad():
                    weight.sub_(lr * (full - full @ p.to(full)).view_as(weight))  # (5)


def departing(outputs: Tensor, label: Tensor, method: PGU) -> Tensor:
    """Return the loss (4) of outputs [B, C] with labels [B]."""
    log_p = outputs.log_softmax(1)
    own = log_p.gather(1, label.to(log_p.device)[:, None]).exp()[:, 0]
    entropy = -(log_p.exp() * log_p).sum(1)
    return method.away * -torch.log1p(method.offset - own).mean() - method.flat * entropy.mean()


def grams(task: Any, model: nn.Module, view: Any, size: int) -> Grams:
    """{layer: [fan_in, fan_in] float64 sum of z z^T over the view's images} (1)."""
    layers = weighted(model, "PGU")
    found: Grams = {}
    with torch.no_grad(), inputs(dict(layers)) as given:
        for batch in parts_of(task, view, view, size):
            task.teacher(model, view)(batch)
            for name, layer in layers.items():
                z = rows_of(layer, given[name]).double()
                found[name] = found.get(name, 0) + z.T @ z
    return found


def projector(gram: Tensor, gamma: float) -> Tensor:
    """Return P [d, d] onto the leading directions of a Gram matrix (3).

    Example:
        >>> projector(torch.diag(torch.tensor([9.0, 1.0, 0.0])), 0.8)
        tensor([[1., 0., 0.],
                [0., 0., 0.],
                [0., 0., 0.]])
    """
    values, vectors = torch.linalg.eigh(gram)
    size = values.flip(0).clamp(min=0).sqrt()
    share = size.cumsum(0) / size.sum().clamp(min=torch.finfo(size.dtype).tiny)
    count = int((share <= gamma + 1e-12).sum()) if gamma < 1 else len(size)
    leading = vectors.flip(1)[:, :count]
    found: Tensor = leading @ leading.T
    return found
