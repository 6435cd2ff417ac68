"""How GNNs are run, trained and scored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification, encode, isolated
from graphforget.graph import Graph
from graphforget.train import Recipe
from tests.small import both_ways, edges_of, sbm, state

LINK, NODE = LinkPrediction(), NodeClassification()


def split_of(kind: str, ids, graph: Graph | None = None) -> ForgetSplit[Graph]:
    graph = sbm() if graph is None else graph
    return ForgetSplit.of(graph, ForgetRequest.of(kind, ids), graph)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Weighted(nn.Module):
    """A user's own module that asks for edge weights and has no PyG layer."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 3)

    def forward(self, x, edge_index, edge_weight=None):
        h = self.inner(x)
        weight = torch.ones(edge_index.shape[1]) if edge_weight is None else edge_weight
        return h.index_add(0, edge_index[1], h[edge_index[0]] * weight[:, None])


# --- what a view asks


def test_a_view_is_asked_once_each_in_order_without_negatives():
    graph = sbm()
    (batch,) = LINK.batches(graph, graph, None)
    assert batch.index.equal(graph.pairs())
    assert batch.label.eq(1).all()
    (batch,) = NODE.batches(graph, replace(graph, node_mask=graph.y == 1), None)
    assert batch.index.tolist() == (graph.y == 1).nonzero().flatten().tolist()
    assert batch.label.eq(1).all()


@pytest.mark.parametrize("size", [None, 7, 10_000])
def test_mini_batches_cover_every_element_once(size):
    graph = sbm()
    link, node = LinkPrediction(recipe=Recipe(batch_size=size)), NodeClassification(recipe=Recipe(batch_size=size))
    batches = list(link.batches(graph, graph, rng()))
    assert max(batch.size for batch in batches) <= (size or 10**9)
    index, label = torch.cat([b.index for b in batches], dim=1), torch.cat([b.label for b in batches])
    assert edges_of(index[:, label == 1]) == edges_of(graph.pairs())
    assert int((label == 0).sum()) == graph.pairs().shape[1]
    batches = list(node.batches(graph, graph, rng()))
    assert torch.cat([b.index for b in batches]).sort().values.tolist() == list(range(graph.num_nodes))
    for batch in batches:
        assert batch.label.equal(graph.y[batch.index])


def test_batches_follow_their_generator():
    graph, task = sbm(), LinkPrediction(recipe=Recipe(batch_size=50))
    first, again, other = (list(task.batches(graph, graph, rng(seed))) for seed in (1, 1, 2))
    assert all(a.index.equal(b.index) for a, b in zip(first, again, strict=True))
    assert not all(a.index.equal(b.index) for a, b in zip(first, other, strict=True))


def test_no_positive_of_context_or_view_is_a_negative():
    split = split_of("edge", list(range(60)), sbm(24, inside=0.6, between=0.4))
    for view in (split.retain, split.forget):
        for seed in range(20):
            for batch in LINK.batches(split.retain, view, rng(seed)):
                drawn = batch.index[:, batch.label == 0]
                assert not both_ways(drawn) & (both_ways(split.retain.edge_index) | both_ways(view.edge_index))
                assert (drawn[0] != drawn[1]).all()
                assert drawn.shape[1] == view.pairs().shape[1]


def test_retained_negatives_may_be_forgotten_edges():
    """Avoiding them would use what must be forgotten: gold does not know them."""
    split = split_of("edge", list(range(60)), sbm(24, inside=0.6, between=0.4))
    drawn = set()
    for seed in range(30):
        for batch in LINK.batches(split.retain, split.retain, rng(seed)):
            drawn |= both_ways(batch.index[:, batch.label == 0])
    assert drawn & both_ways(split.forget.edge_index)


def test_removed_nodes_are_asked_in_isolation_with_their_features():
    split, model = split_of("node", [3, 30]), GCN(8, 6, 3)
    batch = NODE.elements(split.retain, split.forget)
    assert batch.index.tolist() == [3, 30]
    assert batch.label.equal(split.data.y[[3, 30]])
    outputs = NODE.outputs(model, split.retain, batch)
    alone = model(split.data.x[[3, 30]], torch.zeros(2, 0, dtype=torch.int64))
    torch.testing.assert_close(outputs, alone)
    context = isolated(split.retain, split.forget)
    assert context.edge_index is split.retain.edge_index
    assert not split.retain.x[[3, 30]].any()  # the retain part itself still knows nothing of them
    assert isolated(split.retain, split.untouched) is None
    assert isolated(split.data, split.forget) is None


def test_an_edge_at_a_removed_node_is_asked_with_its_features_but_no_edge():
    split, model = split_of("node", [3]), GCN(8, 6, 3)
    batch = LINK.elements(split.retain, split.forget)
    assert (batch.index == 3).any(0).all()
    x = split.data.x.clone()
    hidden = model(x, split.retain.edge_index)
    wanted = (hidden[batch.index[0]] * hidden[batch.index[1]]).sum(1)
    torch.testing.assert_close(LINK.outputs(model, split.retain, batch), torch.stack([0 * wanted, wanted], dim=1))


# --- how models run


def test_a_users_own_module_runs_and_gets_the_attributes_it_names():
    graph, model = sbm(), Weighted()
    weighted = replace(graph, edge_attrs={"weight": torch.rand(graph.num_edges), "time": torch.rand(graph.num_edges)})
    assert encode(model, weighted).equal(model(graph.x, graph.edge_index, weighted.edge_attrs["weight"]))
    assert encode(model, graph).equal(model(graph.x, graph.edge_index))
    assert not encode(model, graph).equal(encode(model, weighted))
    left = weighted.with_edges(torch.arange(0, graph.num_edges, 2))
    assert encode(model, left).equal(model(graph.x, left.edge_index, left.edge_attrs["weight"]))


@pytest.mark.parametrize("forward", [lambda x: x[:5], lambda x: x[0], lambda x: (x, x), lambda x: x.sum()])
def test_a_wrong_output_shape_is_refused(forward):
    class Odd(nn.Linear):
        def forward(self, x, edge_index):
            return forward(super().forward(x))

    with pytest.raises(InputError, match=r"must return \[72, d\] \(got"):
        encode(Odd(8, 3), sbm())


def test_sparse_features_go_only_to_models_that_accept_them():
    graph = sbm()
    thin = replace(graph, features={"x": graph.x * (torch.rand(graph.x.shape, generator=rng()) < 0.05)})
    seen = []

    class Plain(nn.Linear):
        def forward(self, x, edge_index):
            seen.append(x.layout)
            return super().forward(x)

    class Ready(Plain):
        accepts_sparse = True

        def forward(self, x, edge_index):
            seen.append(x.layout)
            return x.to_dense()

    encode(Plain(8, 3), thin)
    encode(Ready(8, 3), thin)
    encode(Ready(8, 3), graph)
    assert seen == [torch.strided, torch.sparse_csr, torch.strided]
    model = GCN(8, 6, 3)
    torch.testing.assert_close(encode(model, thin), model(thin.x, thin.edge_index))


def test_link_outputs_are_zero_and_the_dot_product():
    graph, model = sbm(), GCN(8, 6, 3)
    hidden, batch = model(graph.x, graph.edge_index), LINK.elements(graph, graph)
    wanted = torch.tensor([float(hidden[u] @ hidden[v]) for u, v in batch.index.T.tolist()])
    out = LINK.outputs(model, graph, batch)
    assert out[:, 0].eq(0).all()
    torch.testing.assert_close(out[:, 1], wanted)
    torch.testing.assert_close(LINK.scores(out, batch), wanted)


def test_a_score_is_a_logit_and_a_shift_lowers_it_by_delta():
    graph = sbm()
    for task, model in ((LINK, GCN(8, 6, 3)), (NODE, GCN(8, 6, 3))):
        batch = task.elements(graph, graph)
        out = task.outputs(model, graph, batch)
        belief = out.softmax(1).gather(1, batch.label[:, None]).squeeze(1)
        torch.testing.assert_close(task.scores(out, batch).sigmoid(), belief)
        delta = torch.rand(batch.size, generator=rng())
        moved = task.shift(out, batch, delta)
        torch.testing.assert_close(task.scores(moved, batch), task.scores(out, batch) - delta)


def test_cached_layers_of_pyg_see_the_context_they_are_given():
    """GCNConv(cached=True) keeps the first adjacency it sees: the forgotten edges would stay for ever."""

    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GCNConv(8, 3, cached=True)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index)

    split, model = split_of("edge", list(range(40))), Cached()
    model(split.data.x, split.data.edge_index)  # as any training leaves it
    plain = GCNConv(8, 3)
    plain.load_state_dict(model.conv.state_dict())
    batch = LINK.elements(split.retain, split.forget)
    hidden = plain(split.retain.x, split.retain.edge_index)
    wanted = (hidden[batch.index[0]] * hidden[batch.index[1]]).sum(1)
    torch.testing.assert_close(LINK.outputs(model, split.retain, batch)[:, 1], wanted)


# --- layers


def test_layers_are_found_run_on_the_context_and_cut_to_the_view():
    split, model = split_of("edge", list(range(12))), GCN(8, 6, 3)
    found = LINK.layers(model, split.retain, split.forget)
    rows = split.forget.nodes()
    assert list(found) == ["conv1", "conv2"]
    assert found["conv1"].equal(model.conv1(split.retain.x, split.retain.edge_index)[rows])
    assert found["conv2"].equal(model(split.retain.x, split.retain.edge_index)[rows])
    assert found["conv1"].requires_grad
    assert not model.conv1._forward_hooks


def test_layers_can_be_named_and_unknown_ones_are_refused():
    graph, model = sbm(), Weighted()
    assert list(LinkPrediction(layer_names=("inner",)).layers(model, graph, graph)) == ["inner"]
    with pytest.raises(InputError, match=r"no layer 'outer'; known: \['inner'\]"):
        LinkPrediction(layer_names=("outer",)).layers(model, graph, graph)
    with pytest.raises(InputError, match="inner"):
        LINK.layers(model, graph, graph)


# --- near and far


def test_near_and_region_follow_hops_in_the_whole_graph():
    path = torch.stack([torch.arange(9), torch.arange(1, 10)])
    split = split_of("edge", [[4], [5]], Graph.from_edges(path, 10, features={"x": torch.eye(10)}))
    batch = LINK.elements(split.retain, split.retain)
    near = [edge for edge, hit in zip(batch.index.T.tolist(), LINK.near(split, batch, 1).tolist(), strict=True) if hit]
    assert near == [[2, 3], [3, 4], [5, 6], [6, 7]]
    assert LINK.region(split, 0) == pytest.approx(0.2)
    assert LINK.region(split, 1) == pytest.approx(0.4)
    assert LINK.region(split, 20) == 1


# --- evaluation


def test_evaluate_agrees_with_outputs():
    graph, model = sbm(), GCN(8, 6, 3)
    negatives = torch.tensor([[0, 2, 4], [1, 3, 5]])
    view = replace(graph.with_edges(torch.arange(0, 60)), negatives=negatives, undirected=False)
    batch = LINK.elements(graph, view)
    positive = LINK.outputs(model, graph, batch)[:, 1]
    hidden = model(graph.x, graph.edge_index)
    negative = (hidden[view.negatives[0]] * hidden[view.negatives[1]]).sum(1)
    auc = float((positive[:, None] > negative).float().mean() + 0.5 * (positive[:, None] == negative).float().mean())
    found = LINK.evaluate(model, graph, view)
    assert found["auc"] == pytest.approx(auc, abs=1e-6)
    assert found["belief"] == pytest.approx(float(positive.sigmoid().mean()), abs=1e-6)
    assert LINK.held_out_score(model, graph, view) == pytest.approx(auc, abs=1e-6)

    batch = NODE.elements(graph, graph)
    outputs = NODE.outputs(model, graph, batch)
    found = NODE.evaluate(model, graph, graph)
    assert found["accuracy"] == pytest.approx(float((outputs.argmax(1) == graph.y).float().mean()))
    assert found["belief"] == pytest.approx(float(outputs.softmax(1)[torch.arange(72), graph.y].mean()), abs=1e-6)


def test_evaluate_measures_the_distance_to_gold():
    graph, model, gold = sbm(), GCN(8, 6, 3), GCN(8, 6, 3)
    for task in (LINK, NODE):
        reference = task.outputs(gold, graph, task.elements(graph, graph)).detach()
        found = task.evaluate(gold, graph, graph, reference)
        assert (found["js_to_gold"], found["kl_to_gold"]) == pytest.approx((0, 0), abs=1e-6)
        found = task.evaluate(model, graph, graph, reference)
        p = reference.double().softmax(1)
        q = task.outputs(model, graph, task.elements(graph, graph)).detach().double().softmax(1)
        assert found["kl_to_gold"] == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-4)
    with pytest.raises(InputError, match=r"\[5, 2\]"):
        NODE.evaluate(model, graph, graph, torch.ones(5, 2))


@pytest.mark.parametrize("training", [True, False])
def test_evaluating_leaves_the_model_as_it_was(training):
    graph, model = sbm(), nn.ModuleDict({"gcn": GCN(8, 6, 3)})
    model["gcn"].conv2.train(not training)
    model["gcn"].conv1.train(training)
    modes, before = [module.training for module in model.modules()], state(model)
    for task in (LINK, NODE):
        task.evaluate(model["gcn"], graph, graph)
        task.check(model["gcn"], split_of("node", [1], graph))
    assert [module.training for module in model.modules()] == modes
    assert all(before[name].equal(value) for name, value in state(model).items())
    assert all(p.grad is None for p in model.parameters())


def test_a_failed_check_leaves_the_mode_as_it_was():
    class Odd(nn.Linear):
        def forward(self, x, edge_index):
            return x[:5]

    model = Odd(8, 3).train()
    with pytest.raises(InputError):
        LINK.check(model, split_of("edge", [0]))
    assert model.training


@pytest.mark.parametrize("task", [LINK, NODE])
def test_a_view_without_elements_is_refused(task):
    graph = sbm()
    nothing = replace(graph.with_edges(torch.arange(0)), node_mask=torch.zeros(72, dtype=torch.bool))
    with pytest.raises(InputError, match=f"nothing that {type(task).__name__}"):
        task.elements(graph, nothing)


def test_node_classification_needs_labels():
    graph = replace(sbm(), y=None)
    with pytest.raises(InputError, match="needs y"):
        NODE.elements(graph, graph)


def test_a_model_with_nan_outputs_is_refused():
    model = GCN(8, 6, 3)
    nn.init.constant_(model.conv1.bias, torch.nan)
    with pytest.raises(InputError, match="NaN"):
        LINK.check(model, split_of("edge", [0]))


def test_a_request_that_leaves_nothing_to_learn_from_is_refused():
    graph = sbm()
    few = replace(graph, y=graph.y.masked_fill(torch.arange(72) > 2, -1))
    with pytest.raises(InputError, match="retain"):
        NODE.check(GCN(8, 6, 3), split_of("node", [0, 1, 2], few))


# --- structure, as calibration sees it


def test_link_structure_matches_counting_by_hand():
    graph = sbm(20)
    pairs = graph.pairs()[:, ::5]
    context = graph.unlinked(pairs)
    neighbours = [set(context.edge_index[1, context.edge_index[0] == v].tolist()) for v in range(20)]
    batch = replace(LINK.elements(graph, graph), index=pairs, label=torch.ones(pairs.shape[1], dtype=torch.int64))
    adjacency = torch.eye(20, dtype=torch.float64)
    adjacency[context.edge_index[0], context.edge_index[1]] = 1
    scaled = adjacency / (adjacency.sum(0)[:, None] * adjacency.sum(0)).sqrt()
    far = scaled @ scaled @ (graph.x.double() - graph.x.double().mean(0))
    for row, (u, v) in zip(LINK.structure(context, batch), pairs.T.tolist(), strict=True):
        common = neighbours[u] & neighbours[v]
        degrees = sorted([np.log1p(len(neighbours[u])), np.log1p(len(neighbours[v]))])
        adamic = sum(1 / np.log(max(len(neighbours[w]), 2)) for w in common)
        cosine = torch.cosine_similarity(graph.x[u].double(), graph.x[v].double(), dim=0)
        spread = torch.cosine_similarity(far[u], far[v], dim=0)
        columns = [*degrees, np.log1p(len(common)), adamic, float(cosine), float(spread)]
        assert row == pytest.approx(columns, abs=1e-5)


def test_unlinked_takes_exactly_the_batch_out_of_the_context():
    split = split_of("edge", list(range(12)))
    batch = LINK.sample(split.untouched, 10, rng())
    assert batch.size == 10
    left = LINK.unlinked(split, batch)
    assert both_ways(split.retain.edge_index) - both_ways(left.edge_index) == both_ways(batch.index)
    gone = LINK.elements(split.retain, split.gone)
    assert LINK.unlinked(split, gone) is split.retain

    split = split_of("node", [3, 30])
    batch = NODE.sample(split.untouched, 10, rng())
    left = NODE.unlinked(split, batch)
    assert not torch.isin(left.edge_index, batch.index).any()
    assert left.num_edges == int((~torch.isin(split.retain.edge_index, batch.index).any(0)).sum())
    assert NODE.unlinked(split_of("feature", [3]), batch).num_edges == split.data.num_edges


def test_node_structure_matches_counting_by_hand():
    graph = sbm(20)
    graph = replace(graph, y=graph.y.masked_fill(torch.arange(20) >= 15, -1))
    batch = NODE.elements(graph, graph)
    for row, v in zip(NODE.structure(graph, batch), batch.index.tolist(), strict=True):
        around = graph.edge_index[1, graph.edge_index[0] == v]
        known = graph.y[around][graph.y[around] >= 0]
        share = (int((known == graph.y[v]).sum()) + 0.5) / (len(known) + 1)
        assert row == pytest.approx([np.log1p(len(around)), share, np.log1p(8)], abs=1e-6)
