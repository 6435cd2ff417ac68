"""Unlearned or merely concealed? The partial diffusion attack (Sen Sharma et al.; arXiv:2409.05668).

The original denoises the first k steps of a sample, the unlearned model the rest: does the concept come back?

::

    k = floor(T psi);    steps 0 .. k-1 by theta, steps k .. T-1 by theta*;    the same concept and noise throughout

==========  ====================================
paper       here
==========  ====================================
theta       ``original``
theta*      ``unlearned``
psi         ``psi``, the partial diffusion ratio
==========  ====================================

From about psi = .45 a model that never saw the concept recovers it as well: that much is a property of the attack. Read
every curve beside gold's. The authors' notebook seeds the noise anew at the hand-over; here one generator runs through
both halves.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from graphforget.diffusion.sampling import begin, handover
from graphforget.errors import InputError

log = logging.getLogger(__name__)

PSIS = (0.001, 0.01, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55)  # the paper's grid


def partial_diffusion(
    original: nn.Module,
    unlearned: nn.Module,
    scheduler: Any,
    concepts: Tensor,
    shape: tuple[int, ...],
    *,
    psi: float,
    guidance: float = 2.0,
    steps: int | None = None,
    seed: int = 0,
) -> Tensor:
    """Let the original begin each image and the unlearned model finish it.

    Args:
        original: knows the concept; predicts noise as ``model(x_t, t, c)``.
        unlearned: is asked whether it does.
        scheduler: of diffusers, or any of its interface; left untouched.
        concepts: [B] labels, an image each.
        shape: (channels, height, width).
        psi: the original's share of the steps, in [0, 1].
        guidance: g of classifier-free guidance, in both halves.
        steps: of inference; None for as many as the scheduler was trained with.
        seed: of all noise.

    Returns:
        [B, C, H, W] images, or latents.

    Raises:
        InputError: psi outside [0, 1], or no scheduler.
    """
    found = recovery(
        original, unlearned, scheduler, concepts, shape, psis=[psi], guidance=guidance, steps=steps, seed=seed
    )
    return found[psi]


def recovery(
    original: nn.Module,
    unlearned: nn.Module,
    scheduler: Any,
    concepts: Tensor,
    shape: tuple[int, ...],
    *,
    psis: Sequence[float] = PSIS,
    guidance: float = 2.0,
    steps: int | None = None,
    seed: int = 0,
) -> dict[float, Tensor]:
    """Run :func:`partial_diffusion` for several psi; what the original does is done once.

    Args:
        original: as there; so are the others.
        unlearned: is asked.
        scheduler: left untouched.
        concepts: [B] labels.
        shape: (channels, height, width).
        psis: the original's shares, in [0, 1].
        guidance: g.
        steps: of inference.
        seed: of all noise, the same for every psi.

    Returns:
        psi -> [B, C, H, W].

    Raises:
        InputError: a psi outside [0, 1], none at all, or no scheduler.
    """
    if not psis:
        raise InputError("at least one psi is needed (got none)")
    if concepts.dim() != 1 or concepts.is_floating_point():
        raise InputError(f"concepts must be labels [B] (got {concepts.dtype} {list(concepts.shape)})")
    first = begin(scheduler, (len(concepts), *shape), steps, seed)
    total = first.left
    wanted = {psi: handover(total, psi) for psi in psis}
    finished: dict[int, Tensor] = {}
    for k in sorted(set(wanted.values())):
        for _ in first.run(original, concepts, guidance, k - first.done):
            pass
        second = first.fork()
        for _ in second.run(unlearned, concepts, guidance, second.left):
            pass
        log.debug("%d of %d steps by the original, %d by the unlearned model", k, total, total - k)
        finished[k] = second.x
    return {psi: finished[k] for psi, k in wanted.items()}
