"""Find a small network by gradients, EmoNAS-style: our design on the engine of DARTS.

EmoNAS (Verma et al.; arXiv:2303.13653) searches cells by gradients for networks that read faces. Only its abstract was
at hand: its cells, operations and figures are **not verified**, and nothing here reproduces them. What is here is the
engine that such searches stand on (DARTS, arXiv:1806.09055; constants of quark0/darts, commit f276dd3), sized for small
images, so that the network that is found can be trained from scratch again at each request.

::

    alpha step   grad_alpha L_val(w, alpha)                                        first order
                 grad_alpha L_val(w', alpha) - xi grad2_{alpha,w} L_train v        second order       (1)
                 w' = w - xi (mu velocity + grad_w L_train + decay w),  v = grad_w' L_val
                 grad2 v ~ (grad_alpha L_train(w + R v) - grad_alpha L_train(w - R v)) / 2R,  R = .01 / ||v||
    w step       SGD on the training half
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphforget.errors import InputError, unknown
from graphforget.samples import Samples, split_rows
from graphforget.search.models import CellNet, Genotype, genotype_of
from graphforget.task import Batch, Task
from graphforget.train import cosine, descend, seeded

ORDERS = ("first", "second")
NEAR = 0.01  # R ||v||
CLIP, DECAY, MOMENTUM = 5.0, 3e-4, 0.9


class Found(NamedTuple):
    """The result of a search.

    Args:
        genotype: the discrete cells.
        mixing: [2, edges, operations] the weights that they were read from.
        seconds: of the search.
    """

    genotype: Genotype
    mixing: Tensor
    seconds: float


@dataclass(frozen=True)
class Search:
    """How a network is searched.

    Args:
        order: ``first``, or ``second`` for the unrolled gradient (about four times as slow).
        width: C of the network that is searched (16 in DARTS; less here: our default).
        layers: its cells (8 in DARTS).
        nodes: of a cell (4 in DARTS).
        epochs: passes over the training half (50 in DARTS).
        batch_size: rows a step.
        lr: of the weights, falling to .001 along half a cosine.
        alpha_lr: of the architecture, Adam (3e-4 in DARTS over many more steps).
    """

    order: str = "first"
    width: int = 4
    layers: int = 3
    nodes: int = 2
    epochs: int = 10
    batch_size: int = 32
    lr: float = 0.025
    alpha_lr: float = 1e-2

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise unknown("order", self.order, ORDERS)
        for name in ("epochs", "batch_size", "lr", "alpha_lr"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive (got {getattr(self, name)})")

    def run(self, task: Task[Samples], data: Samples, *, seed: int = 0) -> Found:
        """Search on training rows: one half trains the weights, the other the architecture.

        Args:
            task: of rows with labels, images [N, C, H, W].
            data: training rows; nothing else is looked at.
            seed: of the halves, the weights and the batches.

        Raises:
            InputError: rows that are no images, or fewer than four.
        """
        if data.x.dim() != 4 or data.size < 4:
            raise InputError(f"a search needs at least 4 images [N, C, H, W] (got {data.size}, {list(data.x.shape)})")
        start = time.perf_counter()
        halves = split_rows(data, val=0.5, test=0.0, seed=seed)
        channels, height, width = data.x.shape[1:]
        with seeded(seed) as rng:
            classes = int(data.y.max()) + 1
            shape = (channels, height, width)
            model = CellNet(shape, classes, width=self.width, layers=self.layers, nodes=self.nodes)
            weights = [p for name, p in model.named_parameters() if name != "alphas"]
            alphas = [p for name, p in model.named_parameters() if name == "alphas"]
            architect = torch.optim.Adam(alphas, lr=self.alpha_lr, betas=(0.5, 0.999), weight_decay=1e-3)
            ask = _losses(task, model)
            other = _for_ever(task, halves.val, self.batch_size, rng)
            schedule = cosine(self.epochs, 0.001 / self.lr)

            def steps(epoch: int) -> Iterator[Tensor]:
                for batch in _shuffled(task, halves.train, self.batch_size, rng):
                    held = next(other)
                    if self.order == "first":
                        gradient = list(torch.autograd.grad(ask(held), alphas))
                    else:
                        xi = self.lr * schedule(epoch)
                        train, val = (lambda b=batch: ask(b)), (lambda b=held: ask(b))
                        gradient = unrolled(weights, alphas, train, val, xi=xi, decay=DECAY)
                    for parameter, value in zip(alphas, gradient, strict=True):
                        parameter.grad = value
                    architect.step()
                    yield ask(batch)

            descend(
                model, steps, epochs=self.epochs, lr=self.lr, weight_decay=DECAY, momentum=MOMENTUM, clip=CLIP,
                schedule=schedule, parameters=iter(weights), carries=True, title="search",
            )  # fmt: skip
            mixing = model.mixing().detach().clone()
        return Found(genotype_of(mixing), mixing, time.perf_counter() - start)


def unrolled(
    weights: Sequence[Tensor],
    alphas: Sequence[Tensor],
    train: Callable[[], Tensor],
    val: Callable[[], Tensor],
    *,
    xi: float,
    decay: float = 0.0,
    velocity: Sequence[Tensor] | None = None,
) -> list[Tensor]:
    """Compute the second-order gradient of the architecture: equation (1).

    Args:
        weights: w, moved and put back.
        alphas: the architecture.
        train: L_train of w and alpha as they stand.
        val: L_val likewise.
        xi: the step that is looked ahead.
        decay: weight decay of that step.
        velocity: the momentum's share of it, mu times the buffers; None for none (our searches leave it out).

    Returns:
        A gradient for each of ``alphas``.
    """
    kept = [w.detach().clone() for w in weights]
    ahead = torch.autograd.grad(train(), list(weights), materialize_grads=True)
    moving = velocity if velocity is not None else [torch.zeros_like(w) for w in kept]
    with torch.no_grad():
        for w, g, m in zip(weights, ahead, moving, strict=True):
            w.sub_(xi * (m + g + decay * w))
    both = torch.autograd.grad(val(), [*alphas, *weights], materialize_grads=True)
    direct, v = list(both[: len(alphas)]), both[len(alphas) :]
    norm = torch.stack([one.norm() for one in v]).norm()
    r = NEAR / float(norm) if float(norm) else 0.0
    sides = []
    for sign in (r, -r):
        with torch.no_grad():
            for w, old, one in zip(weights, kept, v, strict=True):
                w.copy_(old + sign * one)
        sides.append(torch.autograd.grad(train(), list(alphas)))
    with torch.no_grad():
        for w, old in zip(weights, kept, strict=True):
            w.copy_(old)
    if not r:
        return direct
    return [g - xi * (up - down) / (2 * r) for g, up, down in zip(direct, *sides, strict=True)]


def _losses(task: Task[Any], model: nn.Module) -> Callable[[tuple[Samples, Batch]], Tensor]:
    return lambda asked: task.loss(model, *asked)


def _shuffled(task: Task[Samples], view: Samples, size: int, rng: torch.Generator) -> Iterator[tuple[Samples, Batch]]:
    whole = task.elements(view, view)
    for rows in torch.randperm(whole.size, generator=rng).split(size):
        if len(rows) > 1:  # batch norm cannot train on a single row
            yield view, whole.take(rows.to(whole.label.device))


def _for_ever(task: Task[Samples], view: Samples, size: int, rng: torch.Generator) -> Iterator[tuple[Samples, Batch]]:
    while True:
        yield from _shuffled(task, view, size, rng)
