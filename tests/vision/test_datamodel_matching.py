"""DMM: leaving out of a ridge regression, matching, and KLoM."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.errors import InputError, UnknownName
from graphforget.methods.retrain import Retrain
from graphforget.metrics import klom
from graphforget.train import Recipe
from graphforget.vision.attribution import Sketch, effect
from graphforget.vision.datamodel_matching import DMM, left_out
from graphforget.vision.task import ImageClassification
from tests import naive_vision as naive
from tests.vision.small import TASK, arrays, rows, tiny, world


def ridge(x: np.ndarray, y: np.ndarray, at: np.ndarray, strength: float) -> np.ndarray:
    x, at = (np.hstack([each, np.ones((len(each), 1))]) for each in (x, at))
    return at @ np.linalg.solve(x.T @ x + strength * np.eye(x.shape[1]), x.T @ y)


@pytest.mark.parametrize("gone", [1, 7])
def test_on_ridge_regression_the_prediction_is_that_of_retraining(gone):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 4)), rng.normal(size=(40, 3))
    strength = 0.5 * (np.hstack([x, np.ones((40, 1))]) ** 2).sum(1).mean()
    full = ridge(x, y, x, strength)
    expected = ridge(x[gone:], y[gone:], x, strength)
    parts = [torch.from_numpy(each) for each in (x[gone:], x[:gone], x, y[:gone] - full[:gone])]
    assert np.allclose(full - left_out(*parts, 0.5).numpy(), expected, rtol=0, atol=1e-8)


def test_oracle_matching_comes_nearer_to_gold_than_the_original_and_than_attribution():
    model, _, split = world("class")
    gold = Retrain().unlearn(model, TASK, split, seed=77)
    truth = TASK.teacher(gold.model, split.retain)(TASK.elements(split.retain, split.forget))

    def far(one) -> float:
        return TASK.evaluate(one, split.retain, split.forget, truth)["js_to_gold"]

    oracle, head = (
        DMM(attribution=name, oracles=2, epochs=10, lr=1e-3).unlearn(model, TASK, split).model
        for name in ("oracle", "head")
    )
    assert far(oracle) < far(head) < far(model)


def test_trak_is_the_equation():
    """Per logit, over all weights, the two means over models taken apart; from plain numpy gradients."""
    model, _, split = tiny()
    other = TASK.fresh(model, 8).double()
    kept, gone = TASK.elements(split.retain, split.retain), TASK.elements(split.retain, split.forget)
    ask = {"damping": 0.3, "dims": 0, "rng": torch.Generator()}
    found = effect(TASK, [model, other], split.retain, gone, gone, **ask)
    (xk, _), (xg, yg) = rows(split.retain), rows(split.forget)
    expected = naive.trak([arrays(model), arrays(other)], xk, xg, yg, 0.3)
    assert kept.size == len(xk)
    assert np.allclose(found.numpy(), expected, rtol=0, atol=1e-10)


def test_a_sketch_keeps_inner_products_on_the_average():
    rng = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 1, 400, generator=rng, dtype=torch.float64)
    products = torch.stack([(s(a) * s(b)).sum() for s in (Sketch(400, 50, rng) for _ in range(400))])
    assert float(products.mean()) == pytest.approx(float((a * b).sum()), abs=4 * float(products.std()) / 20)
    assert Sketch(400, 50, rng)(a).shape == (1, 50)


def test_matching_by_trak_moves_towards_gold_where_the_model_has_residuals():
    """A model that was trained for one epoch: its answers still depend on what it saw, and TRAK tells how."""
    _, parts, split = world("class")
    task = ImageClassification(recipe=Recipe(epochs=2, patience=2, lr=3e-3, batch_size=64, eval_every=1))
    model = task.fit(TASK.fresh(world("class").model, 3), parts.train, parts.val, seed=0)
    gold = Retrain().unlearn(model, task, split, seed=77)
    truth = task.teacher(gold.model, split.retain)(task.elements(split.retain, split.forget))
    found = DMM(attribution="trak", dims=256, models=2, epochs=10, lr=1e-3).unlearn(model, task, split)
    before, after = (
        task.evaluate(each, split.retain, split.forget, truth)["js_to_gold"] for each in (model, found.model)
    )
    assert after < before


@pytest.mark.parametrize("shift", [0.0, 1.0, 4.0])
def test_klom_is_the_definition(shift):
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(60, 4)) * 30 + shift, rng.normal(size=(50, 4)) * 30
    expected = [naive.klom(a[:, k], b[:, k]) for k in range(4)]
    assert np.allclose(klom(torch.from_numpy(a), torch.from_numpy(b)).numpy(), expected)


def test_klom_has_a_floor_and_rises_with_the_shift():
    """100 models a side: .36 for one distribution."""
    rng = torch.Generator().manual_seed(0)
    oracle = torch.randn(100, 1500, generator=rng, dtype=torch.float64)
    other = torch.randn(100, 1500, generator=rng, dtype=torch.float64)
    found = [float(klom(other + shift, oracle).mean()) for shift in (0.0, 0.5, 1.0, 2.0, 4.0)]
    assert found[0] == pytest.approx(0.36, abs=0.1)
    assert found == sorted(found)
    assert found[-1] < np.log(1e5)


def test_klom_counts_the_largest_value_and_knows_no_difference_between_equal_ones():
    assert float(klom(torch.full((5, 1), 3.0), torch.full((7, 1), 3.0))) == 0
    apart = klom(torch.tensor([[0.0], [0.0], [0.0], [1.0]]), torch.tensor([[0.0], [0.0], [0.0], [0.0]]))
    assert float(apart) > 0.25 * np.log(0.25 / 1e-5) - 0.3  # the single 1.0 is a quarter of the mass
    with pytest.raises(InputError, match="one column an element"):
        klom(torch.zeros(3, 2), torch.zeros(3, 4))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attribution": "heads"}, "did you mean 'head'"),
        ({"oracles": 0}, "oracles must be at least 1"),
        ({"damping": 0}, "damping must be positive"),
        ({"models": 0}, "models must be at least 1"),
        ({"dims": -1}, "dims not negative"),
    ],
)
def test_settings_are_checked(fields, message):
    with pytest.raises((InputError, UnknownName), match=message):
        DMM(**fields)
