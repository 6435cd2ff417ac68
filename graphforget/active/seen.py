"""What a model shows of a pool: features that enter its last linear layer, that layer, and its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.task import Task, evaluating


@dataclass(frozen=True, eq=False)
class Seen:
    """A pool as the last layer sees it.

    Args:
        features: [n, d] what enters the layer.
        weight: [C, d] the layer.
        bias: [C], or None.
        ids: [n] rows of the data set.

    Raises:
        InputError: an empty pool, shapes that do not fit, or NaN.

    Example:
        >>> pool = Seen(torch.eye(2), torch.eye(2), None, torch.arange(2))
        >>> pool.logits.argmax(1).tolist()
        [0, 1]
    """

    features: Tensor
    weight: Tensor
    bias: Tensor | None
    ids: Tensor

    def __post_init__(self) -> None:
        if self.features.dim() != 2 or not len(self.features):
            raise InputError(
                f"the pool is empty (got features {list(self.features.shape)}); give it rows to choose from"
            )
        if self.weight.dim() != 2 or self.weight.shape[1] != self.features.shape[1] or len(self.weight) < 2:
            raise InputError(
                f"the last layer must have weights [C >= 2, {self.features.shape[1]}] (got {list(self.weight.shape)})"
            )
        if not bool(torch.isfinite(self.features).all()):
            raise InputError("the pool's features hold NaN or infinity; check the model's weights and its inputs")

    @property
    def size(self) -> int:
        """N."""
        return len(self.features)

    @property
    def logits(self) -> Tensor:
        """[n, C]."""
        out = self.features @ self.weight.T
        return out if self.bias is None else out + self.bias

    def take(self, rows: Tensor) -> Seen:
        """Some of the pool: [m] places, or [n] bool."""
        return Seen(self.features[rows], self.weight, self.bias, self.ids[rows])


def look(model: nn.Module, task: Task[Any], context: Any, view: Any) -> Seen:
    """Run a model on a view and keep what enters its last linear layer, in float64.

    Args:
        model: with an ``nn.Linear`` that gives its answers; left untouched.
        task: how it runs.
        context: what it may see.
        view: the pool.

    Raises:
        InputError: no linear layer, an empty pool, or a layer that does not see one row an element.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not layers:
        raise InputError(f"{type(model).__name__} has no linear layer to look at; its last nn.Linear is perturbed")
    last, seen = layers[-1], []
    batch = next(iter(task.batches(context, view, None)), None)
    if batch is None:
        raise InputError("the pool is empty (got a view without elements); give it rows to choose from")
    handle = last.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    try:
        with torch.no_grad(), evaluating(model):
            task.bind(model, context)(batch)
    finally:
        handle.remove()
    features = torch.cat(seen).double()
    if features.dim() != 2 or len(features) != batch.size:
        raise InputError(f"the last linear layer must see one row an element (got {list(features.shape)})")
    own: Tensor | None = last.bias
    bias = None if own is None else own.detach().double()
    return Seen(features, last.weight.detach().double(), bias, batch.index.cpu())
