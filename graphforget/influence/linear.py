"""The last linear layer of a model, in float64, with the features that enter it held fixed.

A model whose rows do not see one another is, seen from its last linear layer, ``outputs = tail(A theta^T)`` with the
features A [n, d] (a column of ones for the bias) and theta [C, d]. Gradient and Hessian of the loss then cost a few
matrix products, whatever stands before the layer and whatever loss follows it:

::

    grad = sum_i g_i x a_i            g_i [C] and S_i [C, C]: first and second derivatives of row i's loss
    H    = sum_i S_i x a_i a_i^T      in the layer's outputs                                            (1)

Everything here is in sums over rows; who needs means divides.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.samples import Samples, SampleTask
from graphforget.task import Batch, evaluating

Losses = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a view as the last layer sees them.

    Args:
        features: [n, d] float64 what enters the layer; the last column is 1 where the layer has a bias.
        losses: [n, C] outputs of the layer -> [n] losses.
    """

    features: Tensor
    losses: Losses

    @property
    def size(self) -> int:
        """N."""
        return len(self.features)

    def loss(self, theta: Tensor) -> Tensor:
        """[n] losses under weights [C, d]."""
        return self.losses(self.features @ theta.T)

    def gradient(self, theta: Tensor) -> Tensor:
        """[C, d] gradient of the summed loss."""
        return self._slopes(theta)[1].T @ self.features

    def gradients(self, theta: Tensor) -> Tensor:
        """[n, C, d] gradient of each row's loss."""
        return self._slopes(theta)[1][:, :, None] * self.features[:, None]

    def hessian(self, theta: Tensor) -> Tensor:
        """[C d, C d] Hessian of the summed loss: (1)."""
        curved, width = self.curvature(theta), self.features.shape[1]
        count = theta.shape[0]
        found = self.features.new_zeros(count, width, count, width)
        for a in range(count):
            for b in range(a, count):
                block = self.features.T @ (curved[:, a, b, None] * self.features)
                found[a, :, b], found[b, :, a] = block, block.T
        return found.reshape(count * width, count * width)

    def curvature(self, theta: Tensor) -> Tensor:
        """[n, C, C] second derivative of each row's loss in the layer's outputs."""
        outputs, slope = self._slopes(theta, twice=True)
        if not slope.requires_grad:  # a loss that is linear in the outputs
            return slope.new_zeros(*slope.shape, slope.shape[1])
        columns = [
            torch.autograd.grad(slope[:, c].sum(), outputs, retain_graph=True, materialize_grads=True)[0]
            for c in range(slope.shape[1])
        ]
        return torch.stack(columns, dim=1)

    def product(self, curved: Tensor, v: Tensor) -> Tensor:
        """[C, d] Hessian of the summed loss times v [C, d], from the rows' :meth:`curvature`."""
        return (curved @ (self.features @ v.T)[:, :, None]).squeeze(2).T @ self.features

    def _slopes(self, theta: Tensor, twice: bool = False) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            outputs = (self.features @ theta.T).detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(self.losses(outputs).sum(), outputs, create_graph=twice)
        return outputs, slope


@dataclass(frozen=True, eq=False)
class Last:
    """A copy of a model in float64 whose last linear layer can be asked about and replaced.

    Args:
        model: the copy, in evaluation mode.
        layer: its last linear layer.
        task: how the model runs.
    """

    model: nn.Module
    layer: nn.Linear
    task: SampleTask

    @classmethod
    def of(cls, model: nn.Module, task: SampleTask) -> Last:
        """Find the last linear layer.

        Raises:
            InputError: the model has none; its children are named.
        """
        inner = copy.deepcopy(model).double().eval()
        found = [module for module in inner.modules() if isinstance(module, nn.Linear)]
        if not found:
            children = [f"{name} ({type(child).__name__})" for name, child in inner.named_children()]
            raise InputError(
                f"{type(model).__name__} has no linear layer to update (got {', '.join(children) or 'no layer'}); "
                "influence methods move the last nn.Linear of a model"
            )
        return cls(inner, found[-1], task)

    @property
    def theta(self) -> Tensor:
        """[C, d] the layer's weights, the bias as last column."""
        weight = self.layer.weight.detach()
        bias: Tensor | None = self.layer.bias
        return weight.clone() if bias is None else torch.cat([weight, bias.detach()[:, None]], 1)

    def rows(self, view: Samples) -> Rows | None:
        """What a view's rows look like to the layer; None where it has no row that the task can ask about.

        Raises:
            InputError: the layer does not see one row of features a row of data.
        """
        context = _double(view)
        batch = next(iter(self.task.batches(context, context, None)), None)
        if batch is None:
            return None
        seen: list[Tensor] = []

        def look(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen.append(inputs[0])

        handle = self.layer.register_forward_pre_hook(look)
        try:
            with torch.no_grad(), evaluating(self.model):
                self.task.bind(self.model, context)(batch)
        finally:
            handle.remove()
        features = torch.cat(seen)
        if features.dim() != 2 or len(features) != batch.size:
            shape = list(features.shape)
            raise InputError(f"the last linear layer must see one row of features a row of data (got {shape} in all)")
        if self.layer.bias is not None:
            features = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
        return Rows(features, self._tail(context, batch))

    def _tail(self, context: Samples, batch: Batch) -> Losses:
        """What follows the layer, as a function of its outputs."""

        def losses(h: Tensor) -> Tensor:
            handle = self.layer.register_forward_hook(lambda _module, _inputs, _output: h)
            try:
                with torch.enable_grad(), evaluating(self.model):
                    return self.task.criterion(self.task.bind(self.model, context)(batch), batch)
            finally:
                handle.remove()

        return losses

    def write(self, theta: Tensor, model: nn.Module) -> nn.Module:
        """Put weights [C, d] into the last linear layer of another copy of the model, in its own precision."""
        layer = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            layer.weight.copy_(theta[:, : layer.in_features])
            if layer.bias is not None:
                layer.bias.copy_(theta[:, -1])
        return model


def _double(data: Samples) -> Samples:
    wide = [value.double() if value.is_floating_point() else value for value in (data.x, data.y)]
    return Samples(wide[0], wide[1], data.groups, data.mask)
