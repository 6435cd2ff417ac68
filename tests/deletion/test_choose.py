"""The recommendation: by the task, by what is asked for, and by how much of it."""

from __future__ import annotations

from dataclasses import asdict

import torch

from graphforget.deletion.choose import recommend
from graphforget.deletion.deployment import MOST_RANKED, task_of
from graphforget.deletion.plan import plan
from graphforget.deletion.receive import receive
from graphforget.deletion.service import serve
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from recsys.task import Recommendation
from tests.deletion import small

LINKS = small.FRIENDS.model_copy(update={"method": None, "settings": {}})


def test_few_users_are_refitted_for_one_epoch():
    edges = torch.stack([torch.arange(200).repeat_interleave(5), torch.arange(1000) % 50])
    graph = Graph(edges, (200, 50), bipartite=True)
    held_out = Graph(torch.tensor([[0], [9]]), (200, 50), bipartite=True)
    deployment = LINKS.model_copy(update={"task": "recommend"})
    for users, epochs in ((1, 1), (2, 3)):
        split = ForgetSplit.of(graph, ForgetRequest.of("user", torch.arange(users)), held_out)
        choice = recommend(deployment, Recommendation(), split)
        assert (choice.name, asdict(choice.method)["refit"]) == ("mmrecun_calibrated", epochs)


def test_a_run_takes_the_settings_that_the_plan_recommends(tmp_path):
    store = small.friends_store(tmp_path / "store", method=None, settings={})
    u, v = store.head_data().train.pairs()[:, 0].tolist()
    names = store.vocabulary().ids["node"]
    with store.writing():
        receive(store, small.ask(tmp_path, f"r1,edge,,{names[u]},{names[v]}"))
        found = plan(store, methods=["finetune"])
        assert (found.recommended, found.settings) == ("retrain", {})  # three epochs: nothing is cheaper
        kept = found.model_copy(
            update={"recommended": "d2dgn_calibrated", "settings": {"refresh": 0, "epochs": 3}, "states": {}}
        )
        store.queue.set_note("plan", kept.model_dump_json())
        serve(store, verify=False)
    assert (store.manifest().settings["refresh"], store.manifest().settings["epochs"]) == (0, 3)


def test_rankings_are_those_of_some_thousand_users_unless_told_otherwise():
    shop = LINKS.model_copy(update={"task": "recommend"})
    assert task_of(shop).max_users == MOST_RANKED
    assert task_of(shop.model_copy(update={"task_args": {"max_users": 7}})).max_users == 7
    assert not hasattr(task_of(LINKS), "max_users")
