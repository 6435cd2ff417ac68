"""Two users and three items with features, and every weight of a model drawn anew."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from graphforget.graph import Graph
from tests import naive_recsys as naive

EDGES = [(0, 0), (0, 1), (1, 1), (1, 2)]
TRIPLES = [(0, 0, 2), (1, 1, 0), (1, 2, 0), (0, 1, 2), (0, 0, 2)]
INDEX = torch.tensor(TRIPLES).T
WIDTHS = {"image": 2, "text": 3}
IMAGE = [[1.0, 0.5], [0.25, 2.0], [1.5, 0.125]]
TEXT = [[1.0, 2.0, 0.5], [-1.0, 0.25, 3.0], [0.75, 1.0, -0.5]]
K = 2  # neighbours an item, itself among them


def tiny(features: tuple[str, ...] = ("image", "text")) -> Graph:
    values = {"image": torch.tensor(IMAGE), "text": torch.tensor(TEXT), "audio": torch.tensor(TEXT)[:, :1] + 2}
    held = {name: values[name] for name in features}
    return Graph(torch.tensor(EDGES).T, (2, 3), bipartite=True, features=held)


def random_graph(users: int = 12, items: int = 15, edges: int = 60, seed: int = 0) -> Graph:
    rng = torch.Generator().manual_seed(seed)
    codes = torch.randperm(users * items, generator=rng)[:edges].sort().values
    features = {name: torch.randn(items, width, generator=rng) for name, width in WIDTHS.items()}
    return Graph(torch.stack([codes // items, codes % items]), (users, items), bipartite=True, features=features)


def randomised(model: nn.Module, seed: int = 1) -> nn.Module:
    """Draw every parameter anew, so that no term of a loss is zero by initialisation."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=rng, dtype=value.dtype) * 0.7)
    return model


def values(model: nn.Module) -> dict[str, naive.Array]:
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def linear(state: dict[str, naive.Array], name: str) -> naive.Linear:
    return state[f"{name}.weight"], state[f"{name}.bias"]


def contents(state: dict[str, naive.Array]) -> list[naive.Array]:
    """W_m X_m with the trained shift of X_m, image first."""
    raw = {"image": np.array(IMAGE), "text": np.array(TEXT)}
    return [
        naive.apply(linear(state, f"modalities.{name}.linear"), raw[name] + state[f"modalities.{name}.shift"])
        for name in WIDTHS
    ]


def assert_agrees(found: tuple[Tensor, ...], expected: tuple[naive.Array | float, ...]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float64
        np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-10, atol=1e-12)
