"""What a plan says a batch costs in utility."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from graphforget.deletion.output import print_plan
from graphforget.deletion.plan import plan
from graphforget.deletion.receive import receive
from graphforget.deletion.run import Work
from graphforget.deletion.service import serve
from graphforget.deletion.worth import CLUSTERS, NOTE, SEEDS, gone_of, worth
from graphforget.forget import ForgetRequest, ForgetSplit
from tests.deletion import small


def friends(root, *rows, **policy):
    store = small.friends_store(root / "store", **policy)
    with store.writing():
        receive(store, small.ask(root, *rows))
    return store


def test_a_plan_says_what_is_lost_and_keeps_it_for_the_next(tmp_path, capsys):
    store = friends(tmp_path, "r1,node,person-007@home,,", "r2,node,person-008@home,,")
    with store.writing():
        first = plan(store, methods=["finetune"]).utility
        again = plan(store, methods=["finetune"])
    assert first.trainings == len(SEEDS) * (CLUSTERS + 1)
    assert not first.cached
    assert first.spread >= 0
    assert again.utility.cached
    assert again.utility.fall == first.fall
    kept = json.loads(store.queue.note(NOTE))
    assert len(kept["lco"]) == CLUSTERS  # nothing of a person: one number a cluster
    print_plan(again)
    said = capsys.readouterr().out
    assert "utility: auc 0." in said
    assert "15 trainings of 3 epochs" in said


def test_values_of_an_older_version_are_not_used(tmp_path):
    store = friends(tmp_path, "r1,node,person-007@home,,")
    with store.writing():
        plan(store, methods=["finetune"])
        serve(store, verify=False)
        receive(store, small.ask(tmp_path, "r9,node,person-009@home,,"))
        found = plan(store, methods=["finetune"]).utility
    assert not found.cached


def test_all_that_goes_is_worth_all_that_there_is(tmp_path):
    store = friends(tmp_path, "r1,node,person-007@home,,")
    work = Work.of(store)
    ids = work.splits.train.pairs()
    with store.writing():
        half = ForgetSplit.of(work.splits.train, ForgetRequest.of("edge", ids[:, ::2]), work.splits.val)
        some = worth(store, work, half, 0.1, 1e3, print)
        other = ForgetSplit.of(work.splits.train, ForgetRequest.of("edge", ids[:, 1::2]), work.splits.val)
        rest = worth(store, work, other, 0.1, 1e3, print)
    lco = json.loads(store.queue.note(NOTE))["lco"]
    assert some.fall + rest.fall == pytest.approx(sum(lco))
    assert rest.cached


def test_recommenders_and_nodes_are_valued_too(tmp_path):
    store = small.films_store(tmp_path / "store")
    with store.writing():
        receive(store, small.ask(tmp_path, "r1,user,user-003,,"))
        found = plan(store, methods=["finetune"]).utility
    assert found.metric == "recall@20"
    assert found.trainings == 15
    splits, _ = small.people()
    split = ForgetSplit.of(splits.train, ForgetRequest.of("node", [3, 5]), splits.val)
    assert np.flatnonzero(gone_of(split, torch.arange(60), nodes=True)).tolist() == [3, 5]


@pytest.mark.parametrize(
    ("row", "policy", "budget", "said"),
    [
        ("r1,node,person-007@home,,", {}, 0.0, "more than a quarter of --budget"),
        ("r1,feature,person-007@home,,", {}, 120.0, "only values go"),
    ],
)
def test_where_there_is_no_estimate_the_reason_is_said(tmp_path, capsys, row, policy, budget, said):
    store = friends(tmp_path, row, **policy)
    with store.writing():
        found = plan(store, methods=["finetune"], budget=budget)
    assert found.utility.fall is None
    print_plan(found)
    assert said in capsys.readouterr().out


def test_it_can_be_left_out(tmp_path):
    store = friends(tmp_path, "r1,node,person-007@home,,")
    with store.writing():
        assert plan(store, methods=["finetune"], utility=False).utility is None
