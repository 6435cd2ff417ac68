"""Features and labels: both orders, every solver, and the certificate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import Diverged, InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.influence.data import load_splits
from graphforget.influence.features_labels import FeaturesLabels, certificate
from graphforget.influence.models import Logistic
from graphforget.influence.task import LinearClassification
from graphforget.methods.retrain import Retrain
from graphforget.samples import Samples
from tests import naive_influence as naive
from tests.influence.test_ij import L2, Ridge, arrays, distance, weights, world
from tests.promises import keeps_its_promises

SOLVERS = {
    "exact": FeaturesLabels(),
    "cg": FeaturesLabels(solver="cg"),
    "lissa": FeaturesLabels(solver="lissa", iterations=20_000, patience=20_000),
}


def test_second_order_equals_the_equation():
    """theta - H^-1 G with H of the summed objective on what stays; G = -sum_Z grad (l + l2/2 ||theta||^2)."""
    task, model, split = world()
    x, y, gone = arrays(split)
    theta, kept = weights(model).numpy(), np.setdiff1d(np.arange(len(x)), gone)
    h = naive.hessian(x[kept], theta) + len(kept) * L2 * np.eye(30)
    g = -naive.gradient(x[gone], y[gone], theta) - len(gone) * L2 * theta
    found = SOLVERS["exact"].unlearn(model, task, split).model
    np.testing.assert_allclose(weights(found).numpy(), theta - np.linalg.solve(h, g), atol=1e-9)
    step = FeaturesLabels(order="first", tau=0.01).unlearn(model, task, split).model
    np.testing.assert_allclose(weights(step).numpy(), theta - 0.01 * g, atol=1e-9)


@pytest.mark.parametrize("solver", ["cg", "lissa"])
def test_every_solver_finds_the_direct_solution(solver):
    task, model, split = world()
    direct, found = (weights(SOLVERS[name].unlearn(model, task, split).model) for name in ("exact", solver))
    step = direct - weights(model)
    assert float((found - direct).norm() / step.norm()) < 1e-3


def test_lissa_with_batches_of_rows_comes_near():
    task, model, split = world()
    method = FeaturesLabels(solver="lissa", batch=200, iterations=4000, patience=4000)
    direct, found = (weights(m.unlearn(model, task, split).model) for m in (SOLVERS["exact"], method))
    assert float((found - direct).norm() / (direct - weights(model)).norm()) < 0.3


def test_a_scale_under_half_the_largest_eigenvalue_is_reported():
    task, model, split = world()
    fine = FeaturesLabels(solver="lissa", iterations=50).unlearn(model, task, split).record["scale"]
    with pytest.raises(Diverged, match="half the Hessian's largest eigenvalue"):
        FeaturesLabels(solver="lissa", scale=0.49 * fine / 1.2, iterations=2).unlearn(model, task, split)


@pytest.mark.parametrize("kind", ["sample", "feature"])
def test_a_quadratic_is_retrained_exactly(kind):
    task = Ridge(l2=0.1)
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = Samples(x, x.sum(1, keepdim=True) + x[:, :1] ** 2)
    model = task.fit(nn.Linear(5, 1).double(), data, data, seed=0)
    split = ForgetSplit.of(data, ForgetRequest.of(kind, [1, 3]), data)
    gold = Retrain().unlearn(model, task, split).model
    assert distance(FeaturesLabels().unlearn(model, task, split).model, gold, model) < 1e-9


def test_points_replaced_by_themselves_change_nothing():
    task, model, split = world()
    data = Samples(split.data.x.clone(), split.data.y, None, split.data.mask)
    data.x[:, 4] = 0  # the column that goes is 0 already: Z~ = Z
    model = task.fit(Logistic(30).double(), data, data, seed=0)
    masked = ForgetSplit.of(data, ForgetRequest.of("feature", [4]), split.held_out)
    torch.testing.assert_close(weights(FeaturesLabels().unlearn(model, task, masked).model), weights(model))


@pytest.mark.parametrize("kind", ["sample", "feature", "label"])
def test_the_gradient_left_falls_with_the_order(kind):
    """No update > first order > second order, for rows, columns and labels."""
    task, model, split = world()
    ids = [3] if kind == "feature" else split.data.rows()[:30]
    split = ForgetSplit.of(split.data, ForgetRequest.of(kind, ids), split.held_out)
    first, second = (FeaturesLabels(order=order).unlearn(model, task, split).record for order in ("first", "second"))
    assert second["residual"] < first["residual"] < first["residual_before"]
    assert first["residual_before"] == pytest.approx(second["residual_before"])


@pytest.mark.parametrize("count", [1, 200])
def test_the_published_setting(count, data_root):
    """MNIST 3 against 8: the second order leaves at most 1 % of the distance to gold, the first nearly all of it."""
    task, parts = LinearClassification(l2=1e-3), load_splits("mnist_3v8", data_root, seed=4)
    model = task.fit(Logistic(784), parts.train, parts.val, seed=0)
    split = ForgetSplit.of(parts.train, ForgetRequest.of("sample", parts.train.rows()[:count]), parts.val)
    gold = Retrain().unlearn(model, task, split).model
    apart = [
        distance(FeaturesLabels(order=order).unlearn(model, task, split).model, gold, model)
        for order in ("first", "second")
    ]
    assert apart[1] <= 0.01
    assert apart[0] > 0.4


def test_the_certificate_follows_from_the_residual_and_the_noise_of_training():
    assert certificate(0.232, 0.1, 0.01) == pytest.approx(math.sqrt(2 * math.log(150)) * 2.32)
    _, _, split = world()
    for noise, certified in ((1e-4, False), (50.0, True)):
        task = LinearClassification(l2=L2, noise=noise)
        model = task.fit(Logistic(30).double(), split.data, split.held_out, seed=3)
        record = FeaturesLabels().unlearn(model, task, split).record
        assert record["certified"] is certified
        assert record["sigma"] == pytest.approx(certificate(record["residual"], 0.1, 0.01))
        assert record["residual"] < record["residual_before"]  # b has been found again from the original's optimum


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_method_keeps_its_promises(solver):
    found = keeps_its_promises(SOLVERS[solver], *world())
    assert found.record["residual"] < found.record["residual_before"]


@pytest.mark.parametrize(
    "fields",
    [{"order": "third"}, {"solver": "exactly"}, {"tau": -1.0}, {"damping": 1.0}, {"iterations": 0}, {"epsilon": 0.0}],
)
def test_settings_out_of_range_are_named(fields):
    with pytest.raises(InputError, match=next(iter(fields))):
        FeaturesLabels(**fields)
