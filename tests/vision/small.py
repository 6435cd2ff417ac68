"""A small classifier and its request, on scikit-learn's digits or drawn at random in float64."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.samples import Samples
from graphforget.splits import Splits
from graphforget.train import Recipe, seeded
from graphforget.vision import selectors
from graphforget.vision.data import load_splits
from graphforget.vision.models import build
from graphforget.vision.task import ImageClassification
from tests.naive_vision import Weights

TASK = ImageClassification(recipe=Recipe(epochs=30, patience=30, lr=3e-3, batch_size=64, eval_every=5))


class World(NamedTuple):
    """A trained model, its data and a request."""

    model: nn.Module
    parts: Splits[Samples]
    split: ForgetSplit[Samples]


@cache
def world(kind: str = "class", model: str = "mlp") -> World:
    size = {"count": 1} if kind in ("class", "subclass") else {"count": 100}
    parts, request = selectors.draw(load_splits("digits_images", seed=1), kind, seed=1, **size)
    with seeded(0):
        made = build(model, (1, 8, 8), 10)
    trained = TASK.fit(made, parts.train, parts.val, seed=0)
    return World(trained, parts, ForgetSplit.of(parts.train, request, parts.val))


@cache
def tiny(kind: str = "sample") -> World:
    """Forty rows of five numbers with three labels and a network of two layers, in float64."""
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.integers(0, 3, 40))
    x = torch.from_numpy(rng.normal(size=(40, 5))) + torch.nn.functional.one_hot(y, 5)
    data = Samples(x, y)
    train, val = data.view(torch.arange(40) < 30), data.view(torch.arange(40) >= 30)
    request = ForgetRequest.of("sample", list(range(8))) if kind == "sample" else ForgetRequest.of("class", [1])
    with seeded(3):
        model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    return World(model, Splits(train, val, val), ForgetSplit.of(train, request, val))


def arrays(model: nn.Module) -> Weights:
    """The weights as numpy."""
    return {name: p.detach().numpy().copy() for name, p in model.named_parameters()}


def rows(view: Samples) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of the rows a view speaks for."""
    ids = view.rows()
    return view.x[ids].numpy(), view.y[ids].numpy()


def accuracy(model: nn.Module, view: Samples) -> float:
    return TASK.evaluate(model, view, view)["accuracy"]
