"""GNNDelete: the equations in float64 against numpy, what the operators may touch, and the result as a model."""

from __future__ import annotations

import copy
import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch_geometric.nn import GCNConv

from graphforget.errors import InputError, UnknownName
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn import gnndelete
from graphforget.gnn.gnndelete import GNNDelete, endpoints, region, restore
from graphforget.gnn.models import build
from graphforget.gnn.task import LinkPrediction, NodeClassification, encode
from graphforget.graph import Graph
from tests import naive_gnn
from tests.small import equal_states, graphs, sbm, state

LINK, NODE = LinkPrediction(), NodeClassification()
TASKS = {"link": LINK, "node": NODE}
IDS = {"edge": [0, 5, 9], "node": [3, 4], "feature": [7, 8], "label": [1, 2]}
QUICK = GNNDelete(epochs=3)


class Plain(nn.Module):
    """PyG's own layers, in any precision."""

    def __init__(self, in_channels: int = 3, hidden: int = 2, out: int = 2):
        super().__init__()
        self.conv1, self.conv2 = GCNConv(in_channels, hidden), GCNConv(hidden, out)
        nn.init.uniform_(self.conv1.bias, 1, 2)  # alive behind the ReLU
        nn.init.normal_(self.conv2.bias)

    def forward(self, x, edge_index):
        return self.conv2(self.conv1(x, edge_index).relu(), edge_index)


class Homemade(nn.Module):
    """Layers that are no PyG layers, with dropout and an edge weight."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.drop = nn.Linear(8, 4), nn.Linear(4, 3), nn.Dropout(0.5)

    def forward(self, x, edge_index, edge_weight=None):
        weight = torch.ones(edge_index.shape[1]) if edge_weight is None else edge_weight
        h = self.drop(self.first(x)).relu()
        return self.second(h.index_add(0, edge_index[1], h[edge_index[0]] * weight[:, None]))


def reference(name: str = "gcn") -> nn.Module:
    torch.manual_seed(0)
    return build(name, 8, 6, 3)


def split_of(kind: str, ids=None, graph: Graph | None = None) -> ForgetSplit[Graph]:
    graph = sbm() if graph is None else graph
    return ForgetSplit.of(graph, ForgetRequest.of(kind, IDS[kind] if ids is None else ids), graph)


def set_operators(model: nn.Module, make) -> None:
    with torch.no_grad():
        for stage in model.gnndelete:
            for operator in stage:
                operator.weight.copy_(make(operator.weight))


# --- the equations: path 0-1-2-3-4, edge (0, 1) goes; S^1 = {0, 1, 2}, S^2 = {0, 1, 2, 3}

PATH = [(0, 1), (1, 2), (2, 3), (3, 4)]
S1, S2 = [0, 1, 2], [0, 1, 2, 3]
NON_EDGES = [(0, 2), (4, 1)]


def both(edges):
    return [*edges, *((v, u) for u, v in edges)]


def path_case():
    torch.manual_seed(3)
    x = torch.randn(5, 3, dtype=torch.float64)
    graph = Graph.from_edges(torch.tensor(PATH).T, 5, features={"x": x})
    model = Plain().double()
    layers = [(c.lin.weight.detach().numpy(), c.bias.detach().numpy()) for c in (model.conv1, model.conv2)]
    return graph, model, layers


def naive_losses(graph, layers, deletions, lam=0.3):
    inside = naive_gnn.gcn_matrix(both(PATH[:3]), 5)  # edges within S^2, the forgotten one included
    retained = naive_gnn.gcn_matrix(both(PATH[1:]), 5)
    x, none = graph.x.numpy(), [(np.eye(2), []), (np.eye(2), [])]
    z = naive_gnn.gnndelete_outputs(inside, x, layers, [(deletions[0], S1), (deletions[1], S2)])
    zori = naive_gnn.gnndelete_outputs(retained, x, layers, none)
    forgotten = both(PATH[:1])
    kept = [[2], [2, 3]]  # S^l without the ends of the forgotten edge
    return [naive_gnn.gnndelete_loss(z[i], zori[i], forgotten, NON_EDGES, kept[i], lam) for i in (0, 1)]


def test_loss_gradients_and_steps_equal_numpy(monkeypatch):
    graph, model, layers = path_case()
    monkeypatch.setattr(gnndelete, "sample_negatives", lambda *_a, **_k: torch.tensor(NON_EDGES).T)
    split = split_of("edge", [[0], [1]], graph)
    deletions = [np.full((2, 2), 1e-3), np.full((2, 2), 1e-3)]
    m, s = [np.zeros((2, 2))] * 2, [np.zeros((2, 2))] * 2
    loss = 0.0
    for t in range(1, 5):  # Adam with the layerwise rule: W_D^l follows loss^l alone, all gradients before any step
        loss = sum(naive_losses(graph, layers, deletions))
        slopes = [
            naive_gnn.slope(lambda w: naive_losses(graph, layers, [w, deletions[1]])[0], deletions[0]),
            naive_gnn.slope(lambda w: naive_losses(graph, layers, [deletions[0], w])[1], deletions[1]),
        ]
        for i, g in enumerate(slopes):
            m[i], s[i] = 0.9 * m[i] + 0.1 * g, 0.999 * s[i] + 0.001 * g**2
            deletions[i] = deletions[i] - 0.1 * (m[i] / (1 - 0.9**t)) / (np.sqrt(s[i] / (1 - 0.999**t)) + 1e-8)
    result = GNNDelete(alpha=0.3, epochs=4, lr=0.1).unlearn(model, LINK, split)
    for operator, expected in zip(result.model.gnndelete[0], deletions, strict=True):
        np.testing.assert_allclose(operator.weight.detach().numpy(), expected, atol=1e-6)
    assert result.record["loss"] == pytest.approx(loss, rel=1e-9)
    assert result.record["region"] == [3, 4]


def test_the_first_gradient_does_not_contain_the_second_loss():
    graph, model, layers = path_case()
    deletions = [np.full((2, 2), 0.5), np.full((2, 2), 0.5)]
    alone = naive_gnn.slope(lambda w: naive_losses(graph, layers, [w, deletions[1]])[0], deletions[0])
    leaked = naive_gnn.slope(lambda w: sum(naive_losses(graph, layers, [w, deletions[1]])), deletions[0])
    assert np.abs(leaked - alone).max() > 1e-3, "the case cannot tell the two rules apart"
    modules = [model.conv1, model.conv2]
    masks = [torch.isin(torch.arange(5), torch.tensor(s)) for s in (S1, S2)]
    zori = gnndelete._run(model, split_of("edge", [[0], [1]], graph).retain, {"1": modules[0], "2": modules[1]})
    model.requires_grad_(False)
    stage = gnndelete.insert(model, modules, masks, [torch.from_numpy(d) for d in deletions])
    inside = graph.with_edges((graph.edge_index < 4).all(0))
    z = gnndelete._run(model, inside, {"1": modules[0], "2": modules[1]})
    asked, others = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 4, 2, 1])
    kept = [torch.tensor([2]), torch.tensor([2, 3])]
    parts = [gnndelete.layer_loss(z[k], zori[k].detach(), asked, others, kept[i], 0.3) for i, k in enumerate("12")]
    sum(parts).backward()
    np.testing.assert_allclose([part.item() for part in parts], naive_losses(graph, layers, deletions), rtol=1e-12)
    np.testing.assert_allclose(stage[0].weight.grad.numpy(), alone, atol=1e-7)
    assert all(p.grad is None for name, p in model.named_parameters() if "gnndelete" not in name)


# --- what the operators may touch


@pytest.mark.parametrize("name", ["gcn", "gat", "gin", "sage"])
def test_identity_operators_are_exactly_utu(name):
    split, model = split_of("edge"), reference(name)
    result = QUICK.unlearn(model, LINK, split)
    set_operators(result.model, lambda weight: torch.eye(len(weight)))
    assert encode(result.model, result.context).equal(encode(model, split.retain))


@pytest.mark.parametrize("name", ["gcn", "gat", "gin", "sage"])
@pytest.mark.parametrize("kind", ["edge", "node"])
def test_outside_the_region_outputs_are_utus_bit_for_bit_whatever_the_operators(name, kind):
    ring = torch.stack([torch.arange(30), (torch.arange(30) + 1) % 30])
    graph = Graph.from_edges(ring, 30, features={"x": torch.randn(30, 8, generator=torch.Generator().manual_seed(1))})
    split, model = split_of(kind, [[4], [5]] if kind == "edge" else [4], graph), reference(name)
    result = QUICK.unlearn(model, LINK, split)
    set_operators(result.model, torch.randn_like)
    outside = region(split, 2) < 0
    assert int(outside.sum()) == {"edge": 24, "node": 23}[kind]
    unlearned, utu = encode(result.model, result.context), encode(model, split.retain)
    assert unlearned[outside].equal(utu[outside])
    assert not torch.isclose(unlearned[~outside], utu[~outside]).all()


@pytest.mark.parametrize(("kind", "task"), [(k, t) for k in IDS for t in TASKS if (k, t) != ("label", "link")])
def test_every_kind_trains_the_operators_and_nothing_else(kind, task):
    split, model = split_of(kind), reference()
    before = state(model)
    result = QUICK.unlearn(model, TASKS[task], split, seed=1)
    after = state(result.model)
    assert equal_states(before, state(model))
    assert equal_states(before, {name: value for name, value in after.items() if name in before})
    trained = {name for name in after if name not in before}
    assert trained == {f"gnndelete.0.{i}.{part}" for i in (0, 1) for part in ("weight", "mask")}
    assert all(not bool((after[name] == 1e-3).any()) for name in trained if name.endswith("weight"))
    assert {n for n, p in result.model.named_parameters() if p.requires_grad} == {n for n in trained if "weight" in n}
    assert all(p.grad is None for p in result.model.parameters())
    batch = TASKS[task].elements(split.retain, split.forget)
    new, old = (TASKS[task].teacher(m, split.retain)(batch) for m in (result.model, model))
    assert not torch.isclose(new, old).all(), "nothing changed"


def test_the_same_seed_gives_the_same_operators():
    a, b, c = (QUICK.unlearn(reference(), LINK, split_of("edge"), seed=seed).model for seed in (1, 1, 2))
    assert equal_states(state(a), state(b))
    assert not equal_states(state(a), state(c))


def test_negatives_are_drawn_each_epoch_or_once(monkeypatch):
    drawn = []
    real = gnndelete.sample_negatives
    monkeypatch.setattr(gnndelete, "sample_negatives", lambda *a, **k: drawn.append(real(*a, **k)) or drawn[-1])
    split = split_of("edge")
    QUICK.unlearn(reference(), LINK, split)
    assert len(drawn) == 3
    known = set(zip(*split.data.edge_index.tolist(), strict=True))
    assert all(not known & set(zip(*pairs.tolist(), strict=True)) for pairs in drawn)
    drawn.clear()
    GNNDelete(epochs=3, negatives="once").unlearn(reference(), LINK, split)
    assert len(drawn) == 1


def test_the_first_layer_runs_once_before_training(monkeypatch):
    calls = []
    model = reference()
    original = type(model.conv1).forward
    monkeypatch.setattr(type(model.conv1), "forward", lambda self, *a: calls.append(self) or original(self, *a))
    counts = []
    for epochs in (2, 12):
        calls.clear()
        GNNDelete(epochs=epochs).unlearn(model, LINK, split_of("edge"))
        counts.append(len(calls))
    assert counts[1] - counts[0] == 10, "only the second layer may run once an epoch"


def test_dropout_is_off_while_the_operators_learn():
    task = LinkPrediction(layer_names=("first", "second"))
    a, b = (GNNDelete(epochs=4, negatives="once").unlearn(Homemade().train(), task, split_of("edge")) for _ in range(2))
    assert a.record["loss"] != b.record["loss"], "two models"
    torch.manual_seed(0)
    model = Homemade().train()
    a, b = (GNNDelete(epochs=4).unlearn(model, task, split_of("edge"), seed=3) for _ in range(2))
    assert a.record["loss"] == b.record["loss"]
    assert a.model.training
    assert a.model.drop.training


def test_it_learns_and_stops():
    method = GNNDelete(init="identity", lr=1e-2, negatives="once", window=10, epochs=400)
    result = method.unlearn(reference(), LINK, split_of("edge"))
    first = replace(method, epochs=1).unlearn(reference(), LINK, split_of("edge"))
    assert 20 <= result.record["epochs"] < 400
    assert result.record["loss"] < first.record["loss"]
    longer = replace(method, gain=0, epochs=result.record["epochs"] + 5)
    assert longer.unlearn(reference(), LINK, split_of("edge")).record["epochs"] == longer.epochs


# --- regions and rows


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_regions_equal_breadth_first_search(graph):
    split = split_of("edge", [0], graph)
    edges = list(zip(*graph.edge_index.tolist(), strict=True))
    seeds = set(split.forget.edge_index.flatten().tolist())
    assert region(split, 2).tolist() == naive_gnn.hops(edges, graph.num_nodes, seeds, 2)
    lower = [(v, u) for u, v in edges if u < v or not graph.undirected]
    assert region(split, 2, legacy=True).tolist() == naive_gnn.hops(lower, graph.num_nodes, seeds, 2)


def test_a_forgotten_node_reaches_one_hop_further_than_a_feature():
    graph = Graph.from_edges(torch.tensor(list(pairwise(range(7)))).T, 7, features={"x": torch.eye(7)})
    assert region(split_of("node", [0], graph), 2).tolist() == [0, 0, 1, 2, -1, -1, -1]
    assert region(split_of("feature", [0], graph), 2).tolist() == [0, 1, 2, -1, -1, -1, -1]


def test_rows_to_randomise_are_those_the_request_speaks_for():
    star = Graph.from_edges(torch.tensor([[0, 0, 0], [1, 2, 3]]), 6, features={"x": torch.eye(6)})
    assert sorted(endpoints(split_of("edge", [[0], [1]], star).forget).tolist()) == [0, 0, 1, 1]
    assert endpoints(split_of("node", [1, 5], star).forget).tolist() == [1, 1, 5], "the neighbour is kept"
    assert sorted(endpoints(split_of("feature", [2], star).forget).tolist()) == [2, 2]


def test_a_node_without_edges_can_be_forgotten():
    graph = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 5, features={"x": torch.eye(5)}, y=torch.arange(5) % 2)
    result = QUICK.unlearn(build("gcn", 5, 4, 2), NODE, split_of("node", [4], graph))
    assert result.record["region"] == [1, 1]


# --- the result as a model


def test_a_copy_and_a_saved_module_are_independent():
    split = split_of("edge")
    result = QUICK.unlearn(reference(), LINK, split)
    before = encode(result.model, split.retain)
    twin = copy.deepcopy(result.model)
    assert encode(twin, split.retain).equal(before)
    set_operators(twin, torch.zeros_like)
    assert not encode(twin, split.retain).equal(before)
    assert encode(result.model, split.retain).equal(before)
    buffer = io.BytesIO()
    torch.save(result.model, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    layer = next(iter(LINK.layers(loaded, split.retain, split.retain).values()))  # hooks beside the operators'
    assert layer.shape == (72, 6)
    assert encode(loaded, split.retain).equal(before)


def test_a_saved_state_can_be_restored():
    split = split_of("edge")
    first = QUICK.unlearn(reference(), LINK, split)
    second = QUICK.unlearn(first.model, LINK, split.then(ForgetRequest.of("node", [11])))
    for result in (first, second):
        saved = {name: value.clone() for name, value in result.model.state_dict().items()}
        plain = build("gcn", 8, 6, 3)
        again = restore(plain, list(LINK.find_layers(plain).values()), saved)
        assert encode(again, split.retain).equal(encode(result.model, split.retain))


def test_a_later_request_adds_a_stage_and_keeps_the_earlier_ones():
    graph, model = sbm(), reference()
    split = ForgetSplit.of(graph, ForgetRequest.of("edge", graph.edge_index[:, [0, 40]]), graph)
    first = QUICK.unlearn(model, LINK, split)
    then = split.then(ForgetRequest.of("node", [11]))
    second = QUICK.unlearn(first.model, LINK, then)
    before, after = state(first.model), state(second.model)
    assert equal_states(before, {name: value for name, value in after.items() if name in before})
    assert set(after) - set(before) == {f"gnndelete.1.{i}.{part}" for i in (0, 1) for part in ("weight", "mask")}
    with torch.no_grad():
        for operator in second.model.gnndelete[1]:
            operator.weight.copy_(torch.eye(len(operator.weight)))
    assert encode(second.model, then.retain).equal(encode(first.model, then.retain))


def test_the_users_own_class_comes_back_with_its_contract():
    task = LinkPrediction(layer_names=("first", "second"))
    graph = sbm()
    weighted = replace(graph, edge_attrs={"weight": torch.rand(graph.num_edges)})
    split = split_of("edge", None, weighted)
    result = QUICK.unlearn(Homemade().eval(), task, split)
    assert type(result.model) is Homemade
    assert set(task.find_layers(result.model)) == {"first", "second"}
    plain = split_of("edge").retain
    assert not encode(result.model, split.retain).equal(encode(result.model, plain)), "edge weights were not passed on"
    assert QUICK.unlearn(reference(), LINK, split_of("edge")).model.accepts_sparse


def test_another_graph_is_refused():
    result = QUICK.unlearn(reference(), LINK, split_of("edge"))
    with pytest.raises(InputError, match=r"know a graph of 72 nodes \(got 5\)"):
        result.model(torch.ones(5, 8), torch.tensor([[0], [1]]))


def test_a_layer_that_runs_twice_is_refused():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GCNConv(8, 8)

        def forward(self, x, edge_index):
            return self.conv(self.conv(x, edge_index), edge_index)

    with pytest.raises(InputError, match="'conv' runs more than once"):
        QUICK.unlearn(Twice(), LINK, split_of("edge"))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"alpha": 1.5}, InputError, "alpha must lie in"),
        ({"gain": 1.0}, InputError, "gain must lie in"),
        ({"epochs": 0}, InputError, "epochs must be at least 1"),
        ({"window": 0}, InputError, "window must be at least 1"),
        ({"init": "one"}, UnknownName, "did you mean 'ones'"),
        ({"masks": "tru"}, UnknownName, "did you mean 'true'"),
        ({"negatives": "never"}, UnknownName, "unknown negatives"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        GNNDelete(**options)
