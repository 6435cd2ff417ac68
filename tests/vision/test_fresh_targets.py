"""Of images calibration aims at what a model says that never saw them: no wrong label, no absent class is believed."""

from __future__ import annotations

import pytest
import torch

from graphforget.calibrate import calibrate
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.vision.data import load_splits
from tests.vision.small import TASK, world


@pytest.fixture(scope="module")
def noisy():
    model, _, split = world("label_noise")
    return model, split, calibrate(TASK, model, split, torch.Generator().manual_seed(1))


def test_wrong_labels_are_not_believed_and_the_true_ones_are(noisy):
    model, split, found = noisy
    told = found.target.argmax(1)
    true = load_splits("digits_images", seed=1).train.y[found.batch.index]
    wrong = found.batch.label
    assert float((told == wrong).double().mean()) < 0.1
    assert float((told == true).double().mean()) > 0.8
    scores = TASK.scores(TASK.teacher(model, split.retain)(found.batch), found.batch)
    torch.testing.assert_close(found.delta, scores - TASK.scores(found.target, found.batch))


def test_a_class_that_went_is_believed_of_no_image():
    model, _, split = world("class")
    found = calibrate(TASK, model, split, torch.Generator().manual_seed(1))
    assert not bool((found.target.argmax(1) == found.batch.label).any())


def test_the_fresh_models_see_the_retained_only(noisy):
    model, split, _ = noisy
    asked = []

    class Watching(type(TASK)):
        def loss(self, model, context, batch):
            asked.append(batch.index)
            return super().loss(model, context, batch)

    found = calibrate(Watching(recipe=TASK.recipe), model, split, torch.Generator().manual_seed(1))
    assert asked
    assert not bool(torch.isin(torch.cat(asked), found.batch.index).any())
    assert found.target.equal(noisy[2].target)  # the seed alone decides


def test_ours_unlearns_a_class_and_keeps_the_rest():
    model, _, split = world("class")
    result = CalibratedD2DGN(refresh=0, epochs=5, lr=2e-3, forget_weight=5.0).unlearn(model, TASK, split)
    asked = TASK.elements(split.retain, split.forget)
    assert float((TASK.teacher(result.model, split.retain)(asked).argmax(1) == asked.label).double().mean()) < 0.05
    before, after = (TASK.evaluate(each, split.retain, split.held_out)["accuracy"] for each in (model, result.model))
    assert after >= before - 0.01
