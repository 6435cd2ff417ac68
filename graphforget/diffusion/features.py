"""The network behind CRS and CCS: it tells the original's images from the unlearned model's.

The notebook of arXiv:2409.05668 trains a ResNet-18 from ImageNet weights by a triplet loss (margin 1, the hardest of
three negatives) on its last features, plus cross-entropy, on 80 % of the two image sets; its features are phi, its
softmax p. Ours is the same loss on three convolutions without foreign weights, Adam for SGD (our default: nothing is
pre-trained), and the other 20 % are kept to calibrate the scale.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.task import evaluating
from graphforget.train import descend, seeded

NEGATIVES = 3


class Teller(nn.Module):
    """Three convolutions to 64 features, and two outputs: 0 the unlearned model's image, 1 the original's.

    Args:
        channels: of the images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers = [
            nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, 64),
        ]  # fmt: skip
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 2]."""
        out: Tensor = self.head(F.relu(self.features(x)))
        return out


class Told(NamedTuple):
    """A trained teller and the images it did not see.

    Args:
        model: the network.
        unlearned: [n, C, H, W] held-out images of the unlearned model.
        original: [n, C, H, W] held-out images of the original.
    """

    model: nn.Module
    unlearned: Tensor
    original: Tensor

    def features(self, x: Tensor) -> Tensor:
        """phi: [..., C, H, W] -> [..., 64]."""
        with evaluating(self.model), torch.no_grad():
            out: Tensor = self.model.features(x.flatten(0, -4))  # type: ignore[operator]
        return out.view(*x.shape[:-3], -1)

    def probability(self, x: Tensor) -> Tensor:
        """p(original): [..., C, H, W] -> [...]."""
        with evaluating(self.model), torch.no_grad():
            out: Tensor = self.model(x.flatten(0, -4)).softmax(1)[:, 1]
        return out.view(x.shape[:-3])


def teller(unlearned: Tensor, original: Tensor, *, epochs: int = 10, lr: float = 1e-3, seed: int = 0) -> Told:
    """Train the network that tells two sets of images apart, on 80 % of each.

    Args:
        unlearned: [U, C, H, W] images of the unlearned model.
        original: [O, C, H, W] images of the original.
        epochs: passes (10 in the notebook).
        lr: Adam's learning rate (our default).
        seed: of split, initialisation and batches.

    Raises:
        InputError: fewer than ten images in a set.
    """
    if min(len(unlearned), len(original)) < 10:
        raise InputError(f"at least ten images of each model are needed (got {len(unlearned)} and {len(original)})")
    with seeded(seed) as rng:
        parts = []
        for images in (unlearned, original):
            order = torch.randperm(len(images), generator=rng)
            parts.append(images[order].split([len(images) - len(images) // 5, len(images) // 5]))
        x = torch.cat([own for own, _ in parts])
        y = torch.cat([torch.full((len(own),), label) for label, (own, _) in enumerate(parts)])
        model = Teller(x.shape[1])

        def steps(epoch: int) -> Iterator[Tensor]:
            for rows in torch.randperm(len(x), generator=rng).split(32):
                h, label = model.features(x[rows]), y[rows]
                yield F.cross_entropy(model.head(F.relu(h)), label) + triplet(h, label, rng)

        descend(model, steps, epochs=epochs, lr=lr, title="teller")
    return Told(copy.deepcopy(model).eval(), parts[0][1], parts[1][1])


def triplet(h: Tensor, label: Tensor, rng: torch.Generator, margin: float = 1.0) -> Tensor:
    """Triplet loss with a random positive and the nearest of three random negatives; 0 of a batch without them.

    Args:
        h: [B, D] features.
        label: [B] 0 or 1.
        rng: of the draws.
        margin: by which a negative must be farther.
    """
    same = label[:, None] == label[None]
    positive, negative = same & ~torch.eye(len(h), dtype=torch.bool), ~same
    able = positive.any(1) & negative.any(1)
    if not bool(able.any()):
        return h.sum() * 0
    apart = torch.cdist(h[able], h)
    near = torch.multinomial(positive[able].float(), 1, generator=rng)
    far = torch.multinomial(negative[able].float(), NEGATIVES, replacement=True, generator=rng)
    return F.relu(apart.gather(1, near).squeeze(1) - apart.gather(1, far).amin(1) + margin).mean()
