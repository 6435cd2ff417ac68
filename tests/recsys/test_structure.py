"""The columns of calibration beside dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.graph import Graph
from graphforget.task import Batch
from recsys import derived
from recsys.structure import SMALLEST, moments, pair_structure

USERS, ITEMS = 40, 60


@pytest.fixture(scope="module")
def world():
    filled = torch.rand(USERS, ITEMS, generator=torch.Generator().manual_seed(0)) < 0.15
    filled[0] = False  # a user without interactions
    graph = Graph(filled.nonzero().T.contiguous(), (USERS, ITEMS), bipartite=True)
    dense = filled.double().numpy()
    scale = np.outer(np.maximum(dense.sum(1), 1), np.maximum(dense.sum(0), 1)) ** -0.5
    return graph, dense, (dense * scale) @ (dense * scale).T @ (dense * scale)


def test_columns_equal_dense_products(world):
    graph, dense, tied = world
    unlinked = torch.from_numpy(dense == 0).nonzero()[::7].T.contiguous()
    found = pair_structure(graph, Batch(unlinked, torch.zeros(unlinked.shape[1], dtype=torch.int64)))
    users, items = unlinked.numpy()
    together = (dense @ dense.T @ dense)[users, items]
    np.testing.assert_allclose(found[:, 2], np.log1p(together))
    np.testing.assert_allclose(found[:, 3], np.log1p(together / np.maximum(dense.sum(1)[users], 1)))
    np.testing.assert_allclose(found[:, 4], np.log(tied[users, items] + SMALLEST), rtol=1e-6)
    assert np.isfinite(found).all()


def test_moments_are_those_of_a_users_row(world):
    graph, _, tied = world
    mean, spread = (moment.double().numpy() for moment in moments(derived.of(graph)))
    np.testing.assert_allclose(mean, tied.mean(1), rtol=1e-5, atol=1e-9)
    some = tied.std(1) > 0
    ratio = spread[some] / tied.std(1)[some]
    assert ratio.mean() == pytest.approx(1, abs=0.1)
    assert ratio.std() < 0.35
