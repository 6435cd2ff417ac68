"""Independent rows as the base's data: views, requests, and the methods of every domain on them, unchanged."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from graphforget.errors import InputError
from graphforget.evidence import compare
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.methods.d2dgn import D2DGN
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.methods.finetune import FineTune
from graphforget.methods.gradient_ascent import GradientAscent
from graphforget.methods.retrain import Retrain
from graphforget.regression.task import Regression
from graphforget.samples import Samples, neighbourhood, split_rows
from graphforget.splits import Splits
from graphforget.task import Batch, Task
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Unlearned
from graphforget.vision.task import ImageClassification
from tests.small import equal_states, same_random_state, state, storages

RECIPE = Recipe(epochs=30, patience=30, lr=5e-3, batch_size=64, eval_every=5)
METHODS = {
    "retrain": Retrain(),
    "finetune": FineTune(epochs=2, lr=1e-3),
    "gradient_ascent": GradientAscent(epochs=2),
    "d2dgn": D2DGN(epochs=2),
    "d2dgn feat": D2DGN(epochs=2, distilled="both"),
    "d2dgn_calibrated": CalibratedD2DGN(epochs=2, refresh=2, samples=1),
}


def rows(count: int = 12) -> Samples:
    x = torch.arange(count * 3.0).view(count, 3)
    return Samples(x, torch.arange(count) % 3, groups=torch.arange(count) // 2)


# --- views and requests


@pytest.mark.parametrize(
    ("kind", "ids", "forget"),
    [
        ("sample", [1, 5], [1, 5]),
        ("class", [2], [2, 5, 8, 11]),
        ("subclass", [0, 3], [0, 1, 6, 7]),
        ("label", [4], [4]),
    ],
)
def test_a_request_takes_its_rows_and_no_other(kind, ids, forget):
    data = rows()
    gone, kept = data.partition({kind: torch.tensor(ids)})
    assert gone.rows().tolist() == forget
    assert kept.rows().tolist() == [row for row in range(12) if row not in forget]
    assert gone.x is data.x
    if kind == "label":
        assert kept.y[4] == -1
        assert gone.y[4] == data.y[4]
    else:
        assert kept.x is data.x


def test_features_are_masked_in_the_retain_part_and_the_rows_stay():
    data = rows()
    gone, kept = data.partition({"feature": torch.tensor([[2, 1], [7, 0]])})
    assert gone.rows().tolist() == [2, 7]
    assert kept.size == 12
    assert kept.x[2, 1] == 0
    assert kept.x[7, 0] == 0
    assert int((kept.x != data.x).sum()) == 2
    column, rest = data.partition({"feature": torch.tensor([1])})
    assert column.size == 12
    assert not rest.x[:, 1].any()
    assert gone.without(kept).size == 0


def test_a_class_and_a_column_leave_the_held_out_rows_too():
    data = rows()
    train, val = data.view(torch.arange(12) < 8), data.view(torch.arange(12) >= 8)
    split = ForgetSplit.of(train, ForgetRequest.of("class", [2]), val)
    assert split.held_out.rows().tolist() == [9, 10]
    column = ForgetSplit.of(train, ForgetRequest.of("feature", [0]), val)
    assert not column.held_out.x[:, 0].any()
    rows_only = ForgetSplit.of(train, ForgetRequest.of("sample", [2]), val)
    assert rows_only.held_out.rows().tolist() == [8, 9, 10, 11]


def test_validation_of_its_own_may_lack_the_class():
    train, val = rows(), Samples(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]))
    assert ForgetSplit.of(train, ForgetRequest.of("class", [2]), val).held_out.size == 4
    assert ForgetSplit.of(train, ForgetRequest.of("subclass", [5]), val).held_out.size == 4


def test_a_view_reads_no_array_again(monkeypatch):
    data = rows()
    monkeypatch.setattr(torch, "isfinite", None)  # whoever checked the values once more would call it
    assert data.view(torch.arange(12) < 3).without(data.view(torch.arange(12) < 1)).rows().tolist() == [1, 2]
    with pytest.raises(InputError, match="mask must have 12 rows"):
        data.view(torch.ones(3, dtype=torch.bool))


def test_a_sequence_goes_on_from_what_was_retained_and_refuses_what_is_gone():
    train = rows()
    split = ForgetSplit.of(train, ForgetRequest.of("sample", [0, 1]), train)
    after = split.then(ForgetRequest.of("sample", [2]))
    assert after.retain.rows().tolist() == list(range(3, 12))
    with pytest.raises(InputError, match="sample 1 is not among the training rows"):
        split.then(ForgetRequest.of("sample", [1]))


def test_compact_holds_the_rows_of_the_view_and_no_other():
    small = rows().view(torch.arange(12) % 5 == 0).compact()
    assert small.x.tolist() == [[0.0, 1.0, 2.0], [15.0, 16.0, 17.0], [30.0, 31.0, 32.0]]
    assert (small.y.tolist(), small.groups.tolist()) == ([0, 2, 1], [0, 2, 5])


@pytest.mark.parametrize(
    ("kind", "ids", "message"),
    [
        ("sample", [12], r"sample ids must lie in \[0, 12\) \(got 12\)"),
        ("sample", [[1, 2]], r"shape \[n\]"),
        ("class", [7], "no row has the class 7"),
        ("subclass", [9], "no row has the subclass 9"),
        ("label", [-1], r"got -1"),
        ("feature", [3], r"columns must lie in \[0, 3\)"),
        ("edge", [0], "edge"),
        ("sample", list(range(12)), "covers everything"),
        ("feature", [0, 1, 2], "covers everything"),
    ],
)
def test_what_does_not_fit_is_refused(kind, ids, message):
    with pytest.raises(InputError, match=message):
        rows().partition({kind: torch.tensor(ids)})


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(2, dtype=torch.long), "y must have 3 rows"),
        (torch.zeros(3, 2), torch.tensor([[0.0], [float("nan")], [1.0]]), "y holds NaN or infinity .first in row 1"),
        (torch.tensor([[0.0], [1.0], [float("inf")]]), torch.zeros(3, dtype=torch.long), "x holds NaN .*row 2"),
        (torch.zeros(3, 2), torch.zeros(3), r"must be \[N, D\]"),
    ],
)
def test_broken_rows_are_refused(x, y, message):
    with pytest.raises(InputError, match=message):
        Samples(x, y)


def test_subclasses_need_groups_and_classes_need_labels():
    with pytest.raises(InputError, match="needs groups"):
        Samples(torch.zeros(3, 2), torch.arange(3)).partition({"subclass": torch.tensor([0])})
    with pytest.raises(InputError, match="y holds targets"):
        Samples(torch.zeros(3, 2), torch.zeros(3, 1)).partition({"class": torch.tensor([0])})


def test_splits_share_the_arrays_and_no_row():
    data = rows(100)
    parts = split_rows(data, val=0.1, test=0.25, seed=3)
    assert [part.size for part in parts] == [65, 10, 25]
    assert sorted(torch.cat([part.rows() for part in parts]).tolist()) == list(range(100))
    assert all(part.x is data.x for part in parts)
    assert not torch.equal(parts.test.rows(), split_rows(data, val=0.1, test=0.25, seed=4).test.rows())


# --- the task


def test_no_forgotten_row_is_in_a_training_batch():
    task = ImageClassification(recipe=RECIPE)
    data = rows(300)
    split = ForgetSplit.of(data, ForgetRequest.of("class", [1]), data)
    seen = [batch.index for batch in task.batches(split.retain, split.retain, torch.Generator().manual_seed(0))]
    assert [len(index) for index in seen] == [64, 64, 64, 8]
    assert sorted(torch.cat(seen).tolist()) == split.retain.rows().tolist()
    assert not torch.equal(seen[0], torch.arange(64))


def test_many_rows_are_asked_in_pieces_with_the_same_answers():
    data = Samples(torch.randn(2500, 4), torch.zeros(2500, dtype=torch.long))
    model, task = nn.Linear(4, 2), ImageClassification()
    batch = task.elements(data, data)
    assert torch.allclose(task.teacher(model, data)(batch), model(data.x))


def test_a_masked_feature_is_not_seen_and_its_old_value_is_asked_about():
    data = rows()
    split = ForgetSplit.of(data, ForgetRequest.of("feature", [[2, 1]]), data)
    ask = ImageClassification().teacher(nn.Identity(), split.retain)
    task = ImageClassification()
    assert ask(task.elements(split.retain, split.retain))[2].tolist() == [6.0, 0.0, 8.0]
    assert ask(task.elements(split.retain, split.forget)).tolist() == [[6.0, 7.0, 8.0]]


def test_layers_are_those_named_or_all_that_hold_weights():
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    data = rows()
    every = ImageClassification().layers(model, data, data.view(torch.arange(12) < 4))
    assert {name: list(value.shape) for name, value in every.items()} == {"0": [4, 5], "2": [4, 2]}
    named = ImageClassification(layer_names=("1",)).layers(model, data, data)
    assert torch.equal(named["1"], model[0](data.x).relu())
    assert named["1"].requires_grad
    assert not model[0]._forward_hooks
    with pytest.raises(InputError, match="no layer '9'"):
        ImageClassification(layer_names=("9",)).layers(model, data, data)
    with pytest.raises(InputError, match="no linear, convolutional or recurrent layer"):
        ImageClassification().layers(nn.Flatten(), data, data)


def test_neighbours_leave_the_row_itself_out():
    x = torch.tensor([[0.0], [1.0], [2.0], [10.0], [11.0]])
    data = Samples(x, torch.tensor([0, 0, 1, 1, 1]))
    found = neighbourhood(data, Batch(torch.tensor([0, 4]), torch.tensor([0, 1])), neighbours=2)
    assert np.allclose(found, [[0.5, 1.5, 1.0], [1.0, 5.0, 1.0]])
    outside = data.view(torch.tensor([False, True, True, True, True]))
    assert np.allclose(neighbourhood(outside, Batch(torch.tensor([0]), torch.tensor([0])), 2), [[0.5, 1.5, 1.0]])
    targets = Samples(x, torch.tensor([[0.0], [1.0], [2.0], [3.0], [4.0]]))
    found = neighbourhood(targets, Batch(torch.tensor([0]), torch.tensor([[0.0]])), 2)
    assert np.allclose(found, [[-1.5, 1.5, 1.0]])


def test_sentences_are_near_where_they_share_words():
    words = torch.tensor([[[1, 2, 3, 0]], [[3, 2, 1, 0]], [[7, 8, 9, 0]], [[7, 8, 0, 0]]])
    data = Samples(words, torch.tensor([[0.0], [1.0], [5.0], [6.0]]))
    found = neighbourhood(data, Batch(torch.tensor([0, 2]), torch.tensor([[0.0], [5.0]])), neighbours=1)
    assert found[0].tolist() == [-1.0, 0.0, 0.0]  # the same words in another order
    assert found[1, 0] == -1
    assert 0 < found[1, 2] < 3


def test_a_regressors_belief_is_lowered_by_moving_away_from_the_target():
    task = Regression()
    outputs, batch = torch.tensor([[1.0], [3.0], [2.0]]), Batch(torch.arange(3), torch.tensor([[2.0], [2.0], [2.0]]))
    delta = torch.tensor([0.5, 0.5, 0.25])
    moved = task.shift(outputs, batch, delta)
    assert moved.tolist() == [[0.5], [3.5], [2.25]]
    assert torch.allclose(task.scores(moved, batch), task.scores(outputs, batch) - delta)
    assert task.shift(outputs, batch, -torch.ones(3) * 5).tolist() == [[2.0], [2.0], [2.0]]


# --- the methods, unchanged


@cache
def world(kind: str) -> tuple[Task[Samples], nn.Module, Splits[Samples], ForgetSplit[Samples]]:
    digits = load_digits()
    x = torch.from_numpy(digits.data).float() / 16
    y = torch.from_numpy(digits.target).long()
    with seeded(0):
        if kind == "regression":  # the left half of an image predicts how much ink its right half has
            half = torch.arange(64) % 8 < 4
            data = Samples(x[:, half], x[:, ~half].sum(1, keepdim=True))
            task: Task[Samples] = Regression(recipe=RECIPE)
            model: nn.Module = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
            request = ForgetRequest.of("sample", list(range(100)))
        else:
            data, task = Samples(x, y), ImageClassification(recipe=RECIPE)
            model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 10))
            request = ForgetRequest.of("class", [3])
    parts = split_rows(data, seed=1)
    if kind != "class":
        request = ForgetRequest.of("sample", parts.train.rows()[:60])
    model = task.fit(model, parts.train, parts.val, seed=0)
    return task, model, parts, ForgetSplit.of(parts.train, request, parts.val)


@cache
def result(name: str, kind: str) -> Unlearned:
    task, model, _, split = world(kind)
    return METHODS[name].unlearn(model, task, split, seed=5)


@pytest.mark.parametrize("kind", ["sample", "class", "regression"])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_of_the_base_runs_on_rows(name, kind):
    task, model, _, split = world(kind)
    before, parts = state(model), [part.rows() for part in (split.forget, split.retain, split.held_out)]
    with same_random_state():
        found = METHODS[name].unlearn(model, task, split, seed=5)
    assert equal_states(state(model), before)
    assert equal_states(state(found.model), state(result(name, kind).model))
    assert not equal_states(state(found.model), before)
    assert not storages(found.model) & storages(model)
    kept = (split.forget, split.retain, split.held_out)
    assert all(part.rows().equal(old) for part, old in zip(kept, parts, strict=True))
    assert not set(found.context.rows().tolist()) & set(split.forget.rows().tolist())


def test_gold_and_ours_never_look_at_a_forgotten_row():
    """The forgotten rows' inputs are replaced by others: gold stays the same to the last bit."""
    task, model, _, split = world("sample")
    spoilt = split.data.x.clone()
    spoilt[split.forget.rows()] = 7.0
    parts = {name: replace(getattr(split, name), x=spoilt) for name in ("data", "forget", "retain", "held_out")}
    other = Retrain().unlearn(model, task, replace(split, **parts), seed=5)
    assert equal_states(state(other.model), state(result("retrain", "sample").model))


@pytest.mark.parametrize("kind", ["sample", "class", "regression"])
def test_the_evidence_holds_for_rows(kind):
    task, model, parts, split = world(kind)
    golds = [Retrain().unlearn(model, task, split, seed=seed) for seed in (21, 22)]
    found = compare(
        task, split, parts.test, original=model, golds=golds, unlearned={"ours": result("d2dgn_calibrated", kind)}
    )

    def value(role: str, part: str, metric: str) -> float:
        (row,) = found.select(role=role, part=part, metric=metric)
        return row["value"]

    distance = "rmse_to_gold" if kind == "regression" else "js_to_gold"
    assert value("gold_other_seed", "forget", distance) > 0
    if kind == "class":  # the original knows the class, gold has never met it, ours is nearer to gold
        assert value("original", "forget", "accuracy") > 0.9
        assert value("gold", "forget", "accuracy") == 0
        assert value("unlearned", "forget", distance) < value("original", "forget", distance) / 2
    for role in ("original", "gold", "unlearned"):
        assert 0 <= value(role, "all", "mia_auc") <= 1


def test_a_task_on_rows_says_what_is_wrong_with_a_model():
    task, _, _, split = world("sample")
    with pytest.raises(InputError, match=r"must have shape \[60, C\]"):
        FineTune().unlearn(nn.Sequential(nn.Linear(64, 4), nn.Flatten(0)), task, split)
