from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from graphforget import cost, sparse
from graphforget.kernels.spmm import spmm


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(30, 20, 5), (1, 1, 1), (0, 4, 3), (500, 300, 64)])
def test_equals_scipy(dtype, shape):
    rows, cols, width = shape
    matrix = sp.random(rows, cols, 0.2, "csr", rng=np.random.default_rng(0)).astype(dtype)
    dense = np.random.default_rng(1).normal(size=(cols, width)).astype(dtype)
    found = spmm(matrix.indptr, matrix.indices, matrix.data, dense)
    assert found.dtype == dtype
    assert np.allclose(found, matrix @ dense, rtol=1e-5, atol=1e-6)
    if rows:
        turned = np.asfortranarray(dense)
        assert np.array_equal(spmm(matrix.indptr, matrix.indices, matrix.data, turned), found)


def test_rows_of_very_unequal_length():
    indptr = np.array([0, 0, 100_000, 100_000, 100_003])
    indices = np.arange(100_003) % 7
    found = spmm(indptr, indices, np.ones(100_003), np.eye(7))
    assert found.sum(1).tolist() == [0, 100_000, 0, 3]


def test_what_is_refused():
    with pytest.raises(ValueError, match="one type"):
        spmm([0, 1], [0], np.ones(1, np.float32), np.ones((1, 2)))
    with pytest.raises(ValueError, match="indptr must end"):
        spmm([0, 2], [0], np.ones(1), np.ones((1, 2)))


def test_the_product_takes_the_kernel_for_wide_matrices_and_gives_the_same(monkeypatch):
    num = 20_000
    draw = torch.Generator().manual_seed(0)
    rows, cols = torch.randint(num, (2, 60_000), generator=draw)
    pair = sparse.of_coo(rows, cols, torch.rand(60_000, generator=draw), (num, num))
    wide = torch.randn(num, 64, generator=draw, requires_grad=True)
    results = []
    for least in (sparse.LEAST_WIDTH, 10**9):
        monkeypatch.setattr(sparse, "LEAST_WIDTH", least)
        with cost.measure(count_flops=True) as counted:
            found = sparse.product(pair, wide)
            (grad,) = torch.autograd.grad(found.square().sum(), wide)
        results.append((found, grad, counted.flops))
    torch.testing.assert_close(results[0][0], results[1][0])
    torch.testing.assert_close(results[0][1], results[1][1])
    assert results[0][2] == results[1][2] == 4 * pair.matrix.values().numel() * 64
