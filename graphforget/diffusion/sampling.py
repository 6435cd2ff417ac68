"""Sample from one model, or from two that take turns, on any scheduler of the diffusers interface.

A scheduler has ``set_timesteps(n)``, ``timesteps`` and ``step(noise, t, x)``; where it has ``scale_model_input`` and
``init_noise_sigma`` they are used, and where its step takes a generator it is given ours, one for the whole run.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphforget.diffusion.models import NULL
from graphforget.errors import InputError
from graphforget.task import evaluating

NEEDED = ("set_timesteps", "step", "timesteps")


def check_scheduler(scheduler: Any, *, training: bool = False) -> None:
    """Refuse what is no scheduler, or, for training, one whose noise we cannot reproduce.

    Raises:
        InputError: naming what is missing.
    """
    missing = [name for name in (*NEEDED, *(("add_noise",) if training else ())) if not hasattr(scheduler, name)]
    if missing:
        raise InputError(
            f"a noise scheduler with {', '.join(missing)} is needed (got {type(scheduler).__name__}); "
            "give one of diffusers, such as DDPMScheduler, and of a pipeline the one that it was trained with"
        )
    kind = getattr(getattr(scheduler, "config", None), "prediction_type", "epsilon")
    if training and kind != "epsilon":
        raise InputError(f"the scheduler must predict the noise, prediction_type 'epsilon' (got {kind!r})")


def guided(model: nn.Module, x: Tensor, t: Tensor, c: Tensor, guidance: float) -> Tensor:
    """Predict the noise with classifier-free guidance: eps(null) + g (eps(c) - eps(null)).

    The model runs on its own device; what it says comes back to that of the images.
    """
    home, device = x.device, next((p.device for p in model.parameters()), x.device)
    x, c, steps = x.to(device), c.to(device), t.expand(len(x)).to(device)
    if guidance == 1.0:
        out: Tensor = model(x, steps, c)
        return out.to(home)
    both = model(torch.cat([x, x]), torch.cat([steps, steps]), torch.cat([c, torch.full_like(c, NULL)]))
    own, empty = both.chunk(2)
    return (empty + guidance * (own - empty)).to(home)  # type: ignore[no-any-return]


@dataclass
class Denoising:
    """Images on their way from noise to picture; a copy goes on by itself.

    Args:
        scheduler: its own copy, set to the steps.
        x: [B, ...] the images as they are.
        rng: of the scheduler's noise.
        done: steps behind us.
    """

    scheduler: Any
    x: Tensor
    rng: torch.Generator
    done: int = 0

    @property
    def left(self) -> int:
        """Steps ahead."""
        return len(self.scheduler.timesteps) - self.done

    def fork(self) -> Denoising:
        """A copy that draws the same noise from here on."""
        rng = torch.Generator().manual_seed(0)
        rng.set_state(self.rng.get_state())
        return Denoising(copy.deepcopy(self.scheduler), self.x, rng, self.done)

    def run(self, model: nn.Module, c: Tensor, guidance: float, steps: int) -> Iterator[Tensor]:
        """Go on for some steps, yielding the images before each of them."""
        takes = inspect.signature(self.scheduler.step).parameters
        extra = {"generator": self.rng} if "generator" in takes else {}
        for t in self.scheduler.timesteps[self.done : self.done + steps]:
            yield self.x
            scale = getattr(self.scheduler, "scale_model_input", None)
            x = self.x if scale is None else scale(self.x, t)
            with evaluating(model), torch.no_grad():
                noise = guided(model, x, torch.as_tensor(t), c, guidance)
                self.x = self.scheduler.step(noise, t, self.x, **extra).prev_sample
            self.done += 1


def begin(scheduler: Any, shape: tuple[int, ...], steps: int | None, seed: int) -> Denoising:
    """Draw the noise that a run starts from.

    Args:
        scheduler: left untouched.
        shape: [B, ...] of the images.
        steps: of inference; None for as many as the scheduler was trained with.
        seed: of the first noise and of the scheduler's.
    """
    check_scheduler(scheduler)
    own = copy.deepcopy(scheduler)
    own.set_timesteps(steps or int(own.config.num_train_timesteps))
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=rng) * float(getattr(own, "init_noise_sigma", 1.0))
    return Denoising(own, x, rng)


def sample(
    model: nn.Module,
    scheduler: Any,
    concepts: Tensor,
    shape: tuple[int, ...],
    *,
    guidance: float = 2.0,
    steps: int | None = None,
    seed: int = 0,
) -> Tensor:
    """Draw images of concepts from a model.

    Args:
        model: predicts noise as ``model(x_t, t, c)``.
        scheduler: of diffusers, or any of its interface; left untouched.
        concepts: [B] labels, -1 for none.
        shape: (channels, height, width).
        guidance: g of classifier-free guidance; 1 for none.
        steps: of inference; None for as many as the scheduler was trained with.
        seed: of all noise.

    Returns:
        [B, C, H, W] images, or latents.
    """
    run = begin(scheduler, (len(concepts), *shape), steps, seed)
    for _ in run.run(model, concepts, guidance, run.left):
        pass
    return run.x


def handover(steps: int, psi: float) -> int:
    """floor(T psi): how many of T steps the original makes before the unlearned model takes over.

    Raises:
        InputError: psi outside [0, 1].

    Example:
        >>> handover(100, 0.001), handover(100, 0.29), handover(100, 1)
        (0, 29, 100)
    """
    if not 0 <= psi <= 1:
        raise InputError(f"psi, the original's share of the steps, must lie in [0, 1] (got {psi})")
    return math.floor(round(steps * psi, 9))
