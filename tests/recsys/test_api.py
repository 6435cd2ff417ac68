"""The one-call door on recommenders."""

from __future__ import annotations

import pytest
import torch

import graphforget
from graphforget.errors import InputError
from graphforget.train import Recipe
from recsys.models.bpr import BPR
from recsys.task import Recommendation
from tests.recsys.small import checkerboard


@pytest.fixture(scope="module")
def world():
    data = checkerboard(users=24, items=16)
    keep = torch.rand(data.num_edges, generator=torch.Generator().manual_seed(3)) < 0.8
    train, held_out = data.with_edges(keep), data.with_edges(~keep)
    task = Recommendation(recipe=Recipe(epochs=12, patience=12, lr=0.02, batch_size=64, eval_every=4), cut=5)
    return task.fit(BPR(24, 16, dim=8), train, held_out, seed=0), train, held_out


@pytest.mark.parametrize("kind", ["users", "items", "interactions"])
def test_a_bipartite_graph_is_a_recommenders(world, kind):
    model, train, held_out = world
    asked = {"users": [3], "items": [2], "interactions": train.edge_index[:, :4]}[kind]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = graphforget.unlearn(model, train, held_out=held_out, **{kind: asked})
    assert ("delta_mean" if kind == "interactions" else "reset") in found.record  # of mmrecun_calibrated
    assert found.data.num_edges == train.num_edges - found.split.forget.num_edges < train.num_edges
    if kind == "interactions":
        assert not found.data.has_edges(asked).any()
    else:
        assert not (found.data.edge_index[int(kind == "items")] == asked[0]).any()
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    assert any(not value.equal(before[key]) for key, value in found.model.state_dict().items())


def test_users_of_another_kind_of_data_are_refused():
    rows = (torch.rand(20, 3), torch.randint(2, (20,)))
    with pytest.raises(InputError, match=r"unknown request kind .*'user'"):
        graphforget.unlearn(torch.nn.Linear(3, 2), rows, users=[1])
