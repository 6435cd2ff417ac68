"""Solvers that know a matrix by its products only."""

from __future__ import annotations

import pytest
import torch

from graphforget.errors import Diverged
from graphforget.hessian import extremes, series


@pytest.mark.parametrize("size", [1, 4, 60])
def test_extremes_equal_the_eigenvalues(size):
    rng = torch.Generator().manual_seed(size)
    a = torch.randn(size, size, generator=rng, dtype=torch.float64)
    a = a + a.T
    low, high = extremes(lambda h: a @ h, torch.randn(size, generator=rng, dtype=torch.float64), steps=40)
    values = torch.linalg.eigvalsh(a)
    assert low == pytest.approx(float(values[0]), rel=1e-3)
    assert high == pytest.approx(float(values[-1]), rel=1e-3)


def test_the_series_solves_the_damped_system():
    rng = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=rng, dtype=torch.float64)
    matrix, v = root @ root.T + torch.eye(6), torch.randn(6, generator=rng, dtype=torch.float64)
    highest = float(torch.linalg.eigvalsh(matrix)[-1])
    for damp in (0.0, 0.1):
        u, used, step = series(lambda h: matrix @ h, v, scale=1.1 * highest, damp=damp, iterations=5000)
        exact = torch.linalg.solve(matrix + damp * 1.1 * highest * torch.eye(6), v)
        torch.testing.assert_close(u, exact, rtol=1e-4, atol=1e-5)
        assert used < 5000
        assert step < 1e-6


def test_the_series_stops_when_its_steps_no_longer_shrink():
    rng = torch.Generator().manual_seed(0)
    noisy = lambda h: h + 0.1 * torch.randn(3, generator=rng)  # noqa: E731
    assert series(noisy, torch.ones(3), scale=2.0, iterations=1000, patience=5)[1] < 1000


def test_a_series_that_grows_is_reported():
    with pytest.raises(Diverged, match="raise scale"):
        series(lambda h: 10 * h, torch.ones(3), scale=1.0, iterations=50)
