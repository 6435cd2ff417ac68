"""Every federated method, and the base's own on clients, keep what the base and the design promise."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from graphforget import catalog
from graphforget.errors import InputError, NotApplicable
from graphforget.evidence import compare
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.task import Layered, Local, Profiled, Scored
from graphforget.unlearner import Unlearned
from tests.federated.small import TASK, scores, world
from tests.small import equal_states, same_random_state, state, storages

SHORT = {
    "retrain": {},
    "finetune": {"epochs": 2, "lr": 1e-3},
    "gradient_ascent": {"epochs": 3},
    "d2dgn": {"epochs": 2},
    "d2dgn_calibrated": {"epochs": 2, "refresh": 2, "samples": 1},
    "conda": {"alpha": 0.9},
    "conda_released": {},
    "fed_eraser": {},
    "pga": {"rounds": 1},
    "fedaf": {"rounds": 1, "epochs": 2, "fisher": 32},
}
OWN = [key for key, path in catalog.METHODS.items() if path.startswith("graphforget.federated.")]
METHODS = {key: catalog.method(key)(**SHORT[key]) for key in SHORT}
WHOLE_CLIENTS = {"conda", "conda_released", "fed_eraser", "pga"}
EVERY = [
    (name, kind)
    for name in METHODS
    for kind in ("client", "class", "sample")
    if kind == "client" or name not in WHOLE_CLIENTS
]


@cache
def result(name: str, kind: str, seed: int = 5) -> Unlearned:
    model, record, _, split = world(kind)
    return METHODS[name].unlearn(model, TASK, split, record=record, seed=seed)


def test_all_of_them_are_here():
    assert set(OWN) <= set(METHODS)
    assert sorted(OWN) == ["conda", "conda_released", "fed_eraser", "fedaf", "pga"]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_the_input_is_untouched_and_something_changed(name, kind):
    model, record, _, split = world(kind)
    history = record["history"]
    before, x, y = state(model), split.data.data.x.clone(), split.data.data.y.clone()
    kept = {n: state_of(each) for n, each in history.contributions["init"].items()}
    with same_random_state():
        found = METHODS[name].unlearn(model, TASK, split, record=record, seed=5)
    assert equal_states(state(model), before)
    assert split.data.data.x.equal(x)
    assert split.data.data.y.equal(y)
    assert all(equal_states(kept[n], state_of(each)) for n, each in history.contributions["init"].items())
    assert history.rounds == len(history.updates) == 10
    assert equal_states(state(found.model), state(result(name, kind).model))  # the same seed, the same weights
    assert not equal_states(state(found.model), before)
    assert all(torch.isfinite(value).all() for value in found.model.state_dict().values())
    assert not storages(found.model) & storages(model)
    assert all(p.grad is None and p.requires_grad for p in found.model.parameters())
    assert found.context is split.retain
    assert found.model.training == model.training


def state_of(table):
    return {name: value.clone() for name, value in table.items()}


@pytest.mark.parametrize("name", METHODS)
def test_parts_outside_reads_are_never_touched(name):
    model, record, _, split = world()
    method, odd = METHODS[name], split.data.over(split.data.data.view(torch.arange(len(split.data.data.x)) < 3))
    others = {part: odd for part in ("data", "held_out") if part not in method.reads}
    found = method.unlearn(model, TASK, replace(split, **others), record=record, seed=5)
    assert equal_states(state(found.model), state(result(name, "client").model))


@pytest.mark.parametrize("name", sorted(WHOLE_CLIENTS))
def test_the_forgotten_client_is_in_no_record(name):
    history = result(name, "client").record["history"]
    assert 1 not in history.clients
    assert 1 not in history.last
    assert all(1 not in uploads for uploads in history.updates)


@pytest.mark.parametrize("name", sorted(WHOLE_CLIENTS))
def test_whole_clients_only(name):
    model, record, _, _ = world()
    with pytest.raises(NotApplicable, match="forgets whole clients"):
        METHODS[name].unlearn(model, TASK, world("sample").split, record=record)


@pytest.mark.parametrize("name", METHODS)
def test_a_sequence_of_requests_runs_with_its_record_carried_on(name):
    model, record, parts, split = world()
    first = METHODS[name].unlearn(model, TASK, split, record=record)
    step = split.then(ForgetRequest.of("client", [8]))
    second = METHODS[name].unlearn(first.model, TASK, step, record={**record, **first.record})
    assert 1 not in second.context.present
    assert 8 not in second.context.present
    assert TASK.evaluate(second.model, second.context, parts.test)["accuracy"] >= 0


@pytest.mark.parametrize("name", METHODS)
def test_an_empty_request_raises(name):
    model, record, _, split = world()
    empty = replace(split, forget=split.forget.over(split.data.data.view(torch.zeros(len(split.data.data.x)).bool())))
    with pytest.raises(InputError, match="holds nothing"):
        METHODS[name].unlearn(model, TASK, empty, record=record)


def test_gold_is_trained_by_the_others_alone_and_leaves_a_record():
    model, _, _, split = world()
    gold = result("retrain", "client")
    history = gold.record["history"]
    assert 1 not in history.clients
    assert history.rounds == 10
    x = split.data.data.x.clone()
    x[split.data.ids[1]] = 0.5  # other pictures in place of the forgotten change nothing
    parts = {name: getattr(split, name) for name in ("data", "forget", "retain", "held_out")}
    odd = {name: part.over(replace(part.data, x=x)) for name, part in parts.items()}
    again = Retrain().unlearn(model, TASK, replace(split, **odd), seed=5)
    assert equal_states(state(again.model), state(gold.model))
    catalog.method("conda")().unlearn(gold.model, TASK, split.then(ForgetRequest.of("client", [2])), record=gold.record)


def test_what_the_wrapped_task_can_the_federated_one_can():
    assert isinstance(TASK, Scored)
    assert isinstance(TASK, Layered)
    assert not isinstance(TASK, Local)
    assert not isinstance(TASK, Profiled)
    model, _, _, split = world()
    assert set(TASK.layers(model, split.data, split.forget)) == {"0", "2"}


def test_the_evidence_is_that_of_every_domain():
    model, _, parts, split = world()
    golds = [Retrain().unlearn(model, TASK, split, seed=100 + k) for k in range(2)]
    report = compare(
        TASK, split, parts.test, original=model, golds=golds, unlearned={"conda": result("conda", "client")}
    )
    assert report.value("gold_other_seed", "forget", "js_to_gold") > 0
    assert report.value("unlearned", "forget", "js_to_gold", "conda") > 0
    assert report.value("original", "forget", "accuracy") == pytest.approx(scores(model, split)[1])


def test_a_request_is_resolved_once_for_the_wrapped_task():
    _, _, parts, _ = world()
    split = ForgetSplit.of(parts.train, ForgetRequest.of("client", [3]), parts.val)
    batch = TASK.elements(split.retain, split.forget)
    assert TASK.unlinked(split, batch).data is split.retain.data
