"""What a model would say of the forgotten where a trained and an unseen element do not tell it.

A model trained on the rest never learns a label, or a range of targets, that nothing retained has, and no unseen
element is like the forgotten. The mean memory of rows says little either: which of the forgotten a model gets wrong
that never saw them differs from row to row. In place of the difference on which :mod:`graphforget.calibrate` rests
stands

* of rows with labels, and of a range of a regression's targets: what fresh models say, trained for a few epochs on what
  is retained;
* of an absent label of nodes or links: the mean belief that the original gives it on elements of the others.

All are ours, not any paper's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphforget.classes import ClassTask
from graphforget.forget import ForgetSplit
from graphforget.samples import SampleTask
from graphforget.task import Batch, Task
from graphforget.train import Recipe, cosine, descend, draw_seed, seeded


class Fresh(NamedTuple):
    """How the fresh models are trained: their number, epochs, and rate as a multiple of the recipe's."""

    models: int
    epochs: int
    rate: float
    falls: bool  # along a cosine
    steps: int  # at least so many: of little data an epoch is little training


TARGETS = Fresh(2, 10, 1.0, falls=False, steps=0)  # our defaults for regressions, chosen on Kin8nm, seeds 11 and 12
LABELS = Fresh(1, 6, 4.0, falls=True, steps=294)  # and for labels, chosen on MNIST, seeds 11 and 12
TITLE = "calibrate: never saw it"
NEAREST = 10  # a target is of a range that went where none of so many nearest targets is retained


def absent(task: Task[Any], split: ForgetSplit[Any], gone: Batch) -> Tensor:
    """[B] bool: nothing retained has the element's label; of a regression, where most of the targets lie in a range."""
    kept = torch.cat([batch.label for batch in task.batches(split.retain, split.untouched, None)])
    if not gone.label.is_floating_point():
        return ~torch.isin(gone.label, kept)
    found = apart(gone.label.mean(1), kept.mean(1))
    return found if 2 * int(found.sum()) > gone.size else torch.zeros_like(found)


def labelled_rows(task: Task[Any]) -> bool:
    """Are the elements rows with labels? Then fresh models are asked about all of them."""
    return isinstance(task, ClassTask) and isinstance(task, SampleTask)


def apart(own: Tensor, kept: Tensor) -> Tensor:
    """[n] bool: none of the NEAREST targets around each of ``own`` [n] is one of ``kept`` [m].

    Example:
        >>> apart(torch.linspace(0, 1, 20), torch.linspace(2, 3, 20))[:3].tolist()
        [True, True, True]
        >>> bool(apart(torch.linspace(0, 1, 20), torch.linspace(0, 1, 20)).any())
        False
    """
    order = torch.cat([own, kept]).argsort(stable=True)
    retained = (order >= len(own)).long().cumsum(0)
    place = torch.arange(len(order), device=order.device)
    last = (place + NEAREST // 2).clamp(max=len(order) - 1)
    first = place - NEAREST // 2 - 1
    near = retained[last] - torch.where(first >= 0, retained[first.clamp(min=0)], 0)
    found = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    found[order] = near == 0
    return found[: len(own)]


def stranger(task: Any, model: nn.Module, split: ForgetSplit[Any], gone: Batch, strange: Tensor) -> Tensor:
    """[B] the mean score that the model gives an absent label on retained elements, which all have another one."""
    others = task.elements(split.retain, split.untouched)
    outputs = task.teacher(model, split.retain)(others)
    level = torch.zeros(gone.size, dtype=outputs.dtype)
    for label in gone.label[strange.to(gone.label.device)].unique():
        asked = Batch(others.index, torch.full_like(others.label, int(label)), others.input)
        level[(gone.label == label).cpu()] = task.scores(outputs, asked).mean().cpu()
    return level


def blind(task: Task[Any], model: nn.Module, split: ForgetSplit[Any], gone: Batch, rng: torch.Generator) -> Tensor:
    """[B, C] the mean answer of fresh models that were trained on what is retained for a few epochs."""
    how = TARGETS if gone.label.is_floating_point() else LABELS
    lr = how.rate * (task.recipe.lr if isinstance(task.recipe, Recipe) else Recipe().lr)
    kept = sum(1 for _ in task.batches(split.retain, split.retain, torch.Generator().manual_seed(0)))
    epochs = max(how.epochs, -(-how.steps // kept))
    told = []
    for _ in range(how.models):
        seed = draw_seed(rng) % 2**31
        new = task.fresh(model, seed).requires_grad_(True)
        with seeded(seed) as own:
            descend(
                new, _epochs(task, new, split, own), epochs=epochs, lr=lr, weight_decay=task.weight_decay,
                schedule=cosine(epochs) if how.falls else None, title=TITLE,
            )  # fmt: skip
        told.append(task.teacher(new, split.retain)(gone))
    return torch.stack(told).mean(0)


def _epochs(
    task: Task[Any], model: nn.Module, split: ForgetSplit[Any], rng: torch.Generator
) -> Callable[[int], Iterator[Tensor]]:
    """The losses of an epoch on what is retained."""

    def steps(epoch: int) -> Iterator[Tensor]:
        task.begin_epoch(model, split.retain, rng)
        for batch in task.batches(split.retain, split.retain, rng):
            yield task.loss(model, split.retain, batch)

    return steps
