"""The question whether anything is remembered: it finds memory where there is some, and none where there is none."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import ttest_ind
from torch import nn

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction
from graphforget.graph import Graph
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.remembered import Group, apart, remembered, shared_variance
from graphforget.samples import Samples, split_rows
from graphforget.train import Recipe, seeded
from graphforget.vision.task import ImageClassification
from tests.small import equal_states, state

TASK = ImageClassification(recipe=Recipe(epochs=150, patience=150, lr=1e-2, eval_every=10))


def noisy(count: int = 3000, wrong: float = 0.3) -> Samples:
    """Rows of two classes far apart, of which a share has the wrong label: only memory gets those right."""
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    x = torch.randn(count, 6, generator=rng) + 2.0 * y[:, None]
    return Samples(x, torch.where(torch.rand(count, generator=rng) < wrong, 1 - y, y))


def learnt(data: Samples, hidden: int):
    """(task, model, splits) of a network trained on few rows (it memorises) or a linear one on many (it cannot)."""
    parts = split_rows(data, val=0.2, test=0.2, seed=1)
    with seeded(0):
        model = nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, 2)) if hidden else nn.Linear(6, 2)
    held = replace(parts.train)  # the last weights are kept: memory is what this is about
    return TASK.fit(model, parts.train, held, seed=0), parts


def asked(model, parts, count: int = 20) -> float:
    request = ForgetRequest.of("sample", parts.train.rows()[:count])
    split = ForgetSplit.of(parts.train, request, parts.val)
    with seeded(3) as rng:
        return remembered(TASK, model, split, rng, samples=4, least=600)


def test_what_was_learnt_by_heart_is_found():
    assert asked(*learnt(noisy(600), 256)) > 4


def test_a_model_that_only_generalises_remembers_nothing():
    assert asked(*learnt(noisy(3000), 0)) < 2


def test_the_forgotten_themselves_can_stand_out():
    """A model that knows by heart the forgotten rows alone: the retained tell nothing, they do."""
    data = noisy(3000, wrong=0.0)
    parts = split_rows(data, val=0.2, test=0.2, seed=1)
    rows = parts.train.rows()[:40]
    split = ForgetSplit.of(parts.train, ForgetRequest.of("sample", rows), parts.val)

    class Knows(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.register_buffer("known", data.x[rows])

        def forward(self, x):
            hit = (torch.cdist(x, self.known) < 1e-4).any(1)
            sure = torch.where(hit, 9.0, 0.1) * self.scale
            return torch.stack([-sure, sure], 1) * (x.mean(1) > 1).float().mul(2).sub(1)[:, None]

    with seeded(3) as rng:
        assert remembered(TASK, Knows(), split, rng, samples=4, least=600) > 4


def test_where_it_cannot_be_asked_it_counts_as_remembered():
    model, parts = learnt(noisy(600), 0)
    for request in (ForgetRequest.of("class", [1]), ForgetRequest.of("feature", [[int(parts.train.rows()[0]), 1]])):
        split = ForgetSplit.of(parts.train, request, parts.val)
        with seeded(3) as rng:
            assert remembered(TASK, model, split, rng, samples=4, least=600) == math.inf


def test_without_shared_nodes_it_is_welchs():
    rng = np.random.default_rng(0)
    a, b = Group(np.arange(40)[None], rng.normal(0.3, 2, 40)), Group(np.arange(40, 130)[None], rng.normal(0, 1, 90))
    assert shared_variance([a, b]) == 0.0
    assert apart(a, b, 0.0) == pytest.approx(ttest_ind(a.beyond, b.beyond, equal_var=False).statistic)
    assert apart(Group(a.nodes[:, :1], a.beyond[:1]), b, 0.0) == 0.0


def test_elements_that_share_a_node_are_less_than_as_many_observations():
    """Effects of nodes of known variance: the standard error is that of repeated draws, Welch's is far too small."""
    rng = np.random.default_rng(0)
    nodes = [rng.integers(30, size=(2, 400)), rng.integers(30, 60, size=(2, 400))]
    found, shared = [], []
    for _ in range(200):
        effect = rng.normal(0, 1, 60)
        a, b = (Group(pairs, effect[pairs].sum(0) + rng.normal(0, 0.5, 400)) for pairs in nodes)
        shared.append(shared_variance([a, b]))
        found.append([apart(a, b, shared[-1]), apart(a, b, 0.0)])
    honest, welch = np.std(found, axis=0)
    assert np.mean(shared) == pytest.approx(1.0, abs=0.1)
    assert 0.85 < honest < 1.25
    assert welch > 3


@pytest.mark.parametrize("seed", range(3))
def test_an_untrained_model_remembers_nothing(seed):
    """Hubs, and samples that thin the graph: both looked like memory before they were allowed for."""
    draw = np.random.default_rng(seed)
    pairs = torch.from_numpy((1500 * draw.random((2, 15_000)) ** 2).astype(np.int64))
    features = {"x": torch.from_numpy(draw.standard_normal((1500, 16)).astype(np.float32))}
    pairs = Graph.from_edges(pairs[:, pairs[0] != pairs[1]], 1500).pairs()
    pairs = pairs[:, torch.from_numpy(draw.permutation(pairs.shape[1]))]
    val, train = (Graph.from_edges(part, 1500, features=features) for part in (pairs[:, :800], pairs[:, 800:]))
    split = ForgetSplit.of(train, ForgetRequest.of("edge", pairs[:, 800:820]), val)
    with seeded(seed):
        model = GCN(16, 32, 16)
    with seeded(seed) as rng:
        assert remembered(LinkPrediction(), model, split, rng, samples=4, least=1000) < 2


def test_ours_changes_no_weight_after_a_tiny_request_that_left_nothing():
    model, parts = learnt(noisy(6000), 0)
    before = state(model)
    tiny = ForgetSplit.of(parts.train, ForgetRequest.of("sample", parts.train.rows()[:3]), parts.val)
    found = CalibratedD2DGN(refresh=2, epochs=2).unlearn(model, TASK, tiny)
    assert found.record["remembered"] < 2
    assert equal_states(state(found.model), before)
    assert found.context is tiny.retain
    trained = CalibratedD2DGN(refresh=2, epochs=2, trained_from=0).unlearn(model, TASK, tiny)
    assert not equal_states(state(trained.model), before)
    larger = ForgetSplit.of(parts.train, ForgetRequest.of("sample", parts.train.rows()[:60]), parts.val)
    asked_for = CalibratedD2DGN(refresh=2, epochs=2).unlearn(model, TASK, larger)
    assert "remembered" not in asked_for.record
    assert not equal_states(state(asked_for.model), before)


def test_a_part_of_the_data_counts_as_the_whole_of_it():
    """Cut out of a large graph, a request that fills a third of the part is still a tiny one."""
    model, parts = learnt(noisy(600), 0)
    split = ForgetSplit.of(parts.train, ForgetRequest.of("sample", parts.train.rows()[:30]), parts.val)
    method = CalibratedD2DGN(refresh=0, epochs=2)
    assert "remembered" not in method.unlearn(model, TASK, split).record
    assert "remembered" in method.unlearn(model, TASK, replace(split, part_of=1_000_000)).record
