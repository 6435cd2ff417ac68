"""What methods ask of a classifier's layers: its head, the embeddings before it, the inputs of every layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.samples import ROWS
from graphforget.task import Batch, Task, evaluating


def head(model: nn.Module, method: str) -> tuple[str, nn.Linear]:
    """Return (name, layer) of the linear layer that was registered last: the classifier.

    Args:
        model: any classifier.
        method: who asks, for the message.

    Raises:
        InputError: the model has no linear layer; its children are named.
    """
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    if not found:
        children = [f"{name}: {type(child).__name__}" for name, child in model.named_children()]
        raise InputError(f"{method} needs a model with a linear layer at its end (got {children}); use another method")
    return found[-1]


def weighted(model: nn.Module, method: str) -> dict[str, nn.Linear | nn.Conv2d]:
    """Return {name: layer} of the linear layers and the convolutions of one group, in order.

    Raises:
        InputError: there is none.
    """
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
    }
    if not found:
        children = [f"{name}: {type(child).__name__}" for name, child in model.named_children()]
        raise InputError(f"{method} needs linear or convolutional layers (got {children}); use another method")
    return found


@contextmanager
def inputs(layers: dict[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Yield a dict that holds, after each forward inside the block, the input of every layer, with gradient."""
    found: dict[str, Tensor] = {}

    def keep(name: str, given: tuple[Tensor, ...]) -> None:
        found[name] = given[0]

    handles = [
        layer.register_forward_pre_hook(lambda _module, given, name=name: keep(name, given))
        for name, layer in layers.items()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def embed(task: Task[Any], model: nn.Module, context: Any, batch: Batch, method: str) -> Tensor:
    """[B, d] what enters the head for each element, in eval mode and without gradient."""
    name, last = head(model, method)
    pieces = []
    with evaluating(model), torch.no_grad(), inputs({name: last}) as found:
        for rows in torch.arange(batch.size).split(ROWS):
            task.outputs(model, context, batch.take(rows.to(batch.label.device)))
            pieces.append(found[name])
    return torch.cat(pieces)


def rows_of(layer: nn.Module, given: Tensor) -> Tensor:
    """[n, fan_in] the vectors that a layer's weight rows are multiplied with: inputs, or patches of a convolution.

    Example:
        >>> rows_of(nn.Conv2d(1, 2, 2), torch.zeros(3, 1, 4, 4)).shape
        torch.Size([27, 4])
    """
    if isinstance(layer, nn.Conv2d):
        patches = F.unfold(given, layer.kernel_size, layer.dilation, _padding(layer), layer.stride)
        return patches.transpose(1, 2).flatten(0, 1)
    return given.flatten(0, -2)


def _padding(layer: nn.Conv2d) -> tuple[int, ...]:
    if not isinstance(layer.padding, tuple) or layer.padding_mode != "zeros":
        raise InputError(f"convolutions need a numeric zero padding (got {layer.padding!r}, {layer.padding_mode})")
    return layer.padding
