"""Every image method of the catalog keeps what the base and the design promise, on the digits."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from graphforget import catalog
from graphforget.errors import Diverged, InputError, NotApplicable
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.influence.features_labels import FeaturesLabels
from graphforget.methods.d2dgn import D2DGN
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.methods.finetune import FineTune
from graphforget.methods.gradient_ascent import GradientAscent
from graphforget.methods.retrain import Retrain
from graphforget.samples import Samples
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Unlearned
from graphforget.vision.datamodel_matching import DMM
from graphforget.vision.deletion_by_example import DEL
from graphforget.vision.jit import JiT
from graphforget.vision.models import build
from graphforget.vision.salun import SalUn
from graphforget.vision.task import ImageClassification
from tests.small import equal_states, same_random_state, state, storages
from tests.vision.small import TASK, world

SHORT = {
    "del": {"epochs": 2},
    "duck": {"epochs": 2},
    "pgu": {"epochs": 2},
    "jit": {"copies": 2, "lr": 1e-4},
    "salun": {"epochs": 2},
    "unsir": {"noises": 32, "noise_steps": 5},
    "bad_teaching": {"epochs": 2},
    "scrub": {"epochs": 2},
    "l1_sparse": {"epochs": 2},
    "dmm": {"epochs": 2},
    "ssd": {"selection": 3.0},
    "chosen_replay": {"epochs": 2, "candidates": 200},
}
OWN = [key for key, path in catalog.METHODS.items() if path.startswith(("graphforget.vision.", "graphforget.active."))]
METHODS = {key: catalog.method(key)(**SHORT[key]) for key in OWN} | {
    "del param": DEL(epochs=2, granularity="param", criterion="grad"),
    "del random": DEL(epochs=2, criterion="random"),
    "relabelling": SalUn(epochs=2, budget=1.0),
    "negative gradients": GradientAscent(epochs=2, keep=0.9),
}
EVERY = [(name, kind) for name in METHODS for kind in ("sample", "class")]
FITS = [(name, kind) for name, kind in EVERY if (name, kind) != ("unsir", "sample")]


@cache
def result(name: str, kind: str, seed: int = 5) -> Unlearned:
    model, _, split = world(kind)
    return METHODS[name].unlearn(model, TASK, split, seed=seed)


@pytest.mark.parametrize(("name", "kind"), FITS)
def test_the_input_is_untouched_and_something_changed(name, kind):
    model, _, split = world(kind)
    before, x, y = state(model), split.data.x.clone(), split.data.y.clone()
    with same_random_state():
        found = METHODS[name].unlearn(model, TASK, split, seed=5)
    assert equal_states(state(model), before)
    assert split.data.x.equal(x)
    assert split.data.y.equal(y)
    assert equal_states(state(found.model), state(result(name, kind).model))  # the same seed, the same weights
    assert not equal_states(state(found.model), before)
    assert all(torch.isfinite(value).all() for value in found.model.state_dict().values())
    assert not storages(found.model) & storages(model)
    assert all(p.grad is None and p.requires_grad for p in found.model.parameters())
    assert found.context is split.retain
    assert found.model.training == model.training


@pytest.mark.parametrize("name", METHODS)
def test_parts_outside_reads_are_never_touched(name):
    model, _, split = world("class")
    method, odd = METHODS[name], split.data.view(torch.arange(len(split.data.x)) < 3)
    others = {part: odd for part in ("data", "held_out") if part not in method.reads}
    found = method.unlearn(model, TASK, replace(split, **others), seed=5)
    assert equal_states(state(found.model), state(result(name, "class").model))


@pytest.mark.parametrize("name", METHODS)
def test_a_convolutional_network_in_training_mode_is_served(name):
    model, _, split = world("class", "cnn")
    model.train()
    found = METHODS[name].unlearn(model, TASK, split)
    assert found.model.training
    model.eval()
    assert not equal_states(state(found.model), state(model))


BASE = {
    "retrain": Retrain(),
    "finetune": FineTune(epochs=1),
    "d2dgn": D2DGN(epochs=1),
    "d2dgn_calibrated": CalibratedD2DGN(refresh=0, epochs=1),
    "dmm trak": DMM(attribution="trak", dims=32, epochs=1),
    "dmm oracle": DMM(attribution="oracle", epochs=1),
    "features_labels": FeaturesLabels(solver="lissa", iterations=5),
}


@pytest.mark.parametrize("name", [*METHODS, *BASE])
def test_a_transformer_is_served(name):
    """A ViT from a configuration of transformers, a sub-class that goes: every method ends and moves its weights."""
    pytest.importorskip("transformers")
    task = ImageClassification(recipe=Recipe(epochs=1, patience=1, lr=1e-3, batch_size=64, eval_every=1))
    _, parts, _ = world("subclass")
    small = Samples(parts.train.x[:200], parts.train.y[:200], parts.train.groups[:200])
    train, held_out = small.view(torch.arange(200) < 160), small.view(torch.arange(200) >= 160)
    with seeded(0):
        model = build("vit", (1, 8, 8), 10)
    if name == "unsir":
        asked = ForgetRequest.of("class", [3])
    else:
        asked = ForgetRequest.of("subclass", small.groups[train.rows()[:1]])
    split = ForgetSplit.of(train, asked, held_out)
    before = state(model)
    found = {**METHODS, **BASE}[name].unlearn(model, task, split, seed=5)
    assert equal_states(state(model), before)
    assert not equal_states(state(found.model), before)
    assert all(torch.isfinite(value).all() for value in found.model.state_dict().values())
    assert not set(split.forget.rows().tolist()) & set(found.context.rows().tolist())


@pytest.mark.parametrize("name", METHODS)
def test_a_sequence_of_requests_runs(name):
    model, _, split = world("class")
    step = ForgetSplit.of(split.data, ForgetRequest.of("class", [0]), split.held_out)
    first = METHODS[name].unlearn(model, TASK, step)
    step = step.then(ForgetRequest.of("class", [7]))
    second = METHODS[name].unlearn(first.model, TASK, step, record=first.record)
    assert set(second.context.y[second.context.rows()].tolist()) == {1, 2, 3, 4, 5, 6, 8, 9}


def test_noise_stands_for_whole_classes_only():
    model, _, split = world("sample")
    with pytest.raises(NotApplicable, match="UNSIR forgets whole classes"):
        METHODS["unsir"].unlearn(model, TASK, split)


def test_the_forgotten_images_themselves_are_not_looked_at_by_those_that_say_so():
    """UNSIR and L1-sparse: other pictures in their place change nothing."""
    model, _, split = world("class")
    x = split.data.x.clone()
    x[split.forget.rows()] = 0.5
    parts = {name: replace(getattr(split, name), x=x) for name in ("data", "forget", "retain", "held_out")}
    for name in ("unsir", "l1_sparse"):
        found = METHODS[name].unlearn(model, TASK, replace(split, **parts), seed=5)
        assert equal_states(state(found.model), state(result(name, "class").model))


def test_labels_that_the_model_has_no_output_for_are_refused():
    _, _, split = world("sample")
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(64, 9))
    wanted = r"labels must lie in \[0, 9\), the model's outputs \(got 9\)"
    with pytest.raises(InputError, match=wanted):
        DEL().unlearn(narrow, TASK, split)
    with pytest.raises(InputError, match=wanted):
        TASK.fit(narrow, split.data, split.held_out, seed=0)


def test_a_step_that_is_far_too_large_returns_nothing():
    model, _, split = world("class")
    before = state(model)
    for method in (DEL(lr=1e30, epochs=2), SalUn(lr=1e30, epochs=2), JiT(lr=1e38, copies=1)):
        with pytest.raises(Diverged):
            method.unlearn(model, TASK, split)
    assert equal_states(state(model), before)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("salun", {"budget": 0}, "budget must lie in"),
        ("l1_sparse", {"gamma": -1.0}, "gamma must not be negative"),
        ("bad_teaching", {"share": 0}, "share must lie in"),
        ("bad_teaching", {"temperature": 0}, "temperature must be positive"),
        ("scrub", {"temperature": 0}, "temperature positive"),
        ("scrub", {"batch_size": 0}, "batch_size at least 1"),
        ("unsir", {"noises": 0}, "noises must be at least 1"),
        ("unsir", {"repair": -1}, "must not be negative"),
        ("gradient_ascent", {"keep": 1.0}, r"keep must lie in \[0, 1\)"),
    ],
)
def test_settings_are_checked(name, fields, message):
    with pytest.raises(InputError, match=message):
        catalog.method(name)(**fields)
