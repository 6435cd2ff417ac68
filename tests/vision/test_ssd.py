"""SSD: importances and damping as in plain numpy, and what cannot happen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphforget.errors import InputError
from graphforget.vision.saliency import gradients, label_free, squared
from graphforget.vision.ssd import SSD
from tests import naive_vision as naive
from tests.small import equal_states, state
from tests.vision.small import TASK, accuracy, arrays, rows, tiny, world


def test_importances_and_damping_are_the_equations():
    model, _, split = tiny()
    w = arrays(model)
    every, gone = (naive.fisher(w, *rows(view), 4) for view in (split.data, split.forget))
    found = gradients(TASK, model, split.data, split.forget, 4, squared)
    assert all(np.allclose(found[name], gone[name], rtol=1e-10, atol=0) for name in w)
    expected = naive.dampen(w, every, gone, 1.2, 0.7)
    unlearned = arrays(SSD(selection=1.2, dampening=0.7, batch_size=4).unlearn(model, TASK, split).model)
    assert any((expected[name] != w[name]).any() for name in w)
    assert all(np.allclose(unlearned[name], expected[name], rtol=1e-9, atol=0) for name in w)


def test_importances_without_labels():
    model, _, split = tiny()
    w, (x, _) = arrays(model), rows(split.forget)
    _, logits = naive.forward(w, x)
    expected = naive.gradient(w, x, np.zeros(len(x), int), 2 * logits / len(x))
    found = gradients(TASK, model, split.data, split.forget, 100, label_free)
    assert all(np.allclose(found[name], np.abs(expected[name])) for name in w)


def test_no_weight_grows_and_the_unselected_stay():
    model, _, split = world("class")
    found = SSD(selection=3).unlearn(model, TASK, split)
    before, after = dict(model.named_parameters()), dict(found.model.named_parameters())
    same = sum(int((before[name] == after[name]).sum()) for name in before)
    assert all((after[name].abs() <= before[name].abs()).all() for name in before)
    every, zero = sum(p.numel() for p in before.values()), sum(int((p == 0).sum()) for p in before.values())
    assert 0 <= same + found.record["dampened"] - every <= zero
    lost = {view: accuracy(model, view) - accuracy(found.model, view) for view in (split.forget, split.retain)}
    assert lost[split.forget] > lost[split.retain] + 0.05


@pytest.mark.parametrize("alpha", [1.0, 10.0])
def test_forgetting_everything_selects_nothing(alpha):
    model, _, split = world("class")
    whole = replace(split, forget=split.data)
    found = SSD(selection=alpha).unlearn(model, TASK, whole)
    assert found.record["dampened"] == 0
    assert equal_states(state(found.model), state(model))


def test_nothing_important_to_the_forgotten_is_left_alone():
    """No 0 / 0: a weight behind a dead unit has no importance anywhere."""
    model, _, split = tiny()
    with torch.no_grad():
        model[0].bias[0] = -1e3
    found = SSD(selection=1.0, batch_size=4).unlearn(model, TASK, split)
    with torch.no_grad():
        model[0].bias[0] = 0.0
    assert all(torch.isfinite(p).all() for p in found.model.parameters())


def test_settings_are_checked():
    with pytest.raises(InputError, match="selection must be positive"):
        SSD(selection=0)
