"""One call that asks whether a concept is gone or concealed, by every score of this package.

The attack's curve says how often the concept is recognised where the original makes the first psi of the steps; CRS and
CCS say the same by a network that tells the two models' images apart. Ask it of gold as well, and read the difference:
late steps recover the concept in a model that never saw it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphforget.diffusion.concealment import PSIS, recovery
from graphforget.diffusion.features import teller
from graphforget.diffusion.metrics import Calibrated, Estimate, ccs, crs_forget, crs_signed
from graphforget.diffusion.sampling import sample
from graphforget.errors import InputError
from graphforget.samples import Samples

Recognise = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Audit:
    """What was found about one concept.

    Args:
        curve: psi -> mean probability of the concept in the attack's images, with standard error.
        crs: ``crs_forget`` as published; ``crs_retain`` is 1 - its mean.
        signed: ours: positive is nearer to the original's images.
        ccs: as published, beside the two ends of its scale.
    """

    curve: dict[float, Estimate]
    crs: Estimate
    signed: Estimate
    ccs: Calibrated


def audit(
    original: nn.Module,
    unlearned: nn.Module,
    scheduler: Any,
    concept: int,
    shape: tuple[int, ...],
    recognise: Recognise,
    *,
    psis: Sequence[float] = PSIS,
    images: int = 100,
    attacks: int = 32,
    guidance: float = 2.0,
    steps: int | None = None,
    seed: int = 0,
    reference: Tensor | None = None,
) -> Audit:
    """Ask one model about one concept.

    Args:
        original: knows the concept.
        unlearned: is asked; a gold, for the control.
        scheduler: of diffusers, or any of its interface.
        concept: its label.
        shape: (channels, height, width).
        recognise: [B, C, H, W] -> [B, K] probabilities of the concepts; see :func:`recogniser`.
        psis: the original's shares of the steps.
        images: drawn of each of the two models, for CRS and CCS (200 in the paper).
        attacks: images at each psi (1 in the paper).
        guidance: g.
        steps: of inference; None for as many as the scheduler was trained with.
        seed: of everything.
        reference: [O, C, H, W] images of the original, where they are drawn already.

    Raises:
        InputError: a psi outside [0, 1], too few images, an unknown concept or no scheduler.
    """
    if images < 10 or attacks < 1:
        raise InputError(f"images must be at least 10 and attacks at least 1 (got {images} and {attacks})")
    asked = torch.full((images,), concept)
    how: dict[str, Any] = {"guidance": guidance, "steps": steps}
    drawn = sample(unlearned, scheduler, asked, shape, seed=seed + 1, **how)
    if reference is None:
        reference = sample(original, scheduler, asked, shape, seed=seed + 2, **how)
    known = int(recognise(drawn[:1]).shape[1])
    if not 0 <= concept < known:
        raise InputError(f"the concept must lie in [0, {known}), what the recogniser knows (got {concept})")
    found = recovery(original, unlearned, scheduler, asked[:1].expand(attacks), shape, psis=psis, seed=seed, **how)
    attack = torch.stack([found[psi] for psi in psis], dim=1)  # [n, P, C, H, W]
    told = teller(drawn, reference, seed=seed)
    references = told.features(drawn), told.features(reference)
    ends = told.probability(told.unlearned), told.probability(told.original)
    curve = {}
    for psi in psis:
        belief = recognise(found[psi])[:, concept]
        error = float(belief.std()) / attacks**0.5 if attacks > 1 else 0.0
        curve[psi] = Estimate(float(belief.mean()), error)
    seen = told.features(attack)
    return Audit(
        curve, crs_forget(seen, *references), crs_signed(seen, *references), ccs(told.probability(attack), *ends)
    )


def recognised(
    model: nn.Module, scheduler: Any, shape: tuple[int, ...], recognise: Recognise, concepts: Sequence[int],
    *, each: int = 10, guidance: float = 2.0, steps: int | None = None, seed: int = 0,
) -> dict[int, float]:  # fmt: skip
    """Find the share of each concept's samples that are recognised as such.

    Args:
        model: draws.
        scheduler: as in :func:`audit`; so are shape and recogniser.
        shape: (channels, height, width).
        recognise: [B, C, H, W] -> [B, K].
        concepts: labels.
        each: samples a concept.
        guidance: g.
        steps: of inference.
        seed: of the noise.
    """
    label = torch.tensor(list(concepts)).repeat_interleave(each)
    drawn = sample(model, scheduler, label, shape, guidance=guidance, steps=steps, seed=seed)
    right = (recognise(drawn).argmax(1) == label).float().view(-1, each).mean(1)
    return dict(zip(concepts, right.tolist(), strict=True))


def recogniser(data: Samples) -> Recognise:
    """Fit a logistic regression on real images and return it as a function from images to probabilities.

    Args:
        data: images and their labels 0 .. K - 1, scaled as the models' are.

    Raises:
        InputError: labels other than 0 .. K - 1, each present.
    """
    from sklearn.linear_model import LogisticRegression

    rows = data.rows()
    y = data.y[rows].cpu()
    if not y.unique().equal(torch.arange(int(y.max()) + 1)):
        raise InputError(f"labels must be 0 .. K - 1, each present (got {y.unique().tolist()[:20]})")
    model = LogisticRegression(max_iter=2000).fit(data.x[rows].flatten(1).cpu().numpy(), y.numpy())

    def ask(images: Tensor) -> Tensor:
        return torch.from_numpy(model.predict_proba(images.flatten(1).cpu().numpy())).float()

    return ask
