"""Training: isolation of randomness, patience, divergence, quiet bars."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from graphforget.errors import Diverged, InputError
from graphforget.train import Recipe, TrainRecord, bar, descend, draw_seed, fit, progress, seeded
from tests.small import equal_states, same_random_state, state


def draw():
    return torch.rand(2).tolist(), np.random.rand(), random.random()  # noqa: NPY002


def test_seeded_restores_every_generator():
    with same_random_state():
        with seeded(3):
            first = draw()
        with seeded(3):
            assert draw() == first


def test_seeded_restores_every_generator_after_an_error():
    def fail():
        with seeded(3):
            draw()
            raise ZeroDivisionError

    with same_random_state(), pytest.raises(ZeroDivisionError):
        fail()


def test_seeded_draws_depend_on_the_seed_alone():
    found = []
    for seed in (3, 3, 4):
        draw()
        with seeded(seed) as rng:
            found.append((draw(), draw_seed(rng)))
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]
    assert found[0][1] != found[2][1]


def one_weight(value: float = 1.0) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def pull(model: nn.Linear, target: float = 0.0):
    """One step an epoch towards a target."""
    return lambda epoch: iter([(model.weight - target).square().sum()])


def test_patience_restores_the_best_weights():
    model, seen = one_weight(), []

    def score() -> float:  # best when the weight passes 0.5, on its way to 0
        seen.append(float(model.weight.detach()))
        return -abs(seen[-1] - 0.5)

    record = TrainRecord()
    out = fit(model, pull(model), score, Recipe(epochs=500, patience=10, lr=0.05, eval_every=1), record=record)
    best = min(seen, key=lambda weight: abs(weight - 0.5))
    assert out is model
    assert model.weight.item() == best
    assert not model.training
    assert record.converged
    assert len(record.curve) == record.best_epoch + 11 < 500
    assert record.best_score == max(score for _, _, score in record.curve) == -abs(best - 0.5)


def test_patience_restores_batch_statistics_with_the_weights():
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    scores = iter([1.0, 0.0, 0.0, 0.0])
    kept = []

    def score() -> float:
        kept.append(state(model))
        return next(scores)

    data = torch.randn(8, 1) + 3
    fit(model, lambda epoch: iter([model(data).square().mean()]), score, Recipe(epochs=4, eval_every=1))
    assert equal_states(state(model), kept[0])
    assert not equal_states(kept[0], kept[3])


def test_without_a_pause_the_recipe_runs_to_its_end():
    model, record = one_weight(), TrainRecord()
    recipe = Recipe(epochs=7, lr=0.01, eval_every=3)
    fit(model, pull(model), lambda: -float(model.weight.detach()), recipe, record=record)
    assert [epoch for epoch, _, _ in record.curve] == [0, 3, 6]
    assert not record.converged


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_no_number_stops_training_before_the_step(value):
    model = one_weight(2.0)
    with pytest.raises(Diverged, match="epoch 0 of test"):
        descend(model, lambda epoch: iter([model.weight.sum() * value]), epochs=3, lr=0.1, title="test")
    assert float(model.weight) == 2.0


def test_a_score_that_is_never_a_number_is_an_error():
    model = one_weight()
    with pytest.raises(Diverged, match="held-out"):
        fit(model, pull(model), lambda: float("nan"), Recipe(epochs=6, eval_every=1))


def test_frozen_parameters_do_not_move():
    model = nn.Linear(1, 1)
    model.bias.requires_grad_(False)
    before = state(model)
    descend(model, lambda epoch: iter([model(torch.ones(1, 1)).square().sum()]), epochs=2, lr=0.1, weight_decay=1.0)
    assert model.bias.equal(before["bias"])
    assert not model.weight.equal(before["weight"])
    model.requires_grad_(False)
    with pytest.raises(InputError, match="no trainable parameter"):
        descend(model, pull(model), epochs=1, lr=0.1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, r"epochs.*\(got 0\)"),
        ({"patience": -1}, r"patience.*\(got -1\)"),
        ({"eval_every": 0}, "eval_every"),
        ({"batch_size": 0}, r"batch_size.*\(got 0\)"),
    ],
)
def test_recipes_are_checked(setting, message):
    with pytest.raises(InputError, match=message):
        Recipe(**setting)


def test_bars_are_silent_outside_a_terminal(capfd):
    model = one_weight()
    descend(model, pull(model), epochs=3, lr=0.1, title="no block")
    with progress():
        descend(model, pull(model), epochs=3, lr=0.1, title="in a block")
        with bar("by hand", 2) as advance:
            advance()
    assert capfd.readouterr() == ("", "")


def test_bars_close_after_an_error():
    with pytest.raises(ZeroDivisionError), progress():
        raise ZeroDivisionError
    with bar("title", 1) as advance:  # no block is open any more: nothing to advance
        assert advance() is None
