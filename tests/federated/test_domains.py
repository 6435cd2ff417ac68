"""Any task: recommenders with a client per user, graphs with a client per subgraph, links and nodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphforget.federated.clients import Clients, iid
from graphforget.federated.conda import ConDa
from graphforget.federated.fed_eraser import FedEraser
from graphforget.federated.rounds import Rounds
from graphforget.federated.task import federated
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.methods.finetune import FineTune
from graphforget.methods.retrain import Retrain
from graphforget.splits import split_nodes
from graphforget.task import Layered, Local, Profiled, Scored
from graphforget.train import TrainRecord, seeded
from recsys.models.bpr import BPR
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation
from tests.small import equal_states, sbm, state


def interactions(users: int = 12, items: int = 16) -> tuple[Graph, Graph]:
    """Two tastes: even users like even items; a fifth is held out."""
    rng = np.random.default_rng(0)
    pairs = [(u, i) for u in range(users) for i in range(items) if i % 2 == u % 2 and rng.random() < 0.8]
    order = rng.permutation(len(pairs))
    edges = torch.tensor(pairs)[torch.from_numpy(order)].T
    cut = len(pairs) // 5
    return tuple(Graph(part, (users, items), bipartite=True) for part in (edges[:, cut:], edges[:, :cut]))  # type: ignore[return-value]


def tables(model) -> list[torch.Tensor]:
    """The users' rows of a recommender."""
    return [p.detach() for name, p in model.named_parameters() if p.shape[0] == 12]


@pytest.mark.parametrize("kind", [BPR, LightGCN])
def test_a_recommender_with_a_client_per_user(kind):
    """A user's own row is moved by nobody else, so that without the user it is as it was at first."""
    train, held_out = interactions()
    users = {user: torch.tensor([user]) for user in range(12)}
    clients, val = Clients(train, "user", users), Clients(held_out, "user", users)
    recipe = Rounds(epochs=8, local_epochs=2, lr=0.05, batch_size=64, weighting="moved", eval_every=8, keep="updates")
    task, record = federated(Recommendation(cut=4), recipe), TrainRecord()
    assert all(isinstance(task, protocol) for protocol in (Scored, Local, Profiled))
    with seeded(0):
        model = kind(12, 16)
    blank = state(model)
    before = task.evaluate(model, clients, val)["recall@4"]
    task.fit(model, clients, val, seed=0, record=record)
    assert task.evaluate(model, clients, val)["recall@4"] > before + 0.1
    split = ForgetSplit.of(clients, ForgetRequest.of("client", [3]), val)
    found = ConDa(reference="round").unlearn(model, task, split, record=record.notes)
    own = [(table[3], old) for table, old in zip(tables(found.model), tables(model), strict=True)]
    assert own
    assert all(not row.any() for row, _ in own)  # only this client moved it: its ratio is 0
    assert all(old[3].any() for _, old in own)
    eraser = FedEraser().unlearn(model, task, split, record=record.notes)
    name = next(name for name, p in model.named_parameters() if p.shape[0] == 12)
    assert eraser.model.state_dict()[name][3].equal(blank[name][3])
    gold = Retrain().unlearn(model, task, split, seed=7)
    assert 3 not in gold.context.present
    assert 3 not in set(gold.context.data.edge_index[0].tolist())


def test_a_gnn_with_a_client_per_subgraph():
    graph = sbm()
    parts = split_nodes(graph)
    nodes = iid(torch.arange(72), 3)
    held = [Clients(part, "node", nodes) for part in parts]
    task = federated(NodeClassification(), Rounds(epochs=10, local_epochs=3, lr=0.02, eval_every=10, keep="updates"))
    assert all(isinstance(task, protocol) for protocol in (Scored, Local, Layered))
    with seeded(0):
        model = GCN(8, 12, 3)
    record = TrainRecord()
    task.fit(model, held[0], held[1], seed=0, record=record)
    assert task.evaluate(model, held[0], held[2])["accuracy"] > 0.6
    split = ForgetSplit.of(held[0], ForgetRequest.of("client", [1]), held[1])
    results = {
        "conda": ConDa(alpha=0.9).unlearn(model, task, split, record=record.notes),
        "eraser": FedEraser().unlearn(model, task, split, record=record.notes),
        "finetune": FineTune(epochs=2).unlearn(model, task, split),
        "gold": Retrain().unlearn(model, task, split, seed=9),
    }
    odd = graph.x.clone()
    odd[nodes[1]] = 9.0  # other features in place of the forgotten change nothing
    for name, found in results.items():
        assert not torch.isin(found.context.data.edge_index, nodes[1]).any(), name
        assert not equal_states(state(found.model), state(model)), name
    changed = Clients(replace(parts.train, features={"x": odd}), "node", nodes)
    other = ForgetSplit.of(changed, ForgetRequest.of("client", [1]), held[1])
    again = Retrain().unlearn(model, task, other, seed=9)
    assert equal_states(state(again.model), state(results["gold"].model))


def test_links_of_a_federated_graph():
    graph = sbm()
    clients = Clients(graph, "node", {n: torch.arange(n * 36, (n + 1) * 36) for n in range(2)})
    task = federated(LinkPrediction(), Rounds(epochs=5, local_epochs=3, lr=0.02, eval_every=5))
    with seeded(0):
        model = GCN(8, 12, 8)
    record = TrainRecord()
    task.fit(model, clients, clients, seed=0, record=record)
    split = ForgetSplit.of(clients, ForgetRequest.of("client", [1]), clients)
    found = ConDa(alpha=0.99).unlearn(model, task, split, record=record.notes)
    assert found.record["history"].clients == (0,)
    assert task.evaluate(found.model, found.context, split.untouched)["auc"] > 0.5
