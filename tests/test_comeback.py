"""The two probes of concealment, on models whose answer is known."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from graphforget.comeback import Comeback, comeback
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.samples import Samples, split_rows
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Unlearned
from graphforget.vision.task import ImageClassification
from tests.small import equal_states, same_random_state, state

TASK = ImageClassification(recipe=Recipe(epochs=60, patience=60, lr=1e-2, batch_size=32, eval_every=60))


class Hidden(nn.Module):
    """A model whose output is turned over by one scale: what it knows is all there."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.requires_grad_(False)
        self.scale = nn.Parameter(torch.tensor(-0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * self.inner(x)


def world():
    """Random labels: only memory tells a row that was trained on from one that was not."""
    rng = torch.Generator().manual_seed(0)
    rows = split_rows(
        Samples(torch.randn(160, 20, generator=rng), torch.randint(0, 2, (160,), generator=rng)), val=0.1, test=0.4
    )
    split = ForgetSplit.of(rows.train, ForgetRequest.of("sample", rows.train.rows()[:24]), rows.val)
    with seeded(0):
        net = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2))
    own = copy.deepcopy(net)
    original = TASK.fit(own, rows.train, rows.train, seed=0)
    gold = Unlearned(TASK.fit(TASK.fresh(net, 7), split.retain, split.retain, seed=7), split.retain, {})
    return rows, split, original, gold


def test_what_is_only_hidden_comes_back_in_a_few_steps_and_gold_does_not():
    rows, split, original, gold = world()
    hidden = Unlearned(Hidden(copy.deepcopy(original)), split.retain, {})
    before = state(hidden.model)
    with same_random_state():
        found = comeback(TASK, split, rows.test, original, hidden, lr=0.05, steps=(0, 20))
    control = comeback(TASK, split, rows.test, original, gold, lr=0.05, steps=(0, 20))
    assert equal_states(state(hidden.model), before)
    assert found.relearned[0] < 0.3  # the forgotten are believed less than the never seen: marked
    assert found.relearned[20] > 0.8  # the half that was not shown is back
    assert control.relearned[20] < 0.65


def test_the_ends_of_guidance_are_the_two_models():
    rows, split, original, gold = world()
    found = comeback(TASK, split, rows.test, original, gold, steps=(0,), psis=(0, 0.5, 1))
    same = comeback(TASK, split, rows.test, original, Unlearned(original, split.data, {}), steps=(0,), psis=(0, 1))
    assert found.guided[1] == pytest.approx(same.guided[0])
    assert same.guided[0] == pytest.approx(same.guided[1])
    assert found.guided[0] < found.guided[0.5] < found.guided[1]


def test_thresholds_are_the_first_that_is_reached():
    curve = Comeback({0: 0.4, 1: 0.5, 5: 0.7}, {0.0: 0.4, 0.5: 0.6})
    assert (curve.steps_to(0.5), curve.psi_to(0.5)) == (1.0, 0.5)
    assert curve.steps_to(0.9) == curve.psi_to(0.9) == float("inf")


def test_what_cannot_be_probed_is_refused():
    rows, split, original, gold = world()
    for fields, message in (
        ({"psis": (1.1,)}, r"must lie in \[0, 1\] \(got \[1\.1\]\)"),
        ({"psis": ()}, "must lie in"),
        ({"steps": (-1,)}, "steps must not be negative"),
    ):
        with pytest.raises(InputError, match=message):
            comeback(TASK, split, rows.test, original, gold, **fields)
    one = ForgetSplit.of(rows.train, ForgetRequest.of("sample", rows.train.rows()[:1]), rows.val)
    with pytest.raises(InputError, match=r"at least two elements are needed \(got 1\)"):
        comeback(TASK, one, rows.test, original, gold, steps=(0,))
