"""A never-trained copy is never trained: every value is re-initialised or its name is in the error."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.fresh import fresh
from graphforget.gnn import models
from tests.small import equal_states, same_random_state, state, storages

MARK = 7.125  # what "training" leaves in every value


class Bare(nn.Module):
    """A parameter without any rule beside a layer that has one."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.token = nn.Parameter(torch.zeros(2))


class Partial(nn.Module):
    """A rule that forgets one of its parameters."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def reset_parameters(self):
        nn.init.normal_(self.first)


class Scaling(nn.Module):
    """A rule that only scales what is there: the trained values shine through."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def reset_parameters(self):
        self.weight.data.mul_(0.5)


class Counting(nn.Module):
    """An integer buffer that counts what was trained on."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("seen", torch.zeros(4, dtype=torch.int64))


def vit():
    from transformers import ViTConfig, ViTModel

    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return ViTModel(ViTConfig(**size, image_size=8, patch_size=4))


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return LlamaForCausalLM(LlamaConfig(**size, num_key_value_heads=2, vocab_size=16))


COVERED = {
    "linear": lambda: nn.Linear(3, 2),
    "attention": lambda: nn.MultiheadAttention(4, 2),
    "attention with bias_kv and kdim": lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True, kdim=3, vdim=5),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)),
    "embedding": lambda: nn.Embedding(5, 3, padding_idx=0),
    "layer norm": lambda: nn.LayerNorm(4),
    "encoder": lambda: nn.TransformerEncoderLayer(4, 2, 8),
    "lstm": lambda: nn.LSTM(3, 4),
    **{name: lambda kind=kind: kind(4, 5, 3) for name, kind in models.MODELS.items()},
    "embedded gcn": lambda: models.GCN(None, 5, 3, num_nodes=6),
}
UNCOVERED = {
    "bare parameter": (Bare, {"token"}),
    "partial rule": (Partial, {"second"}),
    "scaling rule": (Scaling, {"weight"}),
    "integer buffer": (Counting, {"seen"}),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)), {"original0", "original1"}),
}


def trained(build) -> nn.Module:
    """A model whose every floating value is MARK and whose integer buffers are 77."""
    model = build()
    with torch.no_grad():
        for value in model.state_dict(keep_vars=True).values():
            value.fill_(MARK if value.is_floating_point() else 77)
    return model


def holds_trained_values(model: nn.Module) -> list[str]:
    return [
        name
        for name, value in model.state_dict().items()
        if bool((value == (MARK if value.is_floating_point() else 77)).any()) or bool(value.isnan().any())
    ]


@pytest.mark.parametrize("build", COVERED.values(), ids=COVERED)
def test_every_value_is_new(build):
    model = trained(build)
    before = state(model)
    with same_random_state():
        new = fresh(model, 1)
    assert holds_trained_values(new) == []
    assert {k: v.shape for k, v in state(new).items()} == {k: v.shape for k, v in before.items()}
    assert not storages(new) & storages(model)
    assert equal_states(state(model), before)


@pytest.mark.parametrize("build", [COVERED["attention"], COVERED["gcn"], COVERED["lstm"]])
def test_the_seed_alone_decides(build):
    model = trained(build)
    first = state(fresh(model, 3))
    torch.rand(5)
    assert equal_states(first, state(fresh(model, 3)))
    assert not equal_states(first, state(fresh(model, 4)))


@pytest.mark.parametrize(("build", "names"), UNCOVERED.values(), ids=UNCOVERED)
def test_what_no_rule_covers_is_named(build, names):
    model = trained(build)
    before = state(model)
    with same_random_state(), pytest.raises(InputError, match="factory") as error:
        fresh(model, 0)
    listed = str(error.value).split(";")[0].removeprefix("no rule re-initialises ")
    assert {name.split(".")[-1] for name in listed.split(", ")} == names
    assert equal_states(state(model), before)


@pytest.mark.parametrize(("build", "some"), [(vit, "cls_token"), (llama, "norm.weight")], ids=["vit", "llama"])
def test_transformers_are_named_or_built_by_a_factory(build, some):
    model = trained(build)
    with pytest.raises(InputError, match="factory") as error:
        fresh(model, 0)
    assert some in str(error.value)
    new = fresh(model, 1, factory=build)
    assert holds_trained_values(new) == []
    assert not storages(new) & storages(model)
    assert equal_states(state(new), state(fresh(model, 1, factory=build)))
    assert not equal_states(state(new), state(fresh(model, 2, factory=build)))


def test_batch_statistics_start_anew():
    model = nn.BatchNorm1d(3)
    for _ in range(4):
        model(torch.randn(8, 3) + 5)
    new = fresh(model, 0)
    assert new.running_mean.tolist() == [0, 0, 0]
    assert new.running_var.tolist() == [1, 1, 1]
    assert int(new.num_batches_tracked) == 0
    assert int(model.num_batches_tracked) == 4


def test_constants_that_are_not_saved_stay():
    model = nn.Linear(2, 2)
    model.register_buffer("frequencies", torch.tensor([1.0, 0.1]), persistent=False)
    new = fresh(model, 0)
    assert new.frequencies.equal(model.frequencies)
    assert not storages(new) & storages(model)


def test_tied_weights_stay_tied():
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 4, bias=False))
    model[1].weight = model[0].weight
    new = fresh(model, 0)
    assert new[0].weight is new[1].weight
    assert not new[0].weight.equal(model[0].weight)


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_kept(training):
    assert fresh(nn.Linear(2, 2).train(training), 0).training is training
    assert fresh(nn.Linear(2, 2).train(training), 0, factory=lambda: nn.Linear(2, 2)).training is training


def test_a_factory_must_build_a_new_model_of_the_same_shape():
    model = nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"shape \[4, 3\] \(got \[2, 3\]\)"):
        fresh(model, 0, factory=lambda: nn.Linear(3, 4))
    with pytest.raises(InputError, match=r"other parameters.*bias"):
        fresh(model, 0, factory=lambda: nn.Linear(3, 2, bias=False))
    with pytest.raises(InputError, match="trained model itself"):
        fresh(model, 0, factory=lambda: model)
    with pytest.raises(InputError, match="trained values"):  # a copy of the trained model is as trained as the model
        fresh(model, 0, factory=lambda: copy.deepcopy(model))
