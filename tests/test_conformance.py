"""Every method of the catalog, on both tasks and every kind of request, keeps what the base and the design promise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, NamedTuple

import pytest
import torch
from torch import nn

from graphforget import catalog
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import MODELS
from graphforget.gnn.task import GraphTask, LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.methods.d2dgn import D2DGN
from graphforget.splits import split_edges, split_nodes
from graphforget.task import Task
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Unlearned, Unlearner
from tests.federated import test_conformance as federations
from tests.llm import test_conformance as languages
from tests.recsys import test_conformance as recommenders
from tests.small import both_ways, edges_of, equal_states, same_random_state, sbm, snapshot, state, storages
from tests.vision import test_conformance as images

# Settings that keep a method short; a method that is not named here runs with its defaults.
SHORT = {
    "finetune": {"epochs": 3},
    "d2dgn": {"epochs": 3},
    "d2dgn_calibrated": {"epochs": 3, "samples": 1},
    "gnndelete": {"epochs": 5},
    "gif": {"iterations": 10},
}
VARIANTS = {
    "d2dgn feat": D2DGN(distilled="feat", epochs=3),
    "d2dgn both scratch": D2DGN(distilled="both", start="scratch", epochs=3),
    "d2dgn per element": D2DGN(weighting="per_element", epochs=3),
}
RECIPE = Recipe(epochs=12, patience=12, lr=0.02, eval_every=4)
TASKS: dict[str, Task] = {"link": LinkPrediction(recipe=RECIPE), "node": NodeClassification(recipe=RECIPE)}


def fits(method: Unlearner, task: Task) -> bool:
    return all(isinstance(task, need) for need in method.needs)


CATALOG = {name: catalog.method(name)(**SHORT.get(name, {})) for name in catalog.METHODS}
METHODS = {
    name: method for name, method in (CATALOG | VARIANTS).items() if any(fits(method, task) for task in TASKS.values())
}
KEEPS_WEIGHTS = {"utu"}  # its whole result is the context
IDS = {"edge": list(range(30)), "node": [3, 20, 41], "feature": [3, 20, 41], "node_class": [1]}


class World(NamedTuple):
    """A trained model and a request."""

    task: Task
    model: nn.Module
    split: ForgetSplit[Graph]


@cache
def trained(task_name: str, kind: str = "gcn") -> tuple[nn.Module, Graph, Graph]:
    graph, task = sbm(), TASKS[task_name]
    parts = split_edges(graph, val=0.1, test=0.1) if task_name == "link" else split_nodes(graph)
    with seeded(11):
        model = MODELS[kind](8, 12, 3)
    return task.fit(model, parts.train, parts.val, seed=11), parts.train, parts.val


@cache
def world(task_name: str, kind: str) -> World:
    model, train, val = trained(task_name)
    ids = IDS[kind]
    if task_name == "node" and kind in ("node", "feature"):
        ids = train.nodes()[ids[0] : ids[0] + 3].tolist()  # nodes that were trained on
    return World(TASKS[task_name], model, ForgetSplit.of(train, ForgetRequest.of(kind, ids), val))


@cache
def result(method_name: str, task_name: str, kind: str, seed: int = 5) -> Unlearned:
    task, model, split = world(task_name, kind)
    return METHODS[method_name].unlearn(model, task, split, seed=seed)


EVERY = [
    pytest.param(method, task, kind, id=f"{method}-{task}-{kind}")
    for method in METHODS
    for task in TASKS
    for kind in IDS
    if fits(METHODS[method], TASKS[task])
]


def something_changed(world: World, found: Unlearned) -> bool:
    """Do the answers about the forgotten part differ from the original's under the whole data?"""
    task, model, split = world
    before = task.teacher(model, split.data)(task.elements(split.data, split.forget))
    after = task.teacher(found.model, found.context)(task.elements(found.context, split.forget))
    assert after.shape == before.shape
    return not torch.allclose(after, before, atol=1e-6)


ERASURE = {"esd", "ablating_concepts", "forget_me_not", "sdd"}  # tests/diffusion/test_erasure.py
# tests/regression, tests/influence, tests/continual
ON_ROWS = {"blindspot", "gaussian_amnesiac", "features_labels", "ij", "prox_ij", "online_repair"}


def test_every_method_of_the_catalog_runs_here_or_in_its_own_domain():
    domains = (recommenders, images, federations, languages)
    elsewhere = (ON_ROWS | ERASURE).union(*(each.METHODS for each in domains))
    assert set(catalog.METHODS) <= set(METHODS) | elsewhere
    ran = {param.values[0] for param in EVERY}
    assert ran == set(METHODS)


@pytest.mark.parametrize(("name", "task", "kind"), EVERY)
def test_the_input_is_untouched_and_something_changed(name, task, kind):
    now = world(task, kind)
    before = state(now.model)
    modes = {key: module.training for key, module in now.model.named_modules()}
    parts = [snapshot(part) for part in (now.split.data, now.split.forget, now.split.retain, now.split.held_out)]
    with same_random_state():
        found = METHODS[name].unlearn(now.model, now.task, now.split, seed=5)
    assert equal_states(state(now.model), before)
    assert {key: module.training for key, module in now.model.named_modules()} == modes
    assert {key: found_mode for key, found_mode in modes.items() if key} == {
        key: module.training for key, module in found.model.named_modules() if key in modes and key
    }
    for part, old in zip((now.split.data, now.split.forget, now.split.retain, now.split.held_out), parts, strict=True):
        assert all(old[key].equal(value) for key, value in snapshot(part).items())
    assert something_changed(now, found)
    assert equal_states(state(found.model), state(result(name, task, kind).model))  # the same seed, the same weights


@pytest.mark.parametrize(("name", "task", "kind"), EVERY)
def test_keys_shapes_and_storage(name, task, kind):
    now, found, method = world(task, kind), result(name, task, kind), METHODS[name]
    old = {key: value.shape for key, value in now.model.state_dict().items()}
    new = {key: value.shape for key, value in found.model.state_dict().items()}
    if method.drop_in:
        assert new == old
        assert [p.requires_grad for p in found.model.parameters()] == [p.requires_grad for p in now.model.parameters()]
    else:
        assert old.keys() < new.keys()
    assert all(torch.isfinite(value).all() for value in found.model.state_dict().values())
    assert not storages(found.model) & storages(now.model)
    assert all(parameter.grad is None for parameter in found.model.parameters())
    stayed = found.record.get("step") == 0 and not found.record.get("refreshed")  # no step lowered its own loss
    unmoved = name in KEEPS_WEIGHTS or stayed
    if unmoved or not method.drop_in:
        assert all(value.equal(found.model.state_dict()[key]) for key, value in now.model.state_dict().items())
    else:
        assert not equal_states(state(found.model), state(now.model))


@pytest.mark.parametrize(("name", "task", "kind"), EVERY)
def test_the_returned_context_holds_nothing_forgotten(name, task, kind):
    now, found = world(task, kind), result(name, task, kind)
    gone = both_ways(now.split.gone.edge_index)
    assert not set(edges_of(found.context.edge_index)) & gone
    nodes = now.split.retain.removed
    if nodes is not None:
        assert not found.context.x[nodes].any()
    if kind == "feature":
        assert not found.context.x[now.split.forget.nodes()].any()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", [name for name in METHODS if name not in KEEPS_WEIGHTS])
def test_only_random_methods_depend_on_the_seed(name, task):
    """Gold and distillation must; ascent must not."""
    now = world(task, "edge")
    one, other = (METHODS[name].unlearn(now.model, now.task, now.split, seed=seed).model for seed in (5, 6))
    if name == "retrain" or (name.startswith("d2dgn") and name != "d2dgn_calibrated"):
        assert not equal_states(state(one), state(other))
    if name == "gradient_ascent":
        assert equal_states(state(one), state(other))


@pytest.mark.parametrize("name", METHODS)
def test_parts_outside_reads_are_never_touched(name):
    """A part that is not declared is replaced by another world's, and nothing changes."""
    now, method = world("link", "edge"), METHODS[name]
    odd = sbm(seed=9)
    others = {part: odd for part in ("data", "held_out") if part not in method.reads}
    found = method.unlearn(now.model, now.task, replace(now.split, **others), seed=5)
    assert equal_states(state(found.model), state(result(name, "link", "edge").model))


@pytest.mark.parametrize("name", METHODS)
def test_an_empty_request_raises(name):
    now = world("link", "edge")
    with pytest.raises(InputError, match="empty"):
        ForgetSplit.of(now.split.data, ForgetRequest.of("edge", []), now.split.held_out)
    empty = replace(now.split, forget=now.split.forget.with_edges(torch.arange(0)))
    with pytest.raises(InputError, match="holds nothing"):
        METHODS[name].unlearn(now.model, now.task, empty)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_on_every_reference_network(name, kind):
    model, train, val = trained("link", kind)
    split = ForgetSplit.of(train, ForgetRequest.of("edge", IDS["edge"]), val)
    found = METHODS[name].unlearn(model, TASKS["link"], split)
    assert something_changed(World(TASKS["link"], model, split), found)


class Mine(nn.Module):
    """A user's own network: plain linear layers, batch norm and dropout, no layer of PyG."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm, self.outer = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, x, edge_index):
        h = nn.functional.dropout(self.norm(self.inner(x)).relu(), 0.2, self.training)
        return self.outer(h.index_add(0, edge_index[1], h[edge_index[0]]))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_runs_on_a_users_own_network(name):
    _, train, val = trained("link")
    with seeded(2):
        model = Mine().train()
    task = LinkPrediction(recipe=RECIPE, layer_names=("inner", "outer"))
    split = ForgetSplit.of(train, ForgetRequest.of("edge", IDS["edge"]), val)
    before = state(model)
    found = METHODS[name].unlearn(model, task, split)
    assert equal_states(state(model), before)
    assert model.training
    assert found.model.training
    assert something_changed(World(task, model, split), found)


@pytest.mark.parametrize("name", METHODS)
def test_a_sequence_of_requests_runs_with_its_state_carried_on(name):
    now, method = world("link", "edge"), METHODS[name]
    pairs = now.split.data.pairs()[:, :6]
    model, split, record, steps = now.model, None, None, []
    for part in ForgetRequest.of("edge", pairs).batches(3):
        split = split.then(part) if split else ForgetSplit.of(now.split.data, part, now.split.held_out)
        if not method.drop_in and steps:
            break  # an operator on an operator is another model: its own tests say what happens
        model, context, record = method.unlearn(model, now.task, split, record=record)
        steps.append(context.num_edges)
    assert steps == [now.split.data.num_edges - 4 * (k + 1) for k in range(len(steps))]


# --- the checks themselves can fail


@dataclass(frozen=True)
class NoOp(Unlearner):
    """Give back what came in."""

    reads: ClassVar[frozenset[str]] = frozenset({"data"})

    def _unlearn(self, job):
        return Unlearned(job.model, job.split.data, {})


@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("task", TASKS)
def test_a_method_that_does_nothing_is_found_out(task, kind):
    now = world(task, kind)
    found = NoOp().unlearn(now.model, now.task, now.split)
    assert not something_changed(now, found)


def test_an_unfit_task_is_left_out():
    class Needy(NoOp):
        needs: ClassVar[tuple[type, ...]] = (GraphTask, NodeClassification)

    assert [fits(Needy(), task) for task in TASKS.values()] == [False, True]


@pytest.mark.parametrize("task", TASKS)
def test_a_fresh_model_shares_no_tensor(task):
    model = trained(task)[0]
    new = TASKS[task].fresh(model, 3)
    assert not storages(new) & storages(model)
    assert not any(new.state_dict()[key].equal(value) for key, value in model.state_dict().items())
