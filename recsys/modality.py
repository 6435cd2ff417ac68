"""What a withdrawn modality still does: noise in the place of the withdrawn features must not move any score."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.task import evaluating
from graphforget.unlearner import Unlearned
from recsys.metrics import BLOCK
from recsys.task import embed

PREFIX = "modality:"


def with_noise(data: Graph, request: ForgetRequest, seed: int = 0) -> Graph:
    """Return data with noise in the feature rows that a request withdraws, as large as the other rows.

    Args:
        data: with the features.
        request: of the kinds ``modality:NAME``; others are not looked at.
        seed: of the noise.

    Example:
        >>> data = Graph(torch.tensor([[0], [1]]), (1, 2), bipartite=True, features={"image": torch.ones(2, 3)})
        >>> request = ForgetRequest.of("modality:image", [1])
        >>> (with_noise(data, request).features["image"] == 1).tolist()
        [[True, True, True], [False, False, False]]
    """
    rng = torch.Generator().manual_seed(seed)
    features = dict(data.features)
    for kind, rows in request.parts.items():
        if kind.startswith(PREFIX):
            name = kind.removeprefix(PREFIX)
            value = features[name].clone()
            scale = float(value.square().mean().sqrt())
            value[rows] = (scale * torch.randn(len(rows), value.shape[1], generator=rng)).to(value)
            features[name] = value
    return replace(data, features=features)


def noise_shift(result: Unlearned, split: ForgetSplit[Graph], request: ForgetRequest, seed: int = 0) -> float:
    """Return the largest change of any score when the withdrawn features are noise: 0 where they have no influence.

    The data with noise goes through the same request; what the model may see afterwards must be the same. A model whose
    context is the whole data (the original) sees the noise.

    Args:
        result: a model and what it may see.
        split: the request, resolved.
        request: the same, as it was asked.
        seed: of the noise.
    """
    noisy = with_noise(split.data, request, seed)
    if result.context is not split.data:
        noisy = ForgetSplit.of(noisy, request, split.held_out).retain
    return largest_change(result.model, result.context, noisy)


def largest_change(model: nn.Module, context: Graph, other: Graph) -> float:
    """Return the largest difference of a model's scores of all users and items under two contexts."""
    with evaluating(model), torch.no_grad():
        (users, items), (more_users, more_items) = embed(model, context), embed(model, other)
        blocks = zip(users.split(BLOCK), more_users.split(BLOCK), strict=True)
        return max(float((one @ items.T - two @ more_items.T).abs().max()) for one, two in blocks)
