"""What training rows add to a model's logits: TRAK (Park et al., arXiv:2303.14186), a score for each logit.

::

    phi_c(x) = P^T grad_theta z_c(x)                            P: a random projection to ``dims`` numbers     (1)
    K_c      = Phi_c^T Phi_c + damping mean |phi_c|^2 I         Phi_c: of the retained rows                    (2)
    w_i(x)_c = mean_m[ phi_c(x)^T K_c^-1 phi_c(z_i) ] mean_m[ 1(y_i = c) - p_c(z_i) ]                          (3)

The two means over models m are taken apart, as published. TRAK's own score is of one output, the margin; matching needs
one of each logit, so (1) to (3) run once a class with z_c as the output and its own loss gradient.

Deviations: P adds every weight's gradient, with a random sign, to one of the ``dims`` numbers (a count sketch: unbiased
inner products like those of dense random signs, at the cost of one pass; the paper takes 2,048 of these); the rows that
go are left out of (2), which is then exact for ridge regression, and the damping is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from graphforget.samples import Samples
from graphforget.task import Batch, Task, evaluating

NUMBERS = 1 << 25  # of gradients that are held at once


class Sketch:
    """The projection P of (1).

    Args:
        size: number of weights.
        dims: numbers that are left; 0 keeps all.
        rng: of signs and places.

    Example:
        >>> keep = Sketch(3, 0, torch.Generator())
        >>> keep(torch.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 2., 3.]])
    """

    def __init__(self, size: int, dims: int, rng: torch.Generator) -> None:
        self.dims = dims
        self.place = torch.randint(max(dims, 1), (size,), generator=rng)
        self.sign = torch.randint(2, (size,), generator=rng) * 2.0 - 1

    def __call__(self, values: Tensor) -> Tensor:
        """[B, size] -> [B, dims]."""
        if not self.dims:
            return values
        place, sign = self.place.to(values.device), self.sign.to(values)
        return values.new_zeros(len(values), self.dims).index_add_(1, place, values * sign)


def features(model: nn.Module, x: Tensor, number: int, sketch: Sketch) -> Tensor:
    """[B, dims] projected gradients of one logit of each row (1), in eval mode.

    Args:
        model: ``model(x) -> [B, C]``.
        x: [B, ...] inputs.
        number: c, which logit.
        sketch: P.
    """
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    fixed = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
    fixed |= dict(model.named_buffers())

    def logit(weights: dict[str, Tensor], row: Tensor) -> Tensor:
        found: Tensor = functional_call(model, {**weights, **fixed}, (row[None],))[0, number]
        return found

    each = vmap(grad(logit), (None, 0), randomness="different")
    size, device = sum(value.numel() for value in weights.values()), next(iter(weights.values())).device
    pieces = []
    with evaluating(model), sdpa_kernel(SDPBackend.MATH):  # attention's other kernels have no rule for vmap
        for part in x.split(max(1, NUMBERS // size)):
            found = each(weights, part.to(device))
            pieces.append(sketch(torch.cat([value.flatten(1) for value in found.values()], dim=1)))
    return torch.cat(pieces)


def effect(
    task: Task[Any],
    models: Sequence[nn.Module],
    kept: Samples,
    gone: Batch,
    asked: Batch,
    *,
    damping: float,
    dims: int,
    rng: torch.Generator,
) -> Tensor:
    """Return what some training rows add to the logits of others: the sum of (3) over them.

    Args:
        task: how the models run.
        models: m, with a trainable weight each.
        kept: the view of the rows that stay; gone and asked are rows of the same arrays.
        gone: the rows that go.
        asked: the rows whose logits are predicted.
        damping: of (2).
        dims: of (1); 0 projects nothing.
        rng: of P, the same for all rows and logits of a model.

    Returns:
        [B, C] in the precision of the outputs.
    """
    near: dict[int, Tensor] = {}
    left = torch.zeros(0)
    for model in models:
        outputs = task.teacher(model, kept)(gone)
        residual = F.one_hot(gone.label, outputs.shape[1]).to(outputs) - outputs.softmax(1)
        left = residual if not len(left) else left + residual
        sketch = Sketch(sum(p.numel() for p in model.parameters() if p.requires_grad), dims, rng)
        rows = (kept.rows().to(kept.x.device), gone.index, asked.index)
        for number in range(outputs.shape[1]):
            k, g, a = (features(model, kept.x[ids], number, sketch).double() for ids in rows)
            near[number] = near.get(number, 0) + kernel(k, g, a, damping)
    each = [near[number] @ left[:, number].double() for number in range(left.shape[1])]
    return torch.stack(each, dim=1).to(left) / len(models) ** 2


def kernel(kept: Tensor, gone: Tensor, asked: Tensor, damping: float) -> Tensor:
    """[B, m] phi(x)^T K^-1 phi(z): (2) and the first factor of (3).

    Args:
        kept: [n, d] features of the rows that stay.
        gone: [m, d] of those that go.
        asked: [B, d] of those that are asked about.
        damping: as a share of the mean squared length of a row.

    Example:
        >>> one = torch.tensor([[1.0]], dtype=torch.float64)
        >>> float(kernel(one, one, one, 1.0))
        0.5
    """
    ridge = damping * torch.cat([kept, gone]).square().sum(1).mean()
    k = kept.T @ kept + ridge * torch.eye(kept.shape[1], dtype=kept.dtype, device=kept.device)
    found: Tensor = asked @ torch.linalg.solve(k, gone.T)
    return found
