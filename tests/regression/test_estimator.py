"""The scikit-learn regressor: scikit-learn's own checks, and rows that are taken back."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from graphforget.errors import InputError
from graphforget.methods.finetune import FineTune
from graphforget.regression.blindspot import Blindspot
from graphforget.regression.estimator import UnlearningRegressor
from tests.small import same_random_state


def rows(count=80):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3))
    return x, x @ [1.0, 2.0, 0.0] + 10


def test_scikit_learns_own_checks_pass():
    check_estimator(UnlearningRegressor(epochs=40, patience=40))


@pytest.mark.parametrize("method", [None, FineTune(epochs=2, lr=1e-3), Blindspot()])
def test_rows_keep_their_numbers_and_go_once(method):
    x, y = rows()
    model = UnlearningRegressor(method, epochs=20).fit(x, y)
    before = model.predict(x)
    with same_random_state():
        assert model.unlearn([3, 70]) is model
    model.unlearn(np.arange(5, 30))
    assert set(model.ids_) == set(range(80)) - {3, 70, *range(5, 30)}
    assert not np.allclose(model.predict(x), before)
    with pytest.raises(InputError, match="row 70 is not among the rows of fit, or was forgotten before"):
        model.unlearn([70])


def test_what_is_forgotten_leaves_the_memory():
    x, y = rows()
    y[7] = 12345.0
    model = UnlearningRegressor(epochs=5).fit(x, y).unlearn([7])
    assert not any(bool((each == 12345.0).any()) for part in model._splits for each in (part.x, part.y))
    assert not any(each.shape[0] == 80 for part in model._splits for each in (part.x, part.y))


def test_retraining_is_the_default_and_follows_the_seed():
    x, y = rows()
    one, other = (UnlearningRegressor(epochs=10, random_state=4).fit(x, y).unlearn([1, 2]) for _ in range(2))
    assert np.array_equal(one.predict(x), other.predict(x))
    assert clone(UnlearningRegressor(Blindspot(beta=3.0))).method == Blindspot(beta=3.0)


def test_several_targets_come_back_as_columns():
    x, y = rows()
    model = UnlearningRegressor(epochs=5).fit(x, np.stack([y, -y], axis=1))
    assert model.unlearn(3).predict(x[:4]).shape == (4, 2)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([80], "row 80 is not"),
        ([-1], "row -1 is not"),
        ([], "one or more"),
        ([0.5], "one or more"),
        (range(80), "covers"),
    ],
)
def test_numbers_that_do_not_fit_are_named(ids, message):
    model = UnlearningRegressor(epochs=2).fit(*rows())
    with pytest.raises(InputError, match=message):
        model.unlearn(list(ids))


def test_a_method_by_its_name_is_told_to_be_an_object():
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30.0)
    with pytest.raises(InputError, match=r"method must be an Unlearner, such as Blindspot\(\), or None \(got 'blind"):
        UnlearningRegressor(method="blindspot", epochs=1).fit(X, y)


def test_a_nan_target_is_named_by_its_row():
    x, y = rows()
    y[13] = np.nan
    with pytest.raises(InputError, match=r"NaN or infinity \(first in row 13\)"):
        UnlearningRegressor().fit(x, y)
    with pytest.raises(InputError, match="error must be one of"):
        UnlearningRegressor(error="l3").fit(*rows())
