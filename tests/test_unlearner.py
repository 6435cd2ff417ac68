"""What the base promises for every method, shown with small methods that try to break it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.nn import GCNConv

from graphforget.errors import Diverged, InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.methods.finetune import FineTune
from graphforget.task import Layered
from graphforget.unlearner import Unlearned, Unlearner, rewrap, unwrap
from tests.small import edges_of, equal_states, same_random_state, sbm, state, storages

LINK = LinkPrediction()


@pytest.fixture
def split():
    graph = sbm()
    return ForgetSplit.of(graph, ForgetRequest.of("edge", list(range(10))), graph)


@dataclass(frozen=True)
class Shake(Unlearner):
    """Add noise to every weight and leave everything else in disorder."""

    size: float = 0.1

    def _unlearn(self, job):
        torch.rand(3), np.random.rand(), random.random()  # noqa: NPY002
        with torch.no_grad():
            for parameter in job.model.parameters():
                parameter.add_(self.size * torch.randn(parameter.shape, generator=job.rng))
                parameter.grad = torch.ones_like(parameter)
        job.model.train().requires_grad_(True)
        job.notes["size"] = self.size
        return Unlearned(job.model, job.split.retain, {"first": 1})


@dataclass(frozen=True)
class Peek(Unlearner):
    """Read a part that it has not declared."""

    part: str = "held_out"
    reads: ClassVar[frozenset[str]] = frozenset({"retain"})

    def _unlearn(self, job):
        assert job.split.retain.num_edges
        getattr(job.split, self.part).edge_index  # noqa: B018
        return Unlearned(job.model, job.split.retain, {})


class Grown(Shake):
    """Return a model with one parameter more."""

    def _unlearn(self, job):
        job.model.extra = nn.Linear(1, 1)
        return Unlearned(job.model, job.split.retain, {})


class Operator(Grown):
    """The same, and it says so; the addition comes first, so that modules and parameters shift."""

    drop_in: ClassVar[bool] = False

    def _unlearn(self, job):
        job.model._modules = {"extra": nn.Linear(1, 1), **job.model._modules}
        return Unlearned(job.model, job.split.retain, {})


class Spoil(Shake):
    """Leave a NaN in a buffer or weight."""

    def _unlearn(self, job):
        nn.init.constant_(next(job.model.parameters())[:1], torch.nan)
        return Unlearned(job.model, job.split.retain, {})


class Layers(Shake):
    """Need what only some tasks have."""

    needs: ClassVar[tuple[type, ...]] = (Layered, NodeClassification)


def test_the_original_is_left_alone(split):
    model = GCN(8, 6, 3)
    before = state(model)
    result = Shake().unlearn(model, LINK, split)
    assert equal_states(state(model), before)
    assert not equal_states(state(result.model), before)
    assert not storages(result.model) & storages(model)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("method", [Shake(), Operator()])
def test_modes_come_back_module_by_module(split, training, method):
    model = GCN(8, 6, 3).train(training)
    model.conv2.train(not training)
    result = method.unlearn(model, LINK, split)
    for network in (model, result.model):
        for name, module in network.named_modules():
            assert module.training is (not training if "conv2" in name else training), name


def test_frozen_parameters_come_back_frozen_and_without_gradients(split):
    model = GCN(8, 6, 3)
    model.conv1.requires_grad_(False)
    result = Shake().unlearn(model, LINK, split)
    frozen = [p.requires_grad for p in model.parameters()]
    assert [p.requires_grad for p in result.model.parameters()] == frozen == [False, False, True, True]
    assert all(p.grad is None for p in result.model.parameters())


def test_frozen_parameters_are_not_trained(split):
    model = GCN(8, 6, 3)
    model.conv1.requires_grad_(False)
    after = FineTune(epochs=2).unlearn(model, LINK, split).model
    assert equal_states(state(model.conv1), state(after.conv1))
    assert not equal_states(state(model.conv2), state(after.conv2))


class Noisy(GCN):
    """A user's model that draws random numbers and counts its runs, in eval mode as well."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("runs", torch.zeros(1))

    def forward(self, x, edge_index):
        self.runs += 1
        return super().forward(x + 0.01 * torch.randn_like(x), edge_index)


@pytest.mark.parametrize("build", [GCN, Noisy])
def test_global_randomness_is_untouched_and_the_seed_decides(split, build):
    model = build(8, 6, 3)
    before, found = state(model), []
    for seed in (1, 1, 2):
        with same_random_state():
            found.append(state(Shake().unlearn(model, LINK, split, seed=seed).model))
        torch.rand(2)
    assert equal_states(found[0], found[1])
    assert not equal_states(found[0], found[2])
    assert equal_states(state(model), before)


def test_randomness_and_model_survive_a_refusal(split):
    model = GCN(8, 6, 3).train()
    before = state(model)
    with same_random_state(), pytest.raises(InputError):
        Peek().unlearn(model, LINK, split)
    assert equal_states(state(model), before)
    assert model.training


@pytest.mark.parametrize("part", ["data", "forget", "held_out", "untouched", "gone"])
def test_a_part_that_is_not_declared_raises_when_touched(split, part):
    with pytest.raises(InputError, match=r"Peek declares that it does not read '(data|forget|held_out)'"):
        Peek(part=part).unlearn(GCN(8, 6, 3), LINK, split)


def test_a_declared_part_may_be_read(split):
    assert Peek(part="retain").unlearn(GCN(8, 6, 3), LINK, split).context is split.retain


def test_a_drop_in_returns_the_models_own_parameters(split):
    with pytest.raises(InputError, match="Grown must return the model's own parameters"):
        Grown().unlearn(GCN(8, 6, 3), LINK, split)
    assert "extra.weight" in Operator().unlearn(GCN(8, 6, 3), LINK, split).model.state_dict()


def test_weights_that_are_no_numbers_are_never_returned(split):
    with pytest.raises(Diverged, match=r"Spoil made conv1\.\S+ NaN"):
        Spoil().unlearn(GCN(8, 6, 3), LINK, split)


def test_the_record_holds_what_the_method_left(split):
    assert Shake().unlearn(GCN(8, 6, 3), LINK, split).record == {"first": 1, "size": 0.1}


def test_a_method_says_what_task_it_needs(split):
    with pytest.raises(InputError, match=r"Layers needs a task that is NodeClassification \(got LinkPrediction\)"):
        Layers().unlearn(GCN(8, 6, 3), LINK, split)


@pytest.mark.parametrize("setting", [{"epochs": 0}, {"lr": -1.0}, {"lr": float("nan")}])
def test_settings_that_cannot_work_are_refused(split, setting):
    ((name, value),) = setting.items()
    with pytest.raises(InputError, match=rf"{name} must be positive \(got {value}\)"):
        FineTune(**setting).unlearn(GCN(8, 6, 3), LINK, split)


def test_a_method_is_frozen():
    with pytest.raises(AttributeError):
        Shake().size = 3


class Odd(nn.Linear):
    def forward(self, x, edge_index):
        return x[:5]


def test_a_model_of_the_wrong_shape_is_refused_before_any_work(split):
    model = Odd(8, 3).train()
    with same_random_state(), pytest.raises(InputError, match=r"\[72, d\] \(got \[5, 8\]\)"):
        Shake().unlearn(model, LINK, split)
    assert model.training


def test_a_request_without_elements_of_the_task_is_refused():
    graph = sbm()
    label = ForgetSplit.of(graph, ForgetRequest.of("label", [3]), graph)
    with pytest.raises(InputError, match="nothing that LinkPrediction can ask"):
        Shake().unlearn(GCN(8, 6, 3), LINK, label)


def test_an_adjacency_that_a_layer_cached_does_not_come_back(split):
    """GCNConv(cached=True) holds the whole graph in an attribute that no state_dict shows."""

    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = GCNConv(8, 3, cached=True)

        def forward(self, x, edge_index):
            return self.conv(x, edge_index)

    model = Cached()
    model(split.data.x, split.data.edge_index)
    result = Shake().unlearn(model, LINK, split)
    assert model.conv._cached_edge_index is not None  # the user's own model keeps its cache
    retain = split.retain
    assert result.model.conv._cached_edge_index is None
    result.model(retain.x, retain.edge_index)
    seen = result.model.conv._cached_edge_index[0]
    assert set(edges_of(split.retain.edge_index)) <= set(edges_of(seen))
    assert not {edge for edge in edges_of(seen) if edge[0] != edge[1]} & set(edges_of(split.forget.edge_index))


# --- wrapped models


def compiled(model):
    return torch.compile(model, backend="eager")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("wrap", [nn.DataParallel, compiled, lambda m: compiled(nn.DataParallel(m))])
def test_a_wrapped_model_comes_back_wrapped(split, wrap, training):
    inner = GCN(8, 6, 3)
    wrapped = wrap(inner).train(training)
    before = state(wrapped)
    result = Shake().unlearn(wrapped, LINK, split).model
    assert type(result) is type(wrapped)
    assert result.state_dict().keys() == wrapped.state_dict().keys()
    assert equal_states(state(wrapped), before)
    assert not equal_states(state(result), before)
    assert unwrap(wrapped) is inner
    assert result.training is training
    assert unwrap(result).training is training
    plain = Shake().unlearn(inner, LINK, split).model
    assert equal_states(state(unwrap(result)), state(plain))


def test_a_plain_model_is_not_wrapped():
    model = GCN(8, 6, 3)
    assert unwrap(model) is model
    assert rewrap(model, model) is model
