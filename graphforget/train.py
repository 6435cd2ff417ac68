"""Training to convergence, once for every domain, and isolation of randomness.

Original and gold are trained by the same recipe: Adam, full or mini-batches, patience on held-out data, the best
weights kept, the curve recorded.
"""

from __future__ import annotations

import copy
import logging
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rich import get_console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from graphforget import checkpoint, parallel
from graphforget.errors import Diverged, InputError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Args:
        epochs: at most so many passes.
        patience: stop after so many epochs without a better held-out score.
        lr: Adam's learning rate.
        weight_decay: Adam's L2 term.
        batch_size: elements a step; None means all of them (full batch).
        eval_every: epochs between two looks at the held-out data.
    """

    epochs: int = 1000
    patience: int = 50
    lr: float = 5e-3
    weight_decay: float = 0.0
    batch_size: int | None = None
    eval_every: int = 2

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "eval_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        if self.batch_size is not None and self.batch_size < 1:
            raise InputError(f"batch_size must be at least 1 or None for full batches (got {self.batch_size})")


@dataclass
class TrainRecord:
    """What a training run left: its curve, cost and best epoch, and notes that later requests read."""

    curve: list[tuple[int, float, float]] = field(default_factory=list)  # (epoch, training loss, held-out score)
    seconds: float = 0.0
    best_epoch: int = 0
    best_score: float = float("-inf")
    converged: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Seed torch, numpy and random inside the block, restore all three after it, and yield a torch generator.

    Example:
        >>> before = torch.random.get_rng_state()
        >>> with seeded(3) as rng:
        ...     _ = torch.rand(2), torch.rand(2, generator=rng)
        >>> bool((torch.random.get_rng_state() == before).all())
        True
    """
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        rng = torch.Generator().manual_seed(seed)
        try:
            with checkpoint.stream(rng):
                yield rng
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)  # noqa: NPY002


def draw_seed(rng: torch.Generator) -> int:
    """Draw a seed for a numpy or numba sampler from a torch generator."""
    return int(torch.randint(2**62, (1,), generator=rng))


def descend(
    model: nn.Module,
    steps: Callable[[int], Iterator[Tensor]],
    *,
    epochs: int,
    lr: float,
    weight_decay: float = 0.0,
    momentum: float | None = None,
    clip: float | None = None,
    schedule: Callable[[int], float] | None = None,
    parameters: Iterator[nn.Parameter] | None = None,
    after_step: Callable[[], None] | None = None,
    after_epoch: Callable[[int, float], bool] | None = None,
    memory: checkpoint.Memory | None = None,
    carries: bool = False,
    title: str = "",
) -> int:
    """Run Adam, or SGD, over losses until the epochs end or ``after_epoch`` says stop.

    Inside :func:`graphforget.parallel.workers` the processes share each step; inside
    :func:`graphforget.checkpoint.checkpoints` the loop is written down, and goes on from what was written.

    Args:
        model: put in train mode; its parameters are optimised unless ``parameters`` names others.
        steps: epoch -> the losses of its steps, each a scalar with gradient.
        epochs: at most so many.
        lr: learning rate.
        weight_decay: L2 term.
        momentum: of SGD, which then stands in for Adam.
        clip: largest norm of all gradients together.
        schedule: epoch -> factor of the learning rate.
        parameters: what to optimise instead of all parameters of the model.
        after_step: called after each step; puts back what must not move.
        after_epoch: called with (epoch, mean loss); True stops.
        memory: what ``after_epoch`` remembers, for checkpoints; without it such a loop is written only at its end.
        carries: ``steps`` carries something from epoch to epoch: written only at its end too.
        title: shown beside the progress bar.

    Returns:
        The number of epochs run.

    Raises:
        Diverged: a loss is NaN or infinite.
    """
    chosen = [p for p in (model.parameters() if parameters is None else parameters) if p.requires_grad]
    if not chosen:
        raise InputError("the model has no trainable parameter; unfreeze at least one")
    fused = all(p.dtype in (torch.float32, torch.float64) and p.device.type in ("cpu", "cuda") for p in chosen)
    optimiser: torch.optim.Optimizer  # fused: a seventh of the time
    if momentum is None:
        optimiser = torch.optim.Adam(chosen, lr=lr, weight_decay=weight_decay, fused=fused)
    else:
        optimiser = torch.optim.SGD(chosen, lr=lr, weight_decay=weight_decay, momentum=momentum, fused=fused)
    share = parallel.Steps(chosen)
    identity: dict[str, Any] = {"title": title, "epochs": epochs, "lr": lr, "weight_decay": weight_decay}
    identity |= {name: value for name, value in (("momentum", momentum), ("clip", clip)) if value is not None}
    identity["shapes"] = [list(p.shape) for p in chosen]
    loop = checkpoint.Loop(
        model, optimiser, identity, memory, whole=carries or (after_epoch is not None and memory is None)
    )

    def first() -> float:
        model.train()
        return float(next(steps(0)).detach())

    run, ended = loop.resume(first)
    with bar(title, epochs) as advance:
        while run < epochs and not ended:
            model.train()
            for group in optimiser.param_groups:
                group["lr"] = lr * (schedule(run) if schedule is not None else 1.0)
            total, count = 0.0, 0
            losses = steps(run)
            while (loss := share.next(losses)) is not None:
                value = float(loss.detach())
                if not np.isfinite(value):
                    raise Diverged(f"the loss became {value} in epoch {run} of {title or 'training'}; lower lr={lr}")
                loop.first = value if loop.first is None else loop.first
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                if clip is not None:
                    nn.utils.clip_grad_norm_(chosen, clip)
                optimiser.step()
                if after_step is not None:
                    after_step()
                total, count = total + value, count + 1
            advance()
            run += 1
            ended = after_epoch is not None and bool(parallel.agreed(after_epoch(run - 1, total / max(count, 1))))
            loop.save(run, ended or run == epochs)
    optimiser.zero_grad(set_to_none=True)  # a gradient is computed from the data: it must not outlive the training
    return run


def cosine(epochs: int, last: float = 0.01) -> Callable[[int], float]:
    """Return a schedule that falls from 1 to ``last`` over the epochs along half a cosine.

    Example:
        >>> [round(cosine(3, 0.0)(epoch), 2) for epoch in range(3)]
        [1.0, 0.75, 0.25]
    """
    return lambda epoch: last + (1 - last) * (1 + math.cos(math.pi * epoch / epochs)) / 2


def fit(
    model: nn.Module,
    steps: Callable[[int], Iterator[Tensor]],
    score: Callable[[], float],
    recipe: Recipe,
    *,
    record: TrainRecord | None = None,
    title: str = "train",
) -> nn.Module:
    """Train in place by a recipe and leave the weights of the best held-out score.

    Args:
        model: trained in place and returned in eval mode.
        steps: epoch -> the losses of its steps.
        score: held-out score of the model as it stands, higher is better.
        recipe: how long and how fast.
        record: filled with the curve when given.
        title: shown beside the progress bar.
    """
    record = TrainRecord() if record is None else record
    best: dict[str, Tensor] = {}
    start = time.perf_counter()

    def after(epoch: int, loss: float) -> bool:
        if epoch % recipe.eval_every and epoch != recipe.epochs - 1:
            return False
        value = parallel.agreed(score())
        if np.isnan(value):
            raise Diverged(f"the held-out score became NaN in epoch {epoch} of {title}; check the held-out data")
        record.curve.append((epoch, loss, value))
        if value > record.best_score:
            record.best_score, record.best_epoch = value, epoch
            best.update(copy.deepcopy(model.state_dict()))
        return epoch - record.best_epoch >= recipe.patience

    run = descend(
        model,
        steps,
        epochs=recipe.epochs,
        lr=recipe.lr,
        weight_decay=recipe.weight_decay,
        after_epoch=after,
        memory=_Best(record, best),
        title=title,
    )
    if best:
        model.load_state_dict(best)
    record.seconds = time.perf_counter() - start
    record.converged = run < recipe.epochs
    log.debug("%s: %d epochs, best %.4f at %d", title, run, record.best_score, record.best_epoch)
    return model.eval()


@dataclass
class _Best:
    """The best weights and the curve of a training, for its checkpoints."""

    record: TrainRecord
    weights: dict[str, Tensor]

    def keep(self) -> checkpoint.State:
        """Weights, and the record without its seconds."""
        record = self.record
        note = {"curve": record.curve, "best_epoch": record.best_epoch}
        return self.weights, note | ({"best_score": record.best_score} if record.curve else {})

    def recall(self, state: checkpoint.State) -> None:
        """Take both back."""
        self.weights.update(state[0])
        note = state[1]
        self.record.curve[:] = [(int(epoch), loss, score) for epoch, loss, score in note["curve"]]
        self.record.best_epoch = note["best_epoch"]
        self.record.best_score = note.get("best_score", float("-inf"))


_SHOWN: list[Progress] = []


@contextmanager
def progress() -> Iterator[None]:
    """Show a progress bar for every long loop inside the block (a terminal only; silent elsewhere)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = get_console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        _SHOWN.append(shown)
        try:
            yield
        finally:
            _SHOWN.pop()


@contextmanager
def bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Yield a function that advances a bar by one; does nothing outside :func:`progress`."""
    if not _SHOWN or not title:
        yield lambda: None
        return
    shown = _SHOWN[-1]
    task = shown.add_task(title, total=total)
    try:
        yield lambda: shown.advance(task)
    finally:
        shown.remove_task(task)
