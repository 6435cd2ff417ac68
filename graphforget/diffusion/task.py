"""How models of noise are run, trained and scored: ``model(x_t, t, c)`` predicts the noise that was mixed into x_0.

::

    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) eps,      loss = mean (eps - model(x_t, t, c))^2

An element is a row with a step and noise of its own: in training they are drawn anew (and the concept is dropped to the
empty condition now and then), otherwise each row has one fixed draw, the same for every model. The rows' labels are the
concepts; images are scaled to [-1, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from graphforget.diffusion.models import NULL, ancestral
from graphforget.diffusion.sampling import check_scheduler
from graphforget.errors import InputError
from graphforget.samples import ROWS, Samples, SampleTask, neighbourhood
from graphforget.task import Ask, Batch
from graphforget.train import Recipe
from graphforget.values import ValueTask

RECIPE = Recipe(epochs=50, patience=50, lr=2e-3, batch_size=64, eval_every=5)  # about 1,000 steps on the digits


@dataclass(frozen=True)
class NoisePrediction(ValueTask[Samples], SampleTask):
    """Images [N, C, H, W] in [-1, 1] (or latents) whose labels are concepts.

    Args:
        recipe: see :class:`graphforget.task.Task`.
        factory: see :class:`graphforget.task.Task`.
        layer_names: see :class:`graphforget.samples.SampleTask`.
        scheduler: the noise schedule, of diffusers; None for the ancestral one of 100 steps.
        drop: share of the training elements whose concept is left out.
        guidance: g, where a method draws samples.
        sampling_steps: of inference, where a method draws samples; None for all of the schedule's.

    Raises:
        InputError: a scheduler that does not add noise or does not predict it.

    Example:
        >>> from graphforget.diffusion.models import build
        >>> data = Samples(torch.rand(4, 1, 8, 8) * 2 - 1, torch.tensor([0, 1, 1, 0]))
        >>> sorted(NoisePrediction().evaluate(build("class_unet", (1, 8, 8), 2), data, data))
        ['mse']
    """

    recipe: Recipe = RECIPE
    scheduler: Any = None
    drop: float = 0.1
    guidance: float = 3.0
    sampling_steps: int | None = None

    score_name: ClassVar[str] = "mse"

    def __post_init__(self) -> None:
        if self.scheduler is not None:
            check_scheduler(self.scheduler, training=True)
        if not 0 <= self.drop < 1:
            raise InputError(f"drop must lie in [0, 1) (got {self.drop})")

    @property
    def noise(self) -> Any:
        """The noise schedule."""
        return _usual() if self.scheduler is None else self.scheduler

    @property
    def levels(self) -> int:
        """Number of steps of the noise schedule."""
        return int(self.noise.config.num_train_timesteps)

    def batches(self, context: Samples, view: Samples, rng: torch.Generator | None) -> Iterator[Batch]:
        """Rows with a step, a concept (index [3, B]) and noise (label [B, D])."""
        fixed = None if rng is not None else _draws(view.x.shape, self.levels)
        for batch in super().batches(context, view, rng):
            rows = batch.index.cpu()
            if fixed is not None:
                t, noise, c = fixed[0][rows], fixed[1][rows], batch.label.cpu()
            else:
                t = torch.randint(self.levels, (len(rows),), generator=rng)
                noise = torch.randn(len(rows), view.x[0].numel(), generator=rng)
                dropped = torch.rand(len(rows), generator=rng) < self.drop
                c = torch.where(dropped, NULL, batch.label.cpu())
            index = torch.stack([rows, t, c]).to(batch.index.device)
            yield Batch(index, noise.to(batch.index.device), batch.input)

    def bind(self, model: nn.Module, context: Samples) -> Ask:
        """Run the model on noised rows; without gradient at most 1024 of them at once."""
        device = next((p.device for p in model.parameters()), context.x.device)

        def ask(batch: Batch) -> Tensor:
            places = torch.arange(batch.size, device=batch.index.device)
            pieces = [places] if torch.is_grad_enabled() else places.split(ROWS)
            return torch.cat([model(*self.noised(context, batch.take(rows), device)).flatten(1) for rows in pieces])

        return ask

    def noised(
        self, context: Samples, batch: Batch, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(x_t [B, C, H, W], t [B], c [B]) of a batch: what a model is called with."""
        rows, t, c = batch.index
        x = cast(Samples, batch.input if batch.input is not None else context).x[rows].to(device)
        noise = batch.label.to(device).view_as(x)
        return self.noise.add_noise(x, noise, t.to(device)), t.to(device), c.to(device)

    def criterion(self, outputs: Tensor, batch: Batch) -> Tensor:
        """[B] mean squared error of the noise."""
        return (outputs - batch.label.to(outputs)).square().mean(1)

    def evaluate(
        self, model: nn.Module, context: Samples, view: Samples, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The error of the noise, mse; with gold's predictions the distance to gold."""
        batch = self.elements(context, view)
        outputs = self.teacher(model, context)(batch)
        found = {"mse": float(self.criterion(outputs, batch).mean())}
        return found if reference is None else found | self.to_gold(outputs, reference, batch)

    def held_out_score(self, model: nn.Module, context: Samples, held_out: Samples) -> float:
        """Minus the error."""
        return -self.evaluate(model, context, held_out)["mse"]

    def to_gold(self, outputs: Tensor, gold: Tensor, batch: Batch) -> dict[str, float]:
        """Root mean squared distance of the predictions."""
        return {"rmse_to_gold": float((outputs - gold).square().mean().sqrt())}

    def structure(self, context: Samples, batch: Batch) -> npt.NDArray[np.float64]:
        """[B, 3] what the retained rows say of a row: see :func:`graphforget.samples.neighbourhood`."""
        view = cast(Samples, batch.input if batch.input is not None else context)
        return neighbourhood(context, Batch(batch.index[0], view.y[batch.index[0]], batch.input))


def scaled(data: Samples) -> Samples:
    """The same rows with pixels in [0, 1] moved to [-1, 1], as models of noise take them.

    Raises:
        InputError: pixels outside [0, 1].

    Example:
        >>> scaled(Samples(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]))).x.flatten().tolist()
        [-1.0, 1.0]
    """
    low, high = float(data.x.min()), float(data.x.max())
    if low < 0 or high > 1:
        raise InputError(f"pixels must lie in [0, 1] (got {low:g} to {high:g}); divide by their largest value")
    return replace(data, x=2 * data.x - 1)


@cache
def _usual() -> Any:
    return ancestral()


def _draws(shape: torch.Size, levels: int) -> tuple[Tensor, Tensor]:
    """Each row's fixed step and noise: the same whatever view it stands in."""
    rng = torch.Generator().manual_seed(0)
    count = shape[0]
    return torch.randint(levels, (count,), generator=rng), torch.randn(count, shape[1:].numel(), generator=rng)
