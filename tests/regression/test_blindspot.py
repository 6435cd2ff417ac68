"""Blindspot and Gaussian-Amnesiac: the equations, and what reaches which network."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import Diverged, InputError, NotApplicable
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.regression import blindspot as module
from graphforget.regression.blindspot import Blindspot, apart, attention, mix
from graphforget.regression.data import load_splits
from graphforget.regression.gaussian_amnesiac import GaussianAmnesiac, relabel
from graphforget.regression.models import build
from graphforget.regression.task import Regression
from graphforget.samples import Samples
from graphforget.task import Batch
from graphforget.train import Recipe, seeded
from graphforget.vision.task import ImageClassification
from tests import naive_regression as naive
from tests.promises import keeps_its_promises

TASK = Regression(recipe=Recipe(epochs=10, patience=10, lr=1e-2, batch_size=64, eval_every=1))
METHODS = {"blindspot": Blindspot(), "gaussian_amnesiac": GaussianAmnesiac()}
SHAPES = {"B F": (3, 5), "B T F": (3, 4, 5), "B C H W": (3, 2, 4, 5)}


@cache
def world():
    parts = load_splits("diabetes")
    with seeded(0):
        model = build("mlp", parts.train)
    model = TASK.fit(model, parts.train, parts.val, seed=0)
    split = ForgetSplit.of(parts.train, ForgetRequest.of("sample", parts.train.rows()[:60]), parts.val)
    return model, split


def drawn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_attention_equals_the_equation_and_is_zero_only_on_equal_activations(shape):
    a, b = drawn(shape, 0), drawn(shape, 1)
    np.testing.assert_allclose(attention(a).numpy(), naive.attention(a.numpy()), rtol=1e-12)
    value = float(apart({"k": a}, {"k": b}))
    assert value == pytest.approx(naive.apart({"k": a.numpy()}, {"k": b.numpy()}), rel=1e-12)
    assert value > 0
    assert float(apart({"k": a}, {"k": a})) == 0


def test_the_share_of_the_forgotten_weighs_the_two_losses():
    forget, retain = torch.tensor(3.0), torch.tensor(7.0)
    assert mix(0.0, forget, retain) == retain
    assert mix(1.0, forget, retain) == forget


def test_a_step_equals_the_equation(monkeypatch):
    """One step on six rows in float64, two of them forgotten, against plain numpy."""
    x, y = drawn((6, 3), 2), drawn((6, 1), 3)
    data = Samples(x, y)
    split = ForgetSplit.of(data, ForgetRequest.of("sample", [1, 4]), data)
    with seeded(1):
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1)).double()
    task, seen, blinds = Regression(recipe=Recipe(batch_size=None)), [], []
    real, train = module.descend, module.go_on

    def record(student, steps, **options):
        seen.append(float(next(steps(0)).detach()))
        return real(student, steps, **options)

    monkeypatch.setattr(module, "descend", record)
    monkeypatch.setattr(module, "go_on", lambda job, **options: blinds.append(job.model) or train(job, **options))
    Blindspot(beta=50.0).unlearn(model, task, split)
    gone, kept = Batch(torch.tensor([1, 4]), y[[1, 4]]), torch.tensor([0, 2, 3, 5])
    told, blind_layers = task.watch(blinds[0], data, gone)
    _, layers = task.watch(model, data, gone)

    def plain(each):
        return {name: value.detach().numpy() for name, value in each.items()}

    expected = naive.step(
        model(x[[1, 4]]).detach().numpy(), model(x[kept]).detach().numpy(), y[kept].numpy(),
        told.detach().numpy(), plain(layers), plain(blind_layers), 50.0,
    )  # fmt: skip
    assert seen[0] == pytest.approx(expected, rel=1e-10)


class Counting(nn.Linear):
    """A linear layer that writes down which rows a training pass brought it."""

    rows: list[float] = []  # noqa: RUF012 - the test's own notebook, shared by every copy

    def forward(self, x):
        if self.training:
            Counting.rows += x[:, 0].tolist()
        return super().forward(x)


def test_the_blind_network_never_receives_a_forgotten_row(monkeypatch):
    data = Samples(torch.arange(40.0)[:, None], torch.randn(40, 1, generator=torch.Generator().manual_seed(0)))
    split = ForgetSplit.of(data, ForgetRequest.of("sample", list(range(10))), data)
    trained, train = [], module.go_on

    def watched(job, **options):
        Counting.rows = []
        count = train(job, **options)
        trained.extend(Counting.rows)
        return count

    monkeypatch.setattr(module, "go_on", watched)
    Blindspot(blind_epochs=3, blind_lr=1e-4).unlearn(Counting(1, 1), Regression(recipe=Recipe(batch_size=8)), split)
    assert len(trained) == 3 * 30
    assert not [row for row in trained if row < 10]


def test_relabels_have_the_mean_and_deviation_of_all_training_targets():
    _, split = world()
    y = split.data.y[split.data.rows()].double()
    drawn_y = relabel(split.data, 4000, torch.Generator().manual_seed(0)).double()
    deviation = float(y.std(correction=0))
    assert abs(float(drawn_y.mean() - y.mean())) / (deviation / 4000**0.5) < 3.3
    assert abs(float(drawn_y.std()) / deviation - 1) < 3.3 / (2 * 4000) ** 0.5
    assert drawn_y.equal(relabel(split.data, 4000, torch.Generator().manual_seed(0)).double())


def test_gaussian_amnesiac_steps_on_retained_targets_and_drawn_ones(monkeypatch):
    from graphforget.regression import gaussian_amnesiac

    x, y = drawn((6, 3), 2), drawn((6, 1), 3)
    data = Samples(x, y)
    split = ForgetSplit.of(data, ForgetRequest.of("sample", [1, 4]), data)
    with seeded(1):
        model = nn.Linear(3, 1).double()
    wrong, seen = torch.tensor([[9.0], [-9.0]], dtype=torch.float64), []
    real = gaussian_amnesiac.descend
    monkeypatch.setattr(gaussian_amnesiac, "relabel", lambda *_: wrong)
    monkeypatch.setattr(
        gaussian_amnesiac,
        "descend",
        lambda m, steps, **o: seen.append(float(next(steps(0)).detach())) or real(m, steps, **o),
    )
    GaussianAmnesiac().unlearn(model, Regression(recipe=Recipe(batch_size=None)), split)
    expected = torch.cat([model(x[[0, 2, 3, 5]]) - y[[0, 2, 3, 5]], model(x[[1, 4]]) - wrong]).abs().mean().detach()
    assert seen[0] == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_keeps_its_promises(name):
    model, split = world()
    found = keeps_its_promises(METHODS[name], TASK, model, split)
    assert found.context is split.retain


@pytest.mark.parametrize("name", METHODS)
def test_values_that_go_are_no_rows(name):
    model, split = world()
    masked = ForgetSplit.of(split.data, ForgetRequest.of("feature", [2]), split.held_out)
    with pytest.raises(NotApplicable, match="forgets rows"):
        METHODS[name].unlearn(model, TASK, masked)


@pytest.mark.parametrize("name", METHODS)
def test_another_task_is_refused_before_any_work(name):
    labels = Samples(torch.randn(20, 3), torch.arange(20) % 2)
    split = ForgetSplit.of(labels, ForgetRequest.of("sample", [1]), labels)
    with pytest.raises(InputError, match="needs a task that is Regression"):
        METHODS[name].unlearn(nn.Linear(3, 2), ImageClassification(), split)


def test_a_model_without_layers_is_named():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3, 1))

        def reset_parameters(self):
            nn.init.zeros_(self.weight)

        def forward(self, x):
            return x @ self.weight

    data = Samples(torch.randn(20, 3), torch.randn(20, 1))
    split = ForgetSplit.of(data, ForgetRequest.of("sample", [1]), data)
    with pytest.raises(InputError, match="no linear, convolutional or recurrent layer"):
        Blindspot().unlearn(Bare(), TASK, split)


@pytest.mark.parametrize("name", METHODS)
def test_a_loss_that_diverges_returns_nothing(name):
    data = Samples(torch.randn(20, 3) * 1e20, torch.randn(20, 1))
    split = ForgetSplit.of(data, ForgetRequest.of("sample", [1]), data)
    method = type(METHODS[name])(lr=1e30)
    with pytest.raises((Diverged, InputError), match=r"NaN|inf|nan"):
        method.unlearn(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)), Regression(recipe=Recipe(batch_size=2)), split)


@pytest.mark.parametrize("fields", [{"beta": -1.0}, {"blind_epochs": 0}, {"blind_lr": 0.0}, {"epochs": 0}])
def test_settings_out_of_range_are_named(fields):
    model, split = world()
    with pytest.raises(InputError, match=next(iter(fields))):
        Blindspot(**fields).unlearn(model, TASK, split)
