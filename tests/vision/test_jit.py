"""JiT: the loss, the search for its step, and that no retained image is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import InputError, NotApplicable
from graphforget.vision.jit import JiT, roughness
from tests.small import equal_states, state
from tests.vision.small import TASK, accuracy, world


def test_the_loss_is_the_equation():
    rng, model = np.random.default_rng(0), nn.Linear(5, 3).double()
    x = rng.random((4, 5))
    drawn = torch.Generator().manual_seed(7)
    noise = [torch.randn(4, 5, generator=drawn).double().numpy() for _ in range(3)]
    w, b = model.weight.detach().numpy(), model.bias.detach().numpy()
    total = 0.0
    for each in noise:
        moved = np.clip(x + 0.3 * each, x.min(), x.max())
        for row, other in zip(x, moved, strict=True):
            total += np.linalg.norm((row @ w.T + b) - (other @ w.T + b)) / np.linalg.norm(row - other)
    found = roughness(model, torch.from_numpy(x), 0.3, 3, torch.Generator().manual_seed(7))
    assert float(found.detach()) == pytest.approx(total / 3, rel=1e-6)


def test_the_perturbed_side_has_no_gradient_and_a_constant_network_no_loss():
    model = nn.Linear(5, 3)
    nn.init.zeros_(model.weight)
    loss = roughness(model, torch.rand(4, 5), 0.5, 2, torch.Generator())
    assert float(loss) == 0
    outputs, x = nn.Linear(1, 1, bias=False), torch.tensor([[1.0], [2.0]])
    nn.init.ones_(outputs.weight)
    value = roughness(outputs, x, 1.0, 1, torch.Generator().manual_seed(0))
    moved = (x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0))).clamp(1, 2)
    (grad,) = torch.autograd.grad(value, [outputs.weight])
    assert float(grad) == pytest.approx(float((x * (x - moved).sign() / (x - moved).abs()).sum()))


def test_the_forgotten_fall_with_the_step():
    model, _, split = world("class")
    found = [
        accuracy(JiT(lr=lr, copies=5).unlearn(model, TASK, split).model, split.forget) for lr in (1e-6, 3e-4, 3e-2)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.9 > 0.2 > found[-1]


def test_the_search_reaches_its_goal_with_no_larger_step_than_needed():
    model, _, split = world("class")
    found = JiT(copies=5, goal=0.3).unlearn(model, TASK, split)
    assert accuracy(found.model, split.forget) <= 0.3
    less = JiT(copies=5, lr=found.record["lr"] / 1.5).unlearn(model, TASK, split)
    assert accuracy(less.model, split.forget) > 0.3


def test_the_retained_and_the_held_out_are_never_read_and_the_context_is_handed_on():
    model, _, split = world("class")
    method = JiT(lr=1e-4, copies=2)
    assert method.reads == {"forget"}
    spoilt = split.data.x.clone()
    spoilt[split.retain.rows()] = 7.0
    other = replace(split, forget=replace(split.forget, x=spoilt))
    one, two = (method.unlearn(model, TASK, each) for each in (split, other))
    assert equal_states(state(one.model), state(two.model))
    assert one.context is split.retain


def test_what_cannot_be_reached_is_said():
    model, _, split = world("sample")
    with pytest.raises(NotApplicable, match="no step up to"):
        JiT(copies=1, goal=0.0).unlearn(model, TASK, split)
    with pytest.raises(InputError, match="noise must be positive"):
        JiT(noise=0)
    with pytest.raises(InputError, match="goal must lie in"):
        JiT(goal=1.0)
