"""How image classifiers are run, trained and scored: ``model(x) -> [B, C]``, any ``nn.Module``."""

from __future__ import annotations

from dataclasses import dataclass

from graphforget.classes import ClassTask
from graphforget.samples import Samples, SampleTask
from graphforget.train import Recipe

RECIPE = Recipe(epochs=60, patience=10, lr=1e-3, batch_size=128, eval_every=1)  # our default


@dataclass(frozen=True)
class ImageClassification(ClassTask[Samples], SampleTask):
    """Images [N, C, H, W] (or flat [N, F]) with one label each.

    Example:
        >>> import torch
        >>> data = Samples(torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 1, 0]))
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
        >>> sorted(ImageClassification().evaluate(model, data, data))
        ['accuracy', 'belief', 'f1']
    """

    recipe: Recipe = RECIPE
