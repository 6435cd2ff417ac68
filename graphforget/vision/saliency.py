"""Which parameters matter for some images: gradients, empirical Fisher information, and masks of the largest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.task import Batch, Task

Scores = dict[str, Tensor]


def parts_of(task: Task[Any], context: Any, view: Any, size: int) -> Iterator[Batch]:
    """The elements of a view in their order, ``size`` at a time."""
    batch = task.elements(context, view)
    for rows in torch.arange(batch.size).split(size):
        yield batch.take(rows.to(batch.label.device))


def loss(task: Task[Any], outputs: Tensor, batch: Batch) -> Tensor:
    """The mean loss of a batch."""
    return task.criterion(outputs, batch).mean()


def norm(task: Task[Any], outputs: Tensor, batch: Batch) -> Tensor:
    """The mean squared length of the outputs: no label is needed."""
    return outputs.square().sum(1).mean()


Measure = tuple[Callable[[Task[Any], Tensor, Batch], Tensor], Callable[[Tensor], Tensor]]  # of outputs, of a gradient
signed: Measure = (loss, torch.Tensor.clone)
squared: Measure = (loss, torch.square)
label_free: Measure = (norm, torch.abs)


def gradients(
    task: Task[Any], model: nn.Module, context: Any, view: Any, size: int, measure: Measure = signed
) -> Scores:
    """{parameter: mean over mini-batches of a measure of the gradient}, in eval mode.

    With ``squared`` this is the diagonal of the empirical Fisher information of mini-batches; it depends on ``size``.

    Args:
        task: how the model runs.
        model: asked in eval mode; left so.
        context: what it may see.
        view: the elements.
        size: elements a batch.
        measure: ``signed``, ``squared`` or ``label_free``.

    Raises:
        InputError: the model has no trainable parameter.
    """
    model.eval()
    chosen = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not chosen:
        raise InputError("the model has no trainable parameter; unfreeze at least one")
    of_outputs, of_gradient = measure
    total, count = {name: torch.zeros_like(p) for name, p in chosen.items()}, 0
    for batch in parts_of(task, context, view, size):
        value = of_outputs(task, task.outputs(model, context, batch), batch)
        found = torch.autograd.grad(value, list(chosen.values()), allow_unused=True, materialize_grads=True)
        for name, grad in zip(chosen, found, strict=True):
            total[name] += of_gradient(grad)
        count += 1
    return {name: value / count for name, value in total.items()}


def largest(scores: Mapping[str, Tensor], budget: float) -> dict[str, Tensor]:
    """{parameter: bool} the int(budget N) largest of all N scores, ranked together; of equal ones the first.

    Example:
        >>> largest({"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([[2.0], [0.0]])}, 0.5)
        {'a': tensor([ True, False]), 'b': tensor([[ True], [False]])}
    """
    flat = torch.cat([value.flatten() for value in scores.values()])
    chosen = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    chosen[flat.argsort(descending=True, stable=True)[: int(budget * len(flat))]] = True
    pieces = chosen.split([value.numel() for value in scores.values()])
    return {name: piece.view_as(value) for (name, value), piece in zip(scores.items(), pieces, strict=True)}


def keeper(model: nn.Module, masks: Mapping[str, Tensor]) -> Callable[[], None]:
    """Return a function that puts every weight outside the masks back to what it is now, to the last bit.

    Called after each step it equals masked gradients under any optimiser that moves each weight by itself, and holds
    against weight decay and momentum, under which masked gradients leak.
    """
    kept = [(p, masks[name], p.detach().clone()) for name, p in model.named_parameters() if name in masks]

    def restore() -> None:
        with torch.no_grad():
            for parameter, mask, value in kept:
                parameter.copy_(torch.where(mask, parameter, value))

    return restore
