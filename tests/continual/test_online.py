"""The seven online learners against plain numpy, and what their equations promise; the repair of a last layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.continual.data import COUNTS, LETTERS, load_letters, taken
from graphforget.continual.models import encoder
from graphforget.continual.online import RULES, OnlineLayer
from graphforget.continual.repair import OnlineRepair
from graphforget.errors import GraphforgetError, InputError, NotApplicable
from graphforget.folders import BadFile
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.train import Recipe, seeded
from graphforget.vision.data import load_splits
from graphforget.vision.models import build
from graphforget.vision.task import ImageClassification
from tests.continual.naive import online
from tests.small import equal_states, same_random_state, state


def stream(count: int = 40, size: int = 6, labels: int = 5) -> tuple[torch.Tensor, list[int]]:
    rng = torch.Generator().manual_seed(4)
    return torch.randn(count, size, generator=rng).double(), torch.randint(labels, (count,), generator=rng).tolist()


def layer(rule: str, *, lr: float = 0.1, k: int = 4, labels: int = 3) -> OnlineLayer:
    rng = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(6, labels, generator=rng).double(), torch.randn(labels, generator=rng).double()
    return OnlineLayer(weight, bias, range(labels), rule, lr, k)


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_equals_its_equations_in_numpy(rule):
    x, y = stream()
    ours = layer(rule)
    weight, bias, labels, said = online(
        ours.weight.numpy().copy(), ours.bias.numpy().copy(), [0, 1, 2], x.numpy(), y, rule, 0.1, 4
    )
    found = [ours.learn(one, label) for one, label in zip(x, y, strict=True)]
    assert found == said
    assert ours.labels == labels
    np.testing.assert_allclose(ours.weight.numpy(), weight, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ours.bias.numpy(), bias, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("rule", ["v2", "v2_batch"])
def test_v2_leaves_the_old_labels_bit_identical_and_learns_the_new(rule):
    x, y = stream()
    ours = layer(rule)
    before = ours.weight.clone(), ours.bias.clone()
    for one, label in zip(x, y, strict=True):
        ours.learn(one, label)
    assert ours.weight[:, :3].equal(before[0])
    assert ours.bias[:3].equal(before[1])
    assert ours.weight[:, 3:].abs().min() > 0


def test_lwf_starts_with_a_zero_gradient_and_becomes_tinyol():
    x, y = stream(labels=3)
    ours = layer("lwf")
    before = ours.weight.clone()
    ours.learn(x[0], y[0])
    torch.testing.assert_close(ours.weight, before, rtol=0, atol=1e-15)
    late, plain = layer("lwf"), layer("tinyol")
    late.seen = 10**15  # l = 0
    for one, label in zip(x, y, strict=True):
        assert late.learn(one, label) == plain.learn(one, label)
    torch.testing.assert_close(late.weight, plain.weight, rtol=0, atol=1e-10)


@pytest.mark.parametrize("rule", ["tinyol", "v2"])
def test_a_batch_of_one_is_the_form_a_sample_at_a_time_once_the_first_sample_is_over(rule):
    x, y = stream()
    one, many = layer(rule), layer(f"{rule}_batch", k=1)
    one.seen = many.seen = 1
    for features, label in zip(x, y, strict=True):
        one.learn(features, label)
        many.learn(features, label)
    assert one.weight.equal(many.weight)
    assert one.bias.equal(many.bias)


def test_cwr_keeps_what_the_batch_did_not_show():
    x, _ = stream()
    ours = layer("cwr", k=4)
    before = ours.weight.clone()
    for number in range(5):  # the batch ends with the fifth
        ours.learn(x[number], 0 if number % 2 else 2)
    assert ours.weight[:, 1].equal(before[:, 1])
    assert not ours.weight[:, 0].equal(before[:, 0])
    assert not ours.weight[:, 2].equal(before[:, 2])


@pytest.mark.parametrize("rule", RULES)
def test_growing_keeps_old_columns_and_a_new_label_counts_as_an_error(rule):
    x, _ = stream()
    ours = layer(rule, lr=1e-12)
    before, said = ours.weight.clone(), ours.predict(x[0])
    assert ours.learn(x[1], 9) is None
    torch.testing.assert_close(ours.weight[:, :3], before, rtol=0, atol=1e-10)
    assert ours.labels == [0, 1, 2, 9]
    assert int((x[0] @ ours.weight + ours.bias)[:3].argmax()) == said


@pytest.mark.parametrize("rule", RULES)
def test_memory_does_not_grow_with_the_stream(rule):
    x, y = stream(labels=3)
    ours = layer(rule)
    size = ours.nbytes
    for one, label in zip(x, y, strict=True):
        ours.learn(one, label)
    assert ours.nbytes == size
    assert not any(torch.isin(x, value).any() for value in (ours.weight, ours.bias))  # no sample is kept


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "tinyl"}, "did you mean 'tinyol'"),
        ({"k": 0}, "k must be at least 1"),
        ({"lr": 0.0}, "lr positive"),
        ({"labels": [0]}, "one label a column"),
        ({"bias": torch.zeros(5)}, "the other way round"),
    ],
)
def test_settings_are_checked(change, message):
    with pytest.raises(InputError, match=message):
        OnlineLayer(**{"weight": torch.zeros(6, 2), "bias": torch.zeros(2), "labels": [0, 1]} | change)


def test_a_broken_sample_teaches_nothing():
    ours = layer("tinyol")
    before = ours.weight.clone()
    for bad in (torch.full((6,), torch.nan), torch.zeros(5)):
        with pytest.raises(InputError, match="6 finite numbers"):
            ours.learn(bad, 7)
    assert ours.weight.equal(before)
    assert ours.labels == [0, 1, 2]


def test_the_encoder_has_the_published_size():
    assert [sum(p.numel() for p in module.parameters()) for module in encoder() if list(module.parameters())] == [
        76_928,
        16_512,
        645,
    ]


def test_the_letters_have_the_published_counts(data_root):
    data = load_letters(data_root)
    assert list(data.x.shape) == [5026, 600]
    assert torch.bincount(data.y).tolist() == [COUNTS[letter] for letter in LETTERS]
    assert int(data.groups.max()) == 53  # names of logs in the packed file
    assert float(data.x.abs().max()) == 1998
    rows, rest = taken(data, 176, seed=3)
    assert len(rows) == 880
    assert len(rest) == 4146
    assert int(data.y[rows].max()) == 4
    assert not torch.isin(rows, rest).any()


def test_a_file_of_other_gestures_is_named(tmp_path):
    folder = tmp_path / "letters_accel"
    folder.mkdir()
    np.savez(folder / "letters_accel.npz", X=np.zeros((2, 600), np.int16), y=np.array(["A", "B"]), source=["a", "b"])
    with pytest.raises(BadFile, match="expected gestures"):
        load_letters(tmp_path)
    (folder / "letters_accel.npz").write_bytes(b"PK\x03\x04half")
    with pytest.raises(BadFile, match="half-downloaded"):
        load_letters(tmp_path)
    (folder / "letters_accel.npz").unlink()
    with pytest.raises(InputError, match=r"letters_accel\.npz"):
        load_letters(tmp_path)


# --- the repair


TASK = ImageClassification(recipe=Recipe(epochs=15, patience=15, lr=2e-3, batch_size=64))


RATES = {"tinyol_batch": 0.1, "cwr": 0.1}  # a step of theirs is an average of k


@pytest.fixture(scope="module")
def digits():
    splits = load_splits("digits_images")
    with seeded(3):
        model = build("mlp", (1, 8, 8), 10)
    TASK.fit(model, splits.train, splits.val, seed=3)
    return model, splits, ForgetSplit.of(splits.train, ForgetRequest.of("class", [8]), splits.val)


@pytest.mark.parametrize("rule", ["tinyol", "tinyol_batch", "lwf", "lwf_batch", "cwr"])
def test_a_repaired_layer_does_not_name_the_forgotten_class_and_keeps_the_others(digits, rule):
    model, splits, split = digits
    before = state(model)
    with same_random_state():
        found = OnlineRepair(rule=rule, lr=RATES.get(rule, 0.01)).unlearn(model, TASK, split, seed=1)
    assert equal_states(state(model), before)
    assert TASK.evaluate(found.model, found.context, split.forget)["accuracy"] <= 0.1
    kept = splits.test.scrub({"class": torch.tensor([8])}, splits.train)
    assert TASK.evaluate(found.model, found.context, kept)["accuracy"] > 0.9
    changed = [key for key, value in found.model.state_dict().items() if not value.equal(before[key])]
    assert changed == ["5.weight", "5.bias"]
    assert found.record["samples"] == split.retain.size
    assert "features" in found.record["encoder"]
    again = OnlineRepair(rule=rule, lr=RATES.get(rule, 0.01)).unlearn(model, TASK, split, seed=1)
    assert equal_states(state(found.model), state(again.model))


def test_a_repair_is_nearer_to_gold_than_the_original_and_cheaper_than_it(digits):
    model, _, split = digits
    gold = Retrain().unlearn(model, TASK, split, seed=100)
    found = OnlineRepair().unlearn(model, TASK, split, seed=1)

    def outputs(one, context):
        return TASK.teacher(one, context)(TASK.elements(split.retain, split.forget))

    def apart(one, context):
        views = TASK.elements(split.retain, split.forget)
        return TASK.to_gold(outputs(one, context), outputs(gold.model, gold.context), views)["js_to_gold"]

    assert apart(found.model, found.context) < apart(model, split.data) / 2


def test_a_repair_needs_a_linear_last_layer_and_a_rule_that_learns_old_labels(digits):
    _, _, split = digits
    convolution = nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())
    with pytest.raises(NotApplicable, match=r"must be linear \(got Conv2d\)"):
        OnlineRepair().unlearn(convolution, TASK, split)
    with pytest.raises(GraphforgetError, match="known: tinyol"):
        OnlineRepair(rule="v2")
    with pytest.raises(InputError, match="passes"):
        OnlineRepair(passes=0)
