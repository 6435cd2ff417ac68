"""DUCK: targets as in plain numpy, AUS, and a class that goes in a few passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.metrics import aus
from graphforget.samples import Samples
from graphforget.unlearner import Unlearned
from graphforget.vision.duck import DUCK, targets
from graphforget.vision.layers import embed
from graphforget.vision.metrics import absent, class_figures
from tests import naive_vision as naive
from tests.vision.small import TASK, accuracy, arrays, rows, tiny, world


@pytest.mark.parametrize("kind", ["sample", "class"])
def test_targets_are_the_nearest_centroids_of_other_classes(kind):
    """Also with a class removed from the middle of the range."""
    model, _, split = tiny(kind)
    own, kept = (naive.forward(arrays(model), rows(view)[0])[0] for view in (split.forget, split.retain))
    labels, kept_labels = rows(split.forget)[1], rows(split.retain)[1]
    expected, chosen = naive.centroid_targets(own, labels, kept, kept_labels)
    assert (chosen != labels).all()
    batch = TASK.elements(split.retain, split.forget)
    found = targets(TASK, model, split.retain, batch, torch.Generator().manual_seed(0))
    assert np.allclose(found.numpy(), expected)
    again = targets(TASK, model, split.retain, batch, torch.Generator().manual_seed(9))
    assert torch.allclose(found, again)  # the order of batches does not count
    assert np.allclose(embed(TASK, model, split.retain, batch, "DUCK").numpy(), own)
    order = torch.randperm(batch.size, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(targets(TASK, model, split.retain, batch.take(order), torch.Generator()), found[order])


def test_a_class_goes_within_its_goal():
    model, parts, split = world("class")
    found = DUCK(epochs=10, lr=2e-3, batch_size=32).unlearn(model, TASK, split)
    assert accuracy(found.model, split.forget) < 0.01
    assert found.record["epochs"] <= 10
    figures = class_figures(TASK, split, parts.test, model, found)
    assert figures["all", "aus"] > 0.95


@pytest.mark.parametrize("kind", ["class", "sample"])
def test_the_second_phase_repairs_and_does_not_bring_back(kind):
    model, _, split = world(kind)
    first = DUCK(epochs=3, lr=2e-3, batch_size=32).unlearn(model, TASK, split)
    both = DUCK(epochs=3, lr=2e-3, batch_size=32, repair=2).unlearn(model, TASK, split)
    assert _loss(both.model, split.retain) < _loss(first.model, split.retain)
    if kind == "class":
        assert accuracy(both.model, split.forget) <= accuracy(first.model, split.forget) + 0.01
    with pytest.raises(InputError, match="repair must not be negative"):
        DUCK(repair=-1)


def _loss(model, view):
    batch = TASK.elements(view, view)
    return float(TASK.criterion(TASK.teacher(model, view)(batch), batch).mean())


def test_samples_stop_at_the_held_out_accuracy():
    model, _, split = world("sample")
    found = DUCK(epochs=10, lr=2e-3).unlearn(model, TASK, split)
    assert found.record["goal"] == accuracy(model, split.held_out)
    assert accuracy(found.model, split.forget) < found.record["goal"] or found.record["epochs"] == 10


def test_one_class_alone_has_no_target():
    data = Samples(torch.rand(20, 4), torch.zeros(20, dtype=torch.long))
    split = ForgetSplit.of(data, ForgetRequest.of("sample", [0, 1]), data)
    with pytest.raises(InputError, match="needs a retained class beside"):
        DUCK().unlearn(nn.Sequential(nn.Linear(4, 2)), TASK, split)


BY_HAND = [
    ((0.9, 0.9, 1.0, 0.0), 0.5),
    ((0.9, 0.95, 0.0, 0.0), 1.05),
    ((0.9, 0.8, 0.25, 0.0), 0.72),
    ((0.8, 0.8, 0.7, 0.8), 1 / 1.1),
]


@pytest.mark.parametrize(("given", "expected"), BY_HAND)
def test_aus_by_hand(given, expected):
    assert aus(*given) == pytest.approx(expected)


def test_aus_refuses_per_cents():
    with pytest.raises(InputError, match=r"must lie in \[0, 1\] \(got 95"):
        aus(95.0, 95.0, 0.0, 0.0)


def test_aus_of_doing_nothing_and_of_gold():
    model, parts, split = world("class")
    nothing = class_figures(TASK, split, parts.test, model, Unlearned(model, split.retain, {}))
    gone = absent(split, parts.test)
    ids = parts.test.rows()[gone]
    assert set(parts.test.y[ids].tolist()) == set(split.forget.y[split.forget.rows()].tolist())
    assert nothing["all", "aus"] == pytest.approx(1 / (1 + nothing["test", "accuracy_gone"]))
    gold = class_figures(TASK, split, parts.test, model, Retrain().unlearn(model, TASK, split, seed=4))
    assert gold["all", "aus"] == pytest.approx(1, abs=0.05)
    assert gold["test", "accuracy_gone"] == 0


def test_settings_are_checked():
    with pytest.raises(InputError, match="temperature positive"):
        DUCK(temperature=0)
    with pytest.raises(InputError, match="ratio must be at least 0"):
        DUCK(ratio=-1)
