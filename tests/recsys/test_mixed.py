"""A request for users and for single interactions of others: both go, in two steps that never train on either."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import recsys.mmrecun_calibrated as ours
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.train import Recipe, seeded
from recsys.mixed import interactions_left, named_rows
from recsys.mmrecun_calibrated import CalibratedMMRecUN
from recsys.models.bpr import BPR
from recsys.row_reset import RowReset
from recsys.task import Recommendation, embed
from tests.recsys.small import after_a_crash
from tests.recsys.test_mmrecun import job
from tests.small import equal_states

TASK = Recommendation(recipe=Recipe(epochs=120, patience=120, lr=2e-2, batch_size=64, eval_every=119), cut=5)
METHOD = CalibratedMMRecUN(epochs=60, lr=1e-2, samples=2, forget_weight=20.0, refit=2)


def mixed():
    """A model, and a request for users 0 and 1, all of item 2, and interactions that nothing else speaks for."""
    now = job()
    data, held = now.split.data, now.split.held_out
    others = torch.tensor([[4, 7, 10, 13, 16, 19], [9, 4, 11, 6, 13, 0]])
    assert not bool((data.has_edges(others) | held.has_edges(others)).any())
    data = replace(data, edge_index=torch.cat([data.edge_index, others], dim=1))
    with seeded(0):
        model = BPR(24, 16, dim=12)
    parts = {"user": torch.tensor([0, 1]), "item": torch.tensor([2]), "interaction": others}
    return TASK.fit(model, data, held, seed=0), ForgetSplit.of(data, ForgetRequest(parts), held), others


def belief(model, context, pairs) -> float:
    """Mean score of pairs above their users' mean over all items."""
    users, items = embed(model, context)
    own = (users[pairs[0]] * items[pairs[1]]).sum(1)
    return float((own - users[pairs[0]] @ items.mean(0)).detach().mean())


def test_the_second_step_asks_for_the_single_interactions_and_knows_no_gone_row():
    _, split, others = mixed()
    assert {kind: ids.tolist() for kind, ids in named_rows(split.data, split.retain).items()} == {
        "user": [0, 1],
        "item": [2],
    }
    second = interactions_left(split)
    assert sorted(second.forget.edge_index.T.tolist()) == sorted(others.T.tolist())
    assert second.retain is split.retain
    assert int(second.data.edge_index[0].min()) > 1
    assert 2 not in second.data.edge_index[1]


def test_withdrawn_features_are_no_interactions():
    now = job()
    data = replace(now.split.data, features={"text": torch.rand(16, 3)})
    split = ForgetSplit.of(data, ForgetRequest.of("modality:text", [3, 4]), now.split.held_out)
    assert list(named_rows(split.data, split.retain)) == ["modality:text"]
    assert interactions_left(split) is None


def test_single_interactions_fall_to_gold_though_rows_go_in_the_same_request():
    model, split, others = mixed()
    with seeded(5):
        gold = TASK.fit(BPR(24, 16, dim=12), split.retain, split.held_out, seed=5)
    rows_alone = RowReset(epochs=2).unlearn(model, TASK, split, seed=0).model
    result = METHOD.unlearn(model, TASK, split, seed=0)
    assert (result.record["refitted"], result.record["epochs"]) == (2, METHOD.epochs)
    wanted, beside, after = (belief(each, split.retain, others) for each in (gold, rows_alone, result.model))
    assert abs(after - wanted) < abs(beside - wanted) / 2
    kept = split.retain.edge_index
    assert belief(result.model, split.retain, kept) == pytest.approx(belief(rows_alone, split.retain, kept), rel=0.1)


def test_who_gives_up_most_interactions_one_by_one_keeps_a_row():
    model, split, _ = mixed()
    edges = split.data.edge_index
    most = edges[:, edges[0] == 20][:, 1:]
    request = ForgetRequest({"user": torch.tensor([0]), "interaction": most})
    again = ForgetSplit.of(split.data, request, split.held_out)
    assert CalibratedMMRecUN(epochs=1, refit=1, samples=2).unlearn(model, TASK, again, seed=0).record["peers"] == {}


def test_a_mixed_request_goes_on_after_a_crash_in_its_second_step(tmp_path):
    model, split, _ = mixed()
    method = replace(METHOD, epochs=6)

    def run():
        return method.unlearn(model, TASK, split, seed=0).model.state_dict()

    assert equal_states(run(), after_a_crash(run, ours, 4, tmp_path))
