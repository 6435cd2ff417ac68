"""intervals.py against scipy, its own coverage, and what must not depend on the caller."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from graphforget import intervals, metrics
from graphforget.errors import InputError


def normal(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("count", [2, 3, 30])
def test_mean_interval_equals_scipy_t(level, count):
    values = normal(count, scale=3.0)
    low, high = stats.t.interval(level, count - 1, loc=values.mean(), scale=stats.sem(values.numpy()))
    assert tuple(intervals.mean_interval(values, level)) == pytest.approx((float(values.mean()), low, high))


def test_mean_interval_of_one_value_has_no_bounds():
    value, low, high = intervals.mean_interval([2.0])
    assert value == 2
    assert math.isnan(low)
    assert math.isnan(high)


def test_paired_interval_is_that_of_the_differences():
    a, b = normal(8), normal(8, seed=1)
    assert intervals.paired_interval(a, b) == intervals.mean_interval(a - b)
    shift = 10 * normal(8, seed=2)  # what pairing is for: a seed's common part cancels
    assert tuple(intervals.paired_interval(a + shift, b + shift)) == pytest.approx(
        tuple(intervals.paired_interval(a, b))
    )


def test_bootstrap_of_the_mean_is_near_the_t_interval():
    values = normal(200)
    boot = intervals.bootstrap_interval(lambda sample: float(sample.mean()), values, repeats=2000)
    assert tuple(boot) == pytest.approx(tuple(intervals.mean_interval(values)), abs=0.02)


def test_bootstrap_covers_about_as_often_as_it_says():
    # AUC of N(1, 1) against N(0, 1) is Phi(1 / sqrt 2).
    truth, covered = float(stats.norm.cdf(1 / math.sqrt(2))), 0
    for seed in range(60):
        a, b = normal(40, seed=2 * seed) + 1, normal(40, seed=2 * seed + 1)
        _, low, high = intervals.bootstrap_interval(metrics.auc, a, b, level=0.9, repeats=150, seed=seed)
        covered += low <= truth <= high
    assert 45 <= covered <= 60  # 54 expected, standard deviation 2.3


def test_bootstrap_resamples_each_sample_by_itself_and_keeps_rows_together():
    def check(one, two):
        assert one.shape == (5, 2)
        assert two.shape == (3,)
        assert bool((one[:, 0] == one[:, 1]).all())
        return float(two.double().mean())

    intervals.bootstrap_interval(check, torch.arange(5.0)[:, None].expand(5, 2), torch.arange(3), repeats=20)


def test_bootstrap_depends_on_its_seed_alone_and_leaves_global_randomness_untouched():
    values = normal(30)
    torch.manual_seed(3)
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - it is what we check
    first = intervals.bootstrap_interval(torch.Tensor.mean, values, seed=5, repeats=50)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    torch.manual_seed(4)
    assert intervals.bootstrap_interval(torch.Tensor.mean, values, seed=5, repeats=50) == first
    assert intervals.bootstrap_interval(torch.Tensor.mean, values, seed=6, repeats=50) != first


def test_bootstrap_of_nothing_to_do_raises():
    for kwargs in ({"repeats": 0}, {"level": 1.0}, {"level": 0.0}):
        with pytest.raises(InputError):
            intervals.bootstrap_interval(torch.Tensor.mean, normal(3), **kwargs)
    for sample in (torch.empty(0), torch.tensor(1.0), torch.tensor([math.nan])):
        with pytest.raises(InputError, match="sample 0"):
            intervals.bootstrap_interval(torch.Tensor.mean, sample)
    with pytest.raises(InputError, match="at least one sample"):
        intervals.bootstrap_interval(lambda: 0.0)
