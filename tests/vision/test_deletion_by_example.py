"""DEL: scores and masks as in plain numpy, and what the mask leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import InputError, UnknownName
from graphforget.unlearner import Job
from graphforget.vision.deletion_by_example import DEL, by_channel
from graphforget.vision.saliency import gradients, keeper, largest
from tests import naive_vision as naive
from tests.vision.small import TASK, accuracy, arrays, rows, tiny, world

QUICK = DEL(epochs=3, batch_size=5)


def test_the_scores_are_the_formula():
    model, _, split = tiny()
    job = Job(model, model, TASK, split, {}, torch.Generator(), 0)
    expected = naive.criticality(arrays(model), *rows(split.forget), 5)
    found = QUICK._scores(job)
    for name, value in expected.items():
        assert np.allclose(found[name].numpy() * 2, value, rtol=1e-10, atol=0)  # a mean over two batches, not a sum
    plain = replace(QUICK, criterion="grad")._scores(job)
    assert np.allclose(plain["0.weight"] * model[0].weight.detach().abs(), found["0.weight"])
    assert torch.equal(replace(QUICK, criterion="weight")._scores(job)["2.bias"], model[2].bias.detach().abs())


@pytest.mark.parametrize("h", [0.0, 0.1, 0.5, 1.0])
def test_a_channel_has_one_score(h):
    scores = torch.rand(6, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert np.allclose(by_channel(scores, h), naive.channel(scores.numpy(), h))
    kernel = scores.view(6, 1, 3, 3)
    assert torch.equal(by_channel(kernel, h), by_channel(scores, h).view(6, 1, 3, 3))
    assert torch.equal(by_channel(scores[0], h), scores[0])


@pytest.mark.parametrize("budget", [0.05, 0.3, 0.777, 1.0])
def test_the_mask_holds_the_largest_of_all_tensors(budget):
    rng = torch.Generator().manual_seed(0)
    scores = {"a": torch.rand(7, 3, generator=rng), "b": torch.rand(11, generator=rng)}
    masks = largest(scores, budget)
    chosen = torch.cat([scores[name][masks[name]] for name in scores])
    rest = torch.cat([scores[name][~masks[name]] for name in scores])
    assert len(chosen) == int(budget * 32)
    assert not len(rest) or chosen.min() > rest.max()


@pytest.mark.parametrize("granularity", ["param", "channel"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_weights_outside_the_mask_stay_to_the_last_bit(granularity, weight_decay):
    model, _, split = world("class")
    method = DEL(epochs=2, lr=0.05, granularity=granularity, weight_decay=weight_decay)
    found = method.unlearn(model, TASK, split)
    job = Job(model, model, TASK, split, {}, torch.Generator(), 0)
    scores = method._scores(job)
    masks = largest({k: by_channel(v, 0.1) if granularity == "channel" else v for k, v in scores.items()}, 0.3)
    for (name, old), new in zip(model.named_parameters(), found.model.parameters(), strict=True):
        if name.startswith("5."):  # the head is free
            assert not torch.equal(old, new)
        else:
            assert torch.equal(old[~masks[name]], new[~masks[name]])
            assert not masks[name].any() or not torch.equal(old[masks[name]], new[masks[name]])


def test_putting_back_is_masking_under_adam_too():
    model = nn.Linear(3, 2)
    before = model.weight.detach().clone()
    mask = {"weight": torch.tensor([[True, False, True], [False, False, True]])}
    restore = keeper(model, mask)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.5)
    for _ in range(3):
        optimiser.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        optimiser.step()
        restore()
    assert torch.equal(model.weight[~mask["weight"]], before[~mask["weight"]])
    assert (model.weight[mask["weight"]] != before[mask["weight"]]).all()


def test_the_class_goes_and_the_rest_stays():
    model, _, split = world("class")
    found = DEL(epochs=10, lr=0.05).unlearn(model, TASK, split)
    assert accuracy(found.model, split.forget) == 0
    assert accuracy(found.model, split.retain) > 0.95


def test_a_random_channel_mask_covers_whole_channels():
    model, _, split = world("class")
    job = Job(model, model, TASK, split, {}, torch.Generator().manual_seed(0), 0)
    scores = DEL(criterion="random")._scores(job)
    assert (scores["1.weight"] == scores["1.weight"][:, :1]).all()
    each = DEL(criterion="random", granularity="param")._scores(job)
    assert not (each["1.weight"] == each["1.weight"][:, :1]).all()


def test_gradients_need_something_to_differentiate():
    _, _, split = tiny()
    frozen = nn.Sequential(nn.Linear(5, 3)).double().requires_grad_(False)
    with pytest.raises(InputError, match="no trainable parameter"):
        gradients(TASK, frozen, split.retain, split.forget, 4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"budget": 0}, r"budget must lie in \(0, 1\]"),
        ({"h": 2}, r"h must lie in \[0, 1\]"),
        ({"criterion": "gradd"}, "did you mean 'grad'"),
        ({"granularity": "layer"}, "channel, param"),
    ],
)
def test_settings_that_do_not_fit_are_refused(fields, message):
    with pytest.raises((InputError, UnknownName), match=message):
        DEL(**fields)


def test_a_model_without_a_head_is_named():
    _, _, split = world("class")
    model = nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())
    with pytest.raises(InputError, match=r"DEL needs a model with a linear layer at its end \(got \['0: Conv2d'"):
        DEL().unlearn(model, TASK, split)
