"""PGU: the loss, the projector and the Gram matrices as in plain numpy; steps that the retained do not feel."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.samples import Samples
from graphforget.vision.layers import inputs, rows_of, weighted
from graphforget.vision.pgu import PGU, departing, grams, projector
from tests import naive_vision as naive
from tests.vision.small import TASK, World, accuracy, arrays, rows, tiny, world


def test_the_loss_is_the_equation():
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(6, 4)) * 3, rng.integers(0, 4, 6)
    method = PGU(away=0.7, flat=0.3, offset=0.1)
    found = departing(torch.from_numpy(logits), torch.from_numpy(y), method)
    assert float(found) == pytest.approx(naive.departing(logits, y, 0.7, 0.3, 0.1))


def test_the_gram_matrices_are_those_of_the_layers_inputs():
    model, _, split = tiny()
    found = grams(TASK, model, split.retain, 7)
    x, _ = rows(split.retain)
    hidden, _ = naive.forward(arrays(model), x)
    assert np.allclose(found["0"], x.T @ x)
    assert np.allclose(found["2"], hidden.T @ hidden)


def test_patches_of_a_convolution_times_its_weight_are_its_output():
    layer = nn.Conv2d(2, 3, 3, stride=2, padding=1).double()
    x = torch.rand(4, 2, 6, 6, dtype=torch.float64)
    product = rows_of(layer, x) @ layer.weight.flatten(1).T + layer.bias
    assert torch.allclose(product.view(4, 9, 3).transpose(1, 2).reshape(4, 3, 3, 3), layer(x))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.9, 1.0])
def test_the_projector_holds_the_leading_directions(gamma):
    z = np.random.default_rng(1).normal(size=(12, 6)) * np.array([9, 5, 3, 1, 0.5, 0.1])
    found = projector(torch.from_numpy(z.T @ z), gamma)
    assert np.allclose(found, naive.projection(z.T @ z, gamma), atol=1e-8)
    assert torch.allclose(found @ found, found)


def exact(now: World) -> tuple[nn.Module, ForgetSplit[Samples]]:
    """The same in float64."""
    x, split = now.split.data.x.double(), now.split
    parts = {name: replace(getattr(split, name), x=x) for name in ("data", "forget", "retain", "held_out")}
    return copy.deepcopy(now.model).double(), replace(split, **parts)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_steps_are_orthogonal_and_what_is_in_the_span_is_answered_as_before(model):
    model, split = exact(world("class", model))
    found = PGU(gamma=0.9, epochs=3, lr=0.5, most_lost=1.0).unlearn(model, TASK, split)
    kept = found.record["grams"]
    before, after = weighted(model, "PGU"), weighted(found.model, "PGU")
    for name, layer in before.items():
        p = projector(kept[name], 0.9)
        moved = (after[name].weight - layer.weight).detach().flatten(1)
        assert float(moved.norm()) > 0
        assert float((moved @ p).norm()) <= 1e-5 * float(moved.norm())
        inside = torch.rand(5, len(p), dtype=p.dtype) @ p
        assert torch.allclose(inside @ after[name].weight.flatten(1).T, inside @ layer.weight.flatten(1).T)
        assert layer.bias is None or torch.equal(layer.bias, after[name].bias)


def test_what_is_forgotten_is_subtracted_and_requests_in_turn_equal_one():
    model, _, split = tiny()
    whole, gone, kept = (grams(TASK, model, view, 9) for view in (split.data, split.forget, split.retain))
    for name in whole:
        assert torch.allclose(whole[name] - gone[name], kept[name], rtol=1e-8)
    first = ForgetSplit.of(split.data, ForgetRequest.of("sample", [0, 1, 2]), split.held_out)
    second = first.then(ForgetRequest.of("sample", [3, 4, 5, 6, 7]))
    step = {name: whole[name] - grams(TASK, model, first.forget, 9)[name] for name in whole}
    both = {name: step[name] - grams(TASK, model, second.forget, 9)[name] for name in whole}
    assert all(torch.allclose(both[name], kept[name], rtol=1e-8) for name in whole)


def test_a_record_stands_in_for_the_data():
    model, _, split = world("sample")
    fresh = PGU(epochs=2).unlearn(model, TASK, split, seed=1)
    stored = {"grams": grams(TASK, model, split.data, 128)}
    again = PGU(epochs=2).unlearn(model, TASK, split, record=stored, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(fresh.model.parameters(), again.model.parameters(), strict=True))


def test_the_projection_is_what_keeps_the_rest():
    model, _, split = world("class")
    free = PGU(gamma=0, epochs=5, most_lost=1.0).unlearn(model, TASK, split)
    held = PGU(gamma=0.9, epochs=5, most_lost=1.0).unlearn(model, TASK, split)
    assert accuracy(free.model, split.retain) < accuracy(held.model, split.retain) - 0.2
    before, after = (TASK.evaluate(each, split.retain, split.forget)["belief"] for each in (model, held.model))
    assert after < before  # by little: the projection leaves few directions (the effect is weak on MNIST as well)


def test_a_collapse_is_not_taken_for_success():
    model, _, split = world("sample")
    found = PGU(gamma=0, lr=5.0, epochs=5).unlearn(model, TASK, split)
    assert accuracy(found.model, split.held_out) >= accuracy(model, split.held_out) - 0.05


def test_hooks_are_gone_afterwards():
    model, _, split = tiny()
    with inputs(dict(weighted(model, "x"))) as found:
        model(split.data.x)
    assert found.keys() == {"0", "2"}
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"gamma": 1.5}, r"gamma must lie in \[0, 1\]"), ({"last_lr": 2.0}, "last_lr"), ({"offset": 1.0}, "offset")],
)
def test_settings_are_checked(fields, message):
    with pytest.raises(InputError, match=message):
        PGU(**fields)


def test_a_model_without_such_layers_is_named():
    with pytest.raises(InputError, match="PGU needs linear or convolutional layers"):
        weighted(nn.Sequential(nn.Flatten()), "PGU")
