"""metrics.py against scikit-learn and scipy, closed forms, and properties that must hold for any input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from graphforget import intervals, metrics
from graphforget.errors import InputError

LN2 = math.log(2)
quick = settings(max_examples=40, deadline=None)
coarse = st.lists(st.integers(-3, 3), min_size=1, max_size=20)  # few values: many ties
logit = st.floats(-30, 30, width=32)


@st.composite
def two_outputs(draw):
    rows, classes = draw(st.integers(1, 4)), draw(st.integers(2, 5))
    both = draw(st.lists(logit, min_size=2 * rows * classes, max_size=2 * rows * classes))
    return torch.tensor(both, dtype=torch.float64).reshape(2, rows, classes).unbind()


def normal(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scipy_js(a, b):
    with np.errstate(invalid="ignore"):  # for equal rows scipy may take the root of -1e-17: its NaN stands for 0
        return np.nan_to_num(jensenshannon(softmax(a.numpy(), 1), softmax(b.numpy(), 1), axis=1) ** 2)


def labelled(positive, negative):
    return np.r_[np.ones(len(positive)), np.zeros(len(negative))], np.r_[positive, negative]


# ranking


@quick
@given(coarse, coarse)
def test_auc_and_ap_equal_sklearn_with_ties(positive, negative):
    truth, scores = labelled(positive, negative)
    p, n = torch.tensor(positive), torch.tensor(negative)
    assert metrics.auc(p, n) == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert metrics.average_precision(p, n) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


@quick
@given(coarse, coarse)
def test_auc_is_antisymmetric_and_blind_to_monotone_maps(positive, negative):
    p, n = torch.tensor(positive).double(), torch.tensor(negative).double()
    assert metrics.auc(p, n) + metrics.auc(n, p) == pytest.approx(1)
    assert metrics.auc(p, n) == metrics.auc(p.exp(), n.exp()) == metrics.auc(-n, -p)


def test_auc_tells_neighbours_in_float64_and_ranks_infinities():
    one = torch.tensor([1.0], dtype=torch.float64)
    assert metrics.auc(one + 1e-15, one) == 1
    assert metrics.auc(torch.tensor([math.inf]), torch.tensor([-math.inf, math.inf])) == 0.75


def test_auc_of_labels_equals_sklearn_for_int_float_and_bool_labels():
    scores, labels = normal(50), normal(50, seed=1) > 0
    wanted = roc_auc_score(labels.numpy(), scores.numpy())
    for each in (labels, labels.long(), labels.float()):
        assert metrics.auc_of_labels(scores, each) == pytest.approx(wanted)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1], [0, 2], [-1, 1]])
def test_auc_of_labels_wants_both_zero_and_one(labels):
    with pytest.raises(InputError, match=r"labels must be 0 or 1"):
        metrics.auc_of_labels(torch.tensor([0.1, 0.2]), torch.tensor(labels))


# classification


@quick
@given(st.integers(0, 999), st.integers(1, 30), st.integers(2, 6))
def test_f1_and_accuracy_equal_sklearn(seed, rows, classes):
    outputs = normal(rows, classes, seed=seed)
    labels = normal(rows, classes, seed=seed + 1).argmax(1)
    guess = outputs.argmax(1)
    wanted = f1_score(labels.numpy(), guess.numpy(), average="macro", zero_division=0)
    assert metrics.f1_macro(outputs, labels) == pytest.approx(wanted, abs=1e-12)
    assert metrics.accuracy(outputs, labels) == pytest.approx(float((guess == labels).double().mean()))


# distances between two models


@quick
@given(two_outputs())
def test_js_equals_scipy_is_symmetric_bounded_and_blind_to_a_shift(pair):
    a, b = pair
    found = metrics.js(a, b)
    np.testing.assert_allclose(found, scipy_js(a, b), rtol=1e-6, atol=1e-14)
    assert torch.equal(found, metrics.js(b, a))
    assert bool((found >= 0).all())
    assert bool((found <= LN2 * (1 + 1e-12)).all())
    torch.testing.assert_close(metrics.js(a + 7, b - 3), found, rtol=1e-6, atol=1e-13)
    assert not metrics.js(a, a).any()


@quick
@given(two_outputs())
def test_kl_equals_scipy_and_bounds_js(pair):
    a, b = pair
    p, q = softmax(a.numpy(), 1), softmax(b.numpy(), 1)
    found = metrics.kl(a, b)
    np.testing.assert_allclose(found, stats.entropy(p, q, axis=1), rtol=1e-6, atol=1e-13)
    assert bool((found >= 0).all())
    assert bool((metrics.js(a, b) <= found / 2 + metrics.kl(b, a) / 2 + 1e-12).all())


def test_js_and_kl_are_exact_where_the_textbook_sum_cancels():
    # p = (1 + e) / 2: JS = e^2 / 2 - ... over both classes; with logits [0, s], q uniform, p - 1/2 = s / 4 - ...
    for s in (1e-3, 1e-6, 1e-9):
        near, even = torch.tensor([[0.0, s]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
        assert float(metrics.js(near, even)) == pytest.approx(s**2 / 32, rel=1e-5)
        assert float(metrics.kl(near, even)) == pytest.approx(s**2 / 8, rel=1e-5)


def test_js_is_continuous_where_its_two_forms_meet():
    at = torch.linspace(-3, 3, 2001, dtype=torch.float64)
    rows = torch.stack([torch.zeros_like(at), at], 1)
    other = torch.stack([torch.zeros_like(at), -at], 1)
    np.testing.assert_allclose(metrics.js(rows, other), scipy_js(rows, other), rtol=1e-7, atol=1e-15)


def test_certain_and_opposite_models_reach_the_limits():
    yes, no = torch.tensor([[0.0, 5000.0]]), torch.tensor([[0.0, -5000.0]])
    assert float(metrics.js(yes, no)) == pytest.approx(LN2, rel=1e-15)
    assert float(metrics.kl(yes, no)) == 5000
    assert float(metrics.activation_distance(yes, no)) == pytest.approx(math.sqrt(2), rel=1e-15)
    assert metrics.mean_shift(yes, no, torch.tensor([1])) == 1
    assert metrics.logit_mse(yes, no) == 10_000**2 / 2


def test_activation_distance_mean_shift_and_mse_by_numpy():
    a, b, labels = normal(6, 4), normal(6, 4, seed=1), torch.tensor([0, 1, 2, 3, 0, 1])
    p, q = softmax(a.numpy(), 1), softmax(b.numpy(), 1)
    np.testing.assert_allclose(metrics.activation_distance(a, b), np.linalg.norm(p - q, axis=1))
    rows = np.arange(6)
    assert metrics.mean_shift(a, b, labels) == pytest.approx((p - q)[rows, labels.numpy()].mean())
    assert metrics.logit_mse(a, b) == pytest.approx(((a - b).numpy() ** 2).mean())
    # reversing both models' roles flips the shift and only the shift
    assert metrics.mean_shift(b, a, labels) == pytest.approx(-metrics.mean_shift(a, b, labels))


@quick
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=20))
def test_spearman_equals_scipy_with_ties(pairs):
    a, b = torch.tensor(pairs).double().unbind(1)
    found = metrics.spearman(a, b)
    if len(set(a.tolist())) == 1 or len(set(b.tolist())) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(a.numpy(), b.numpy()).statistic, abs=1e-12)


def test_spearman_of_one_element_is_nan():
    assert math.isnan(metrics.spearman(torch.tensor([1.0]), torch.tensor([2.0])))


def test_mi_ratio_is_before_over_after():
    assert metrics.mi_ratio(torch.tensor([0.8]), torch.tensor([0.2])) == pytest.approx(4)
    assert metrics.mi_ratio(torch.tensor([0.8, 0.5]), torch.tensor([0.0, 0.5])) == math.inf
    with pytest.raises(InputError, match=r"before must be probabilities .* sigmoid"):
        metrics.mi_ratio(torch.tensor([3.0]), torch.tensor([0.5]))


def test_verification_error_sums_norms_of_what_is_common_and_floating():
    a = {"w": torch.tensor([[3.0, 0.0]]), "b": torch.tensor([1.0]), "steps": torch.tensor(5), "only_a": torch.ones(2)}
    b = {"w": torch.tensor([[0.0, 4.0]]), "b": torch.tensor([3.0]), "steps": torch.tensor(9), "only_b": torch.ones(2)}
    assert metrics.verification_error(a, b) == 5 + 2
    assert metrics.verification_error(a, a) == 0
    with pytest.raises(InputError, match="no floating parameter in common"):
        metrics.verification_error({"a": torch.ones(1)}, {"b": torch.ones(1)})
    with pytest.raises(InputError, match=r"state_b\['w'\]"):
        metrics.verification_error(a, {"w": torch.ones(3)})
    with pytest.raises(InputError, match="'b' must be finite"):
        metrics.verification_error({"b": torch.ones(1)}, {"b": torch.tensor([math.nan])})


# bad input, gradients, types

SCORES = {
    "auc": metrics.auc,
    "ap": metrics.average_precision,
    "labels": metrics.auc_of_labels,
    "spearman": metrics.spearman,
    "mi_ratio": metrics.mi_ratio,
    "paired": intervals.paired_interval,
}
OUTPUTS = {
    "js": metrics.js,
    "kl": metrics.kl,
    "activation": metrics.activation_distance,
    "mse": metrics.logit_mse,
    "shift": lambda a, b: metrics.mean_shift(a, b, torch.zeros(len(a), dtype=torch.long)),
}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("bad", [torch.empty(0), torch.ones(2, 1), torch.tensor([0.5, math.nan]), torch.tensor(0.5)])
def test_bad_scores_are_named(name, bad):
    good = torch.tensor([0.0, 1.0])
    for arguments in ((bad, good), (good, bad)):
        with pytest.raises(InputError, match=r"\(got .*\); "):
            SCORES[name](*arguments)


@pytest.mark.parametrize("name", ["labels", "spearman", "mi_ratio", "paired"])
def test_scores_of_two_lengths_are_refused(name):
    with pytest.raises(InputError, match="same elements"):
        SCORES[name](torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0]))


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize(
    "bad", [torch.empty(0, 2), torch.ones(2, 1), torch.ones(2), torch.full((2, 2), math.nan), torch.ones(2, 3)]
)
def test_bad_outputs_are_named(name, bad):
    for arguments in ((bad, torch.ones(2, 2)), (torch.ones(2, 2), bad)):
        with pytest.raises(InputError, match=r"\(got .*\); "):
            OUTPUTS[name](*arguments)


@pytest.mark.parametrize("labels", [torch.tensor([0]), torch.tensor([0.0, 1.0]), torch.tensor([0, 2]), [-1, 0]])
@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.f1_macro])
def test_bad_labels_are_named(metric, labels):
    with pytest.raises(InputError, match="labels must be"):
        metric(torch.ones(2, 2), torch.as_tensor(labels))


def test_float32_with_gradient_is_read_in_float64_and_left_alone():
    a = torch.tensor([[0.0, 1.0]], requires_grad=True)
    kept = a.detach().clone()
    found = metrics.js(a, torch.zeros(1, 2))
    assert found.dtype == torch.float64
    assert not found.requires_grad
    assert torch.equal(a.detach(), kept)
    assert float(found) == float(metrics.js(kept.double(), torch.zeros(1, 2)))
