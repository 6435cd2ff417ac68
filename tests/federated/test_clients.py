"""Who holds what: splits among clients, parts of any domain's data, requests."""

from __future__ import annotations

import pytest
import torch

from graphforget.elements import held
from graphforget.errors import InputError, UnknownName
from graphforget.federated.clients import Clients, dirichlet, iid, shards
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.samples import Samples
from tests.federated.small import dealt, digits
from tests.small import sbm

MAKERS = {
    "iid": lambda ids, y, n, seed: iid(ids, n, seed=seed),
    "dirichlet": lambda ids, y, n, seed: dirichlet(ids, y, n, seed=seed),
    "shards": lambda ids, y, n, seed: shards(ids, y, n, seed=seed),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", MAKERS)
def test_every_row_goes_to_one_client_and_the_same_seed_deals_alike(name, seed):
    ids, y = digits().train.rows(), digits().train.y
    parts = MAKERS[name](ids, y, 10, seed)
    assert torch.cat(list(parts.values())).sort().values.equal(ids)
    assert min(len(part) for part in parts.values()) >= 10
    again, other = MAKERS[name](ids, y, 10, seed), MAKERS[name](ids, y, 10, seed + 1)
    assert all(parts[n].equal(again[n]) for n in parts)
    assert not all(parts[n].equal(other[n]) for n in parts)


def test_how_uneven_the_labels_are():
    """IID holds every label everywhere, shards few, Dirichlet lies between and follows alpha."""
    ids, y = digits().train.rows(), digits().train.y

    def top(parts):
        return sum(float(y[part].bincount(minlength=10).max()) / len(part) for part in parts.values()) / len(parts)

    even, uneven = (top(dirichlet(ids, y, 10, alpha=alpha)) for alpha in (100.0, 0.3))
    assert top(iid(ids, 10)) < 0.2
    assert even < 0.2 < uneven
    assert all(len(y[part].unique()) <= 4 for part in shards(ids, y, 10).values())


def test_a_client_at_its_fair_share_gets_no_more_of_later_classes():
    parts = dirichlet(torch.arange(1000), torch.arange(1000) % 10, 10, alpha=0.1, seed=3)
    assert max(map(len, parts.values())) <= 100 + 100  # its share, and at most one class beyond it


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: iid(torch.arange(3), 4), "clients must lie in"),
        (lambda: dirichlet(torch.arange(30), torch.zeros(30), 4), "need 40"),
        (lambda: dirichlet(torch.arange(30), torch.zeros(30), 2, alpha=0), "alpha must be positive"),
        (lambda: shards(torch.arange(5), torch.zeros(5), 3), "must lie in"),
        (lambda: dirichlet(torch.arange(20), torch.zeros(20), 2, alpha=0.001), "no draw of 1000"),
        (lambda: Clients(digits().train, "sample", {}), "at least one client"),
        (lambda: Clients(digits().train, "sample", {0: torch.arange(3), 1: torch.arange(2, 4)}), "sample 2 belongs"),
        (lambda: Clients(digits().train, "sample", {0: torch.zeros(2)}), "needs integer ids"),
        (lambda: held(digits().train, "node"), "data are held as samples of rows"),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_a_client_sees_its_own_rows_only():
    train = dealt().train
    for client in train.present:
        assert train.part(client).rows().equal(train.ids[client])
        assert train.size(client) == len(train.ids[client])


@pytest.mark.parametrize("clients", [[3], [0, 7]])
def test_clients_are_forgotten_whole(clients):
    parts = dealt()
    split = ForgetSplit.of(parts.train, ForgetRequest.of("client", clients), parts.val)
    gone = torch.cat([parts.train.ids[client] for client in clients]).sort().values
    assert split.forget.data.rows().equal(gone)
    assert split.forget.present == tuple(clients)
    assert not set(split.retain.present) & set(clients)
    assert split.held_out.data.rows().equal(parts.val.data.rows())
    assert split.untouched.data.rows().equal(split.retain.data.rows())


def test_a_class_goes_from_every_client_and_samples_from_theirs():
    parts = dealt()
    split = ForgetSplit.of(parts.train, ForgetRequest.of("class", [3]), parts.val)
    assert not (split.retain.data.y[split.retain.data.rows()] == 3).any()
    assert not (split.held_out.data.y[split.held_out.data.rows()] == 3).any()
    for client in split.retain.present:
        rows = split.retain.part(client).rows()
        assert set(rows.tolist()) == {i for i in parts.train.ids[client].tolist() if parts.train.data.y[i] != 3}
    mixed = ForgetRequest.of("client", [2]) + ForgetRequest.of("sample", parts.train.ids[5][:4])
    forget, _ = parts.train.partition(mixed.parts)
    assert forget.data.rows().equal(torch.cat([parts.train.ids[2], parts.train.ids[5][:4]]).sort().values)


def test_an_unknown_client_and_one_that_left_are_named():
    parts = dealt()
    with pytest.raises(UnknownName, match="got 10"):
        parts.train.partition({"client": torch.tensor([10])})
    split = ForgetSplit.of(parts.train, ForgetRequest.of("client", [4]), parts.val)
    with pytest.raises(UnknownName, match="got 4"):
        split.then(ForgetRequest.of("client", [4]))
    with pytest.raises(UnknownName, match="unknown client"):
        split.retain.part(4)
    with pytest.raises(InputError, match="covers everything"):
        parts.train.partition({"client": torch.arange(10)})


def graph_clients() -> Clients[Graph]:
    graph = sbm()
    return Clients(graph, "node", {n: torch.arange(n * 18, (n + 1) * 18) for n in range(4)})


def test_a_subgraph_client_sees_no_edge_to_others_and_none_of_their_features():
    clients = graph_clients()
    part = clients.part(1)
    own = clients.ids[1]
    inside = torch.isin(clients.data.edge_index, own).all(0)
    assert part.edge_index.equal(clients.data.edge_index[:, inside])
    others = torch.ones(72, dtype=torch.bool)
    others[own] = False
    assert not part.x[others].any()
    assert part.x[own].equal(clients.data.x[own])
    assert part.nodes().equal(own)


def test_a_forgotten_subgraph_leaves_no_edge_and_no_feature():
    clients = graph_clients()
    split = ForgetSplit.of(clients, ForgetRequest.of("client", [2]), clients)
    gone = clients.ids[2]
    assert not torch.isin(split.retain.data.edge_index, gone).any()
    assert not split.retain.data.x[gone].any()
    assert split.retain.present == (0, 1, 3)
    assert split.forget.present == (2,)


def test_a_user_is_a_client_with_nobody_elses_interactions():
    graph = Graph(torch.tensor([[0, 0, 1, 1, 2], [0, 1, 1, 2, 3]]), (3, 4), bipartite=True)
    clients = Clients(graph, "user", {n: torch.tensor([n]) for n in range(3)})
    assert clients.part(1).edge_index.tolist() == [[1, 1], [1, 2]]
    forget, retain = clients.partition({"client": torch.tensor([0])})
    assert forget.data.edge_index.tolist() == [[0, 0], [0, 1]]
    assert retain.data.edge_index.tolist() == [[1, 1, 2], [1, 2, 3]]
    assert retain.present == (1, 2)


def test_a_client_that_can_learn_nothing_alone_is_named():
    graph = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 4, features={"x": torch.eye(4)})
    clients = Clients(graph, "node", {0: torch.tensor([0, 1]), 1: torch.tensor([2, 3])})
    assert clients.part(0).num_edges == 2
    with pytest.raises(InputError, match="client 1 holds nothing to learn from by itself"):
        clients.part(1)


def test_a_client_alone_holds_all():
    rows = Samples(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1]))
    assert Clients(rows, "sample", {7: torch.arange(4)}).part(7) is rows
