"""What the erasure methods share: which concept, which parameters, and noised images to train on.

Images to train on are the data's own, noised (``source="data"``), or drawn from a model by guided sampling and caught
on their way (``source="sampled"``, as the papers do; no data are read). Drawing costs a whole run of the sampler, so a
pool of runs is drawn at once and used for many steps: our default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.diffusion.models import NULL
from graphforget.diffusion.sampling import begin
from graphforget.diffusion.task import NoisePrediction
from graphforget.errors import InputError, NotApplicable, unknown
from graphforget.train import draw_seed
from graphforget.unlearner import Job

Noised = tuple[Tensor, Tensor, Tensor]  # x_t [B, C, H, W], t [B], c [B]

SOURCES = ("data", "sampled")
GROUPS: Mapping[str, Callable[[str], bool]] = {
    "esd-x": lambda name: "attn2" in name,
    "esd-u": lambda name: "attn2" not in name,
    "esd-all": lambda name: True,
    "esd-x-strict": lambda name: "attn2.to_k" in name or "attn2.to_v" in name,
    "selfattn": lambda name: "attn1" in name,
}
ALIASES = {"xattn": "esd-x", "noxattn": "esd-u", "full": "esd-all"}


def check(method: Any) -> None:
    """Refuse settings of an erasure that no run could use; those that a method does not have are passed over.

    Raises:
        InputError: naming the field and its value.
        UnknownName: an unknown group of parameters or source of images, with the known ones.
    """
    if ALIASES.get(method.group, method.group) not in GROUPS:
        raise unknown("parameter group", method.group, (*GROUPS, *ALIASES))
    if getattr(method, "source", "data") not in SOURCES:
        raise unknown("source", method.source, SOURCES)
    for name in ("batch_size", "pool"):
        if getattr(method, name, 1) < 1:
            raise InputError(f"{name} must be at least 1 (got {getattr(method, name)})")
    for name in ("keep", "eta"):
        if getattr(method, name, 0) < 0:
            raise InputError(f"{name} must not be negative (got {getattr(method, name)})")


def train_only(model: nn.Module, group: str) -> list[nn.Parameter]:
    """Freeze all of a model but one group of its UNet's parameters, and return those.

    Args:
        model: a UNet, or one that holds it as ``unet``; its tables of words are never trained.
        group: ``esd-x`` cross-attention, ``esd-u`` all else, ``esd-all``, ``esd-x-strict`` keys and values of the
            cross-attention, ``selfattn``.

    Raises:
        NotApplicable: the model has no such parameter.
    """
    inner = getattr(model, "unet", model)
    model.requires_grad_(False)
    chosen = [p for name, p in inner.named_parameters() if GROUPS[ALIASES.get(group, group)](name)]
    if not chosen:
        raise NotApplicable(f"the model has no parameter of the group {group!r}; use esd-all")
    for parameter in chosen:
        parameter.requires_grad_(True)
    return chosen


def concepts_of(job: Job) -> Tensor:
    """[k] the labels that the request names.

    Raises:
        NotApplicable: the request names no class: rows are no concept.
    """
    parts = job.split.request.parts if job.split.request is not None else {}
    if set(parts) != {"class"}:
        raise NotApplicable(f"erasure forgets concepts, requests of kind 'class' (got {sorted(parts) or 'none'})")
    return parts["class"]


def anchor_of(concepts: Tensor, anchor: int) -> Tensor:
    """[1] an anchor concept, after a check that it is none of those that go.

    Raises:
        InputError: it is one of them.
    """
    if anchor in concepts.tolist():
        raise InputError(f"the anchor must not be a forgotten concept (got {anchor}); -1 is the empty condition")
    return torch.tensor([anchor])


def of_data(task: NoisePrediction, view: Any, batch_size: int, rng: torch.Generator) -> Iterator[Noised]:
    """Noised rows of a view for ever, ``batch_size`` at a time, with their own labels."""
    while True:
        for batch in task.batches(view, view, rng):
            for rows in torch.arange(batch.size).split(batch_size):
                x, t, _ = task.noised(view, batch.take(rows.to(batch.index.device)))
                yield x, t, view.y[batch.index[0, rows.to(batch.index.device)]].cpu()


def of_model(
    model: nn.Module, task: NoisePrediction, concepts: Tensor, shape: tuple[int, ...], size: tuple[int, int],
    rng: torch.Generator,
) -> Iterator[Noised]:  # fmt: skip
    """Images that a model draws of concepts, caught at random steps, for ever.

    Args:
        model: draws; as it stands when a pool is drawn.
        task: guidance, scheduler and number of steps.
        concepts: [k] labels, each as often.
        shape: (channels, height, width).
        size: images a pool, images a batch; a pool serves as many batches as it has images.
        rng: of everything.
    """
    pool, batch_size = size
    c = concepts.repeat(pool)[:pool]
    while True:
        run = begin(task.noise, (pool, *shape), task.sampling_steps, draw_seed(rng))
        times = torch.as_tensor(run.scheduler.timesteps).long()
        caught = torch.stack(list(run.run(model, c, task.guidance, run.left)))
        for _ in range(pool):
            step = torch.randint(len(times), (batch_size,), generator=rng)
            image = torch.randint(pool, (batch_size,), generator=rng)
            yield caught[step, image], times[step], c[image]


def predictions(model: nn.Module, x: Tensor, t: Tensor, c: int | Tensor) -> Tensor:
    """The noise that a model predicts, on its own device, where the concept is ``c``, one for all or one each."""
    label = c if isinstance(c, Tensor) else torch.full((len(x),), c)
    device = next((p.device for p in model.parameters()), x.device)
    out: Tensor = model(x.to(device), t.to(device), label.to(device))
    return out


def keeping(job: Job, batches: Iterator[Noised], concepts: Tensor) -> Tensor:
    """The distance to the original on a batch's own concepts; a forgotten one stands for the empty condition."""
    x, t, c = next(batches)
    c = torch.where(torch.isin(c, concepts), NULL, c)
    with torch.no_grad():
        before = predictions(job.original, x, t, c)
    return F.mse_loss(predictions(job.model, x, t, c), before)
