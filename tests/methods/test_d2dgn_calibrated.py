"""Calibrated D2DGN: its loss in numpy, its scopes, and where it trains on data instead of on the preserver."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.calibrate import calibrate
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.methods.finetune import FineTune
from graphforget.train import seeded
from tests import naive_methods
from tests.methods import tiny
from tests.small import equal_states, sbm, state


@pytest.mark.parametrize("near_hops", [0, -1])
@pytest.mark.parametrize("weight", [3.0, 0.0])
def test_three_steps_equal_the_equations_in_numpy(near_hops, weight):
    model, split = tiny.model(), tiny.split()
    method = CalibratedD2DGN(
        forget_weight=weight, near_hops=near_hops, samples=2, scope="full", epochs=3, lr=0.02, refresh=0
    )
    result = method.unlearn(model, tiny.TASK, split, seed=7)
    target = calibrate(tiny.TASK, model, split, torch.Generator().manual_seed(7), samples=2).target
    target = (target[:, 1] - target[:, 0]).detach().numpy()
    preserver = tiny.weights(model)
    asked = [*tiny.RETAIN, *tiny.NEGATIVES]
    label = np.array([1] * len(tiny.RETAIN) + [0] * len(tiny.NEGATIVES))
    near = np.array([near_hops == 0 and bool({0, 1} & set(edge)) for edge in asked])  # 0 and 1 end the forgotten edge
    assert near.sum() == (9 if near_hops == 0 else 0)

    def loss(weights):
        s = naive_methods.scores(weights, tiny.X, tiny.RETAIN, asked)
        far = naive_methods.bernoulli_kl(naive_methods.scores(preserver, tiny.X, tiny.RETAIN, asked), s, 1.0)
        keep = np.where(near, naive_methods.cross_entropy(s, label), far)
        drop = naive_methods.bernoulli_kl(target, naive_methods.scores(weights, tiny.X, tiny.RETAIN, tiny.FORGET), 1.0)
        return (keep.sum() + weight * drop.sum()) / (len(keep) + len(drop))

    if near_hops < 0 and weight == 0:  # the preserver alone moves nothing
        assert loss(preserver) == 0
        assert equal_states(state(result.model), state(model))
        return
    wanted = shortened(loss, preserver, naive_methods.adam(loss, preserver, steps=3, lr=0.02))
    for found, value in zip(tiny.weights(result.model), wanted, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-6)


def shortened(loss, start, end):
    """The point on the line from end to start at which the loss first stops falling."""
    points = [
        [a + share * (b - a) for a, b in zip(start, end, strict=True)] for share in (1, 0.75, 0.5, 0.25, 0.125, 0)
    ]
    losses = [loss(point) for point in points]
    last = next((k for k in range(1, len(losses)) if losses[k] >= losses[k - 1]), len(losses))
    return points[last - 1]


def test_a_step_that_is_too_long_is_taken_back():
    """At lr 1 the retained would be ruined; the student ends no worse than the original, by the method's own loss."""
    model, split = tiny.model(), tiny.split()
    far = CalibratedD2DGN(samples=2, scope="full", epochs=2, lr=1.0, near_hops=-1, refresh=0)
    assert far.unlearn(model, tiny.TASK, split, seed=7).record["step"] < 1
    near = CalibratedD2DGN(samples=2, scope="full", epochs=2, lr=1e-4, near_hops=-1, refresh=0)
    assert near.unlearn(model, tiny.TASK, split, seed=7).record["step"] == 1


def test_the_preserver_is_the_model_after_its_refresh():
    """With no step to speak of after it, what is left is fine-tuning by the same stream."""
    model, split = tiny.model(), tiny.split()
    tuned = FineTune(epochs=4, lr=0.01).unlearn(model, tiny.TASK, split, seed=7).model
    method = CalibratedD2DGN(samples=2, epochs=1, lr=1e-12, refresh=4, refresh_lr=0.01)
    found = method.unlearn(model, tiny.TASK, split, seed=7)
    assert found.record["refreshed"] == 4
    for left, right in zip(found.model.parameters(), tuned.parameters(), strict=True):
        torch.testing.assert_close(left, right, atol=1e-9, rtol=0)
    assert 0 <= found.record["left"] <= 1
    long = CalibratedD2DGN(samples=2, epochs=2, lr=1.0, refresh=4, refresh_lr=0.01, near_hops=-1)
    assert long.unlearn(model, tiny.TASK, split, seed=7).record["step"] < 1  # back towards the refreshed, too


def far_apart(edges: int) -> ForgetSplit[Graph]:
    """A ring of 60 nodes: the request touches a known share of it."""
    ring = torch.stack([torch.arange(60), (torch.arange(60) + 1) % 60])
    graph = Graph.from_edges(ring, 60, features={"x": torch.randn(60, 8, generator=torch.Generator().manual_seed(0))})
    return ForgetSplit.of(graph, ForgetRequest.of("edge", ring[:, :: 60 // edges][:, :edges]), graph)


@pytest.mark.parametrize(("scope", "edges", "used"), [("auto", 1, "khop"), ("auto", 20, "full"), ("full", 1, "full")])
def test_scope_follows_the_size_of_the_region(scope, edges, used):
    with seeded(0):
        model = GCN(8, 6, 3)
    split = far_apart(edges)
    assert (LinkPrediction().region(split, 2) < 0.3) is (edges == 1)
    result = CalibratedD2DGN(scope=scope, epochs=1).unlearn(model, LinkPrediction(), split)
    assert result.record["scope"] == used


def test_value_kinds_need_no_calibration():
    graph = sbm()
    split = ForgetSplit.of(graph, ForgetRequest.of("feature", [3]), graph)
    with seeded(0):
        model = GCN(8, 6, 3)
    result = CalibratedD2DGN(epochs=2).unlearn(model, NodeClassification(), split)
    assert "reliability" not in result.record
    assert not equal_states(state(result.model), state(model))


def test_settings_are_checked():
    with pytest.raises(InputError, match=r"forget_weight.*\(got -1\)"):
        CalibratedD2DGN(forget_weight=-1)
    with pytest.raises(InputError, match="did you mean 'khop'"):
        CalibratedD2DGN(scope="khops")
    with pytest.raises(InputError, match=r"samples.*\(got 0\)"):
        CalibratedD2DGN(samples=0)
    with pytest.raises(InputError, match=r"refresh.*\(got -3\)"):
        CalibratedD2DGN(refresh=-3)
    with pytest.raises(InputError, match=r"hops.*\(got -2\)"):
        CalibratedD2DGN(hops=-2)
