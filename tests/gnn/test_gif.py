"""GIF: against a direct solve, against the retained loss's own gradient, and finite on every network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

from graphforget.errors import Diverged, InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn import gif
from graphforget.gnn.gif import GIF
from graphforget.gnn.models import build
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.train import Recipe
from tests import naive_gnn
from tests.small import equal_states, sbm, state

TASKS = {"link": LinkPrediction(), "node": NodeClassification()}
IDS = {"edge": [0, 5, 9], "node": [3, 4], "feature": [7, 8], "label": [1, 2]}


class Softmax(nn.Module):
    """Softmax regression: no graph at all."""

    def __init__(self, in_channels: int = 8, classes: int = 3):
        super().__init__()
        self.linear = nn.Linear(in_channels, classes, bias=False)

    def forward(self, x, edge_index):
        return self.linear(x)


class Plain(nn.Module):
    """PyG's own layers, in any precision."""

    def __init__(self, depth: int = 2):
        super().__init__()
        self.convs = nn.ModuleList(GCNConv(8 if i == 0 else 4, 3 if i == depth - 1 else 4) for i in range(depth))

    def forward(self, x, edge_index):
        for conv in self.convs[:-1]:
            x = conv(x, edge_index).tanh()
        return self.convs[-1](x, edge_index)


def double(graph: Graph) -> Graph:
    return replace(graph, features={"x": graph.x.double()})


def split_of(kind: str, ids=None, graph: Graph | None = None) -> ForgetSplit[Graph]:
    graph = sbm() if graph is None else graph
    return ForgetSplit.of(graph, ForgetRequest.of(kind, IDS[kind] if ids is None else ids), graph)


def moved(before: nn.Module, after: nn.Module) -> torch.Tensor:
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    return torch.cat([(b - a).detach().flatten() for a, b in pairs])


# --- against numpy


@pytest.fixture
def regression():
    """L2 softmax regression on 72 nodes, trained to its optimum, and a request for six of them."""
    torch.manual_seed(0)
    graph, model = double(sbm()), Softmax().double()
    task = NodeClassification(recipe=Recipe(weight_decay=0.1))
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=300, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model.linear(graph.x), graph.y) + 0.05 * model.linear.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return graph, model, task, split_of("node", [0, 7, 20, 33, 41, 60], graph)


def direct(model, split, decay=0.1, damp=0.0):
    """(H + damp I)^-1 v of the mean retained loss, v the forgotten nodes' gradient with their share of the decay."""
    weight = model.linear.weight.detach().numpy()
    x, y = split.data.x.numpy(), split.data.y.tolist()
    kept = split.retain.nodes().tolist()
    gone = sorted(set(range(len(y))) - set(kept))
    hessian = naive_gnn.softmax_hessian(weight, x[kept]) / len(kept)
    v = naive_gnn.softmax_gradient(weight, x[gone], [y[i] for i in gone]) / len(kept)
    v += decay * len(gone) / len(kept) * weight.ravel()
    return np.linalg.solve(hessian + (decay + damp) * np.eye(len(v)), v), np.linalg.eigvalsh(hessian)[-1] + decay


def test_it_equals_the_direct_solve_and_does_not_depend_on_scale(regression):
    _graph, model, task, split = regression
    expected, highest = direct(model, split)
    scales = [0.0, 1.5 * highest, 6 * highest]
    for scale in scales:
        result = GIF(iterations=2000, scale=scale, damp=0.0).unlearn(model, task, split)
        np.testing.assert_allclose(moved(model, result.model).numpy(), expected, rtol=1e-4, atol=1e-9)
        assert result.record["iterations"] < 2000, "the series says when it has converged"
        assert result.record["scale"] == (scale or pytest.approx(1.2 * highest, rel=0.01))


def test_damp_is_a_share_of_scale_on_the_diagonal(regression):
    _graph, model, task, split = regression
    _, highest = direct(model, split)
    expected, _ = direct(model, split, damp=0.3 * 2 * highest)
    result = GIF(iterations=2000, scale=2 * highest, damp=0.3).unlearn(model, task, split)
    np.testing.assert_allclose(moved(model, result.model).numpy(), expected, rtol=1e-4, atol=1e-9)


def test_the_step_leads_to_the_retrained_regression(regression):
    graph, model, task, split = regression
    gold = Softmax().double()
    kept = split.retain.nodes()
    optimiser = torch.optim.LBFGS(gold.parameters(), max_iter=300, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(gold.linear(graph.x[kept]), graph.y[kept])
        (loss + 0.05 * gold.linear.weight.square().sum()).backward()
        return loss

    optimiser.step(closure)
    result = GIF(iterations=2000, damp=0.0).unlearn(model, task, split)
    assert moved(gold, result.model).norm() < 0.2 * moved(gold, model).norm()


def test_a_series_that_grows_is_never_returned(regression):
    _graph, model, task, split = regression
    _, highest = direct(model, split)
    before = state(model)
    with pytest.raises(Diverged, match="scale"):
        GIF(iterations=500, scale=0.3 * highest, damp=0.0).unlearn(model, task, split)
    with pytest.raises(Diverged, match="scale"):
        GIF(iterations=2000, scale=1e-250, damp=0.0).unlearn(model, task, split)
    assert equal_states(before, state(model))


# --- influenced elements


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["edge", "node", "feature"])
def test_v_is_all_that_the_request_changes_in_the_loss(kind, task, monkeypatch):
    """Of the whole training loss on G minus that on G_r, the elements within reach are everything."""
    ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
    rng = torch.Generator().manual_seed(1)
    x, y = torch.randn(40, 8, generator=rng, dtype=torch.float64), torch.arange(40) % 3
    graph = Graph.from_edges(ring, 40, features={"x": x}, y=y)
    split, model, domain = split_of(kind, [[4], [5]] if kind == "edge" else [4], graph), Plain().double(), TASKS[task]
    asked = []
    real = gif._gradient
    monkeypatch.setattr(gif, "_gradient", lambda *a, **k: asked.append((a[2:4], real(*a, **k))) or asked[-1][1])
    GIF(iterations=1).unlearn(model, domain, split)
    ((_, first), g1), ((_, influenced), g2), ((_, retained), _) = asked
    chosen = list(model.parameters())
    deleted = first[len(influenced) :]
    before, after = ((split.data, retained + deleted), (split.retain, retained))
    whole = real(domain, model, *before, chosen) - real(domain, model, *after, chosen)
    torch.testing.assert_close(g1 - g2, whole, rtol=1e-10, atol=1e-12)
    assert sum(b.size for b in influenced) < sum(b.size for b in retained)
    expected = {("edge", "link"): 2, ("node", "link"): 4, ("node", "node"): 1}  # with as many non-edges for links
    assert sum(b.size for b in deleted) == expected.get((kind, task), 0)
    assert float((g1 - g2).norm()) > 0


@pytest.mark.parametrize("kind", ["edge", "node"])
def test_fewer_hops_than_layers_miss_something(kind, monkeypatch):
    ring = torch.stack([torch.arange(40), (torch.arange(40) + 1) % 40])
    x, y = torch.randn(40, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64), torch.arange(40) % 3
    split = split_of(kind, [[4], [5]] if kind == "edge" else [4], Graph.from_edges(ring, 40, features={"x": x}, y=y))
    torch.manual_seed(0)
    model = Plain().double()
    vs = []
    real = gif.series
    monkeypatch.setattr(gif, "series", lambda h, v, **options: vs.append(v) or real(h, v, **options))
    for hops in (1, 2, 3):
        GIF(hops=hops, iterations=1).unlearn(model, TASKS["node"], split)
    assert not torch.isclose(vs[0], vs[1], rtol=1e-6).all()
    torch.testing.assert_close(vs[1], vs[2])


def test_hessian_products_equal_differences_of_gradients():
    graph, task = double(sbm(24)), TASKS["node"]
    torch.manual_seed(0)
    model = Plain().double()
    chosen, batches = list(model.parameters()), [task.elements(graph, graph)]
    product = gif._hessian(gif._gradient(task, model, graph, batches, chosen, twice=True), chosen, 0.5)
    h = torch.randn(sum(p.numel() for p in chosen), dtype=torch.float64)
    at = nn.utils.parameters_to_vector(chosen).detach()

    def gradient(vector):
        nn.utils.vector_to_parameters(vector, chosen)
        return gif._gradient(task, model, graph, batches, chosen)

    expected = (gradient(at + 1e-5 * h) - gradient(at - 1e-5 * h)) / 2e-5 + 0.5 * h
    gradient(at)
    torch.testing.assert_close(product(h), expected, rtol=1e-5, atol=1e-6)


# --- on every network


@pytest.mark.parametrize(("kind", "task"), [(k, t) for k in IDS for t in TASKS if (k, t) != ("label", "link")])
@pytest.mark.parametrize("name", ["gcn", "gat", "gin", "sage"])
def test_finite_and_changed_on_every_network_task_and_kind(name, kind, task):
    torch.manual_seed(0)
    split, model = split_of(kind, graph=sbm(36)), build(name, 8, 6, 3)
    before = state(model)
    result = GIF(iterations=5).unlearn(model, TASKS[task], split, seed=3)
    after = state(result.model)
    assert equal_states(before, state(model))
    assert all(bool(value.isfinite().all()) for value in after.values())
    assert not equal_states(before, after)
    assert result.record["residual"] < 1
    again = GIF(iterations=5).unlearn(model, TASKS[task], split, seed=3)
    assert equal_states(after, state(again.model))


@pytest.mark.parametrize("name", ["gcn", "gat", "gin", "sage"])
@pytest.mark.parametrize("task", TASKS)
def test_the_series_shrinks_in_spite_of_negative_curvature(name, task):
    torch.manual_seed(0)
    split, model = split_of("edge", graph=sbm(36)), build(name, 8, 6, 3)  # untrained: far from a minimum
    short, long = (GIF(iterations=n, damp=0.0).unlearn(model, TASKS[task], split) for n in (5, 40))
    assert long.record["residual"] < short.record["residual"]
    assert long.record["damp"] > 0


def test_mini_batches_give_the_same_step():
    torch.manual_seed(0)
    split, model = split_of("edge"), build("gcn", 8, 6, 3)
    full, mini = (
        GIF(iterations=20).unlearn(model, NodeClassification(recipe=Recipe(batch_size=size)), split, seed=3).model
        for size in (None, 7)
    )
    torch.testing.assert_close(moved(model, mini), moved(model, full), rtol=1e-3, atol=1e-7)


def test_a_layer_that_no_loss_reaches_stays():
    class Idle(Softmax):
        def __init__(self):
            super().__init__()
            self.idle = nn.Linear(3, 3)

    split, model = split_of("node"), Idle()
    result = GIF(iterations=5).unlearn(model, TASKS["node"], split).model
    assert result.idle.weight.equal(model.idle.weight)
    assert not result.linear.weight.equal(model.linear.weight)
    frozen = Softmax().requires_grad_(False)
    with pytest.raises(InputError, match="no trainable parameter"):
        GIF().unlearn(frozen, TASKS["node"], split)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"scale": -1.0}, "scale must be positive"),
        ({"damp": 1.0}, "damp must lie in"),
        ({"hops": 0}, "hops must be at least 1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        GIF(**options)
