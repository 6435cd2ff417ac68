"""Targets without a share of their own: matched to unseen elements in level and spread."""

from __future__ import annotations

import pytest
import torch

from graphforget.calibrate import calibrate
from graphforget.forget import ForgetSplit
from tests.test_calibrate import NOISE, Memorised, Rows, Table


def test_without_a_share_the_target_has_the_level_and_the_spread_of_unseen_elements():
    model = Memorised(lambda x1: torch.full_like(x1, 1.5), 4000, 5500, 5)
    plain = 2 * model.x[:, 0]
    noise = model.belief - plain
    noise[:4000] -= 1.5
    model.belief[:4000] = plain[:4000] + 1.5 + 0.5 * noise[:4000]  # training halves the spread
    model.belief[:300] += 0.4  # and this request is remembered better than others
    split = ForgetSplit(
        Rows(torch.arange(4000)), Rows(torch.arange(300)), Rows(torch.arange(300, 4000)), Rows(torch.arange(4000, 5500))
    )
    rng = torch.Generator().manual_seed(0)
    matched = calibrate(Table(x=model.x), model, split, rng, keep=None).target[:, 1].double()
    shared = calibrate(Table(x=model.x), model, split, rng, keep=1.0).target[:, 1].double()
    assert float((matched - plain[:300]).mean()) == pytest.approx(0.0, abs=0.05)
    assert float((shared - plain[:300]).mean()) == pytest.approx(0.4, abs=0.05)
    assert float((matched - plain[:300]).std()) == pytest.approx(NOISE, rel=0.15)
    assert float((shared - plain[:300]).std()) == pytest.approx(NOISE / 2, rel=0.25)


@pytest.mark.parametrize("level", ["mean", "positive"])
def test_a_single_element_is_no_level_of_its_own(level):
    """One row that lies high by chance came out at the level of all (mean), or at the threshold (positive)."""
    model = Memorised(lambda x1: torch.full_like(x1, 1.5), 4000, 5500, 5)
    model.belief -= 1.0  # about half of the unseen are positive
    off = []
    for row in range(0, 400, 10):
        split = ForgetSplit(
            *(Rows(torch.arange(4000)), Rows(torch.tensor([row]))),
            *(Rows(torch.cat([torch.arange(row), torch.arange(row + 1, 4000)])), Rows(torch.arange(4000, 5500))),
        )
        found = calibrate(
            Table(x=model.x), model, split, torch.Generator().manual_seed(0), keep=None, level=level, samples=2
        )
        off.append(float(found.target[0, 1] - (model.belief[row] - 1.5)))  # what is left of its own noise stays
    assert float(torch.tensor(off).square().mean().sqrt()) < NOISE / 2


def test_nothing_is_raised_where_the_unseen_are_believed_more():
    model = Memorised(lambda x1: torch.full_like(x1, -0.5), 4000, 5500, 5)
    split = ForgetSplit(
        Rows(torch.arange(4000)), Rows(torch.arange(300)), Rows(torch.arange(300, 4000)), Rows(torch.arange(4000, 5500))
    )
    found = calibrate(Table(x=model.x), model, split, torch.Generator().manual_seed(0), keep=None)
    assert found.mean == pytest.approx(0.0, abs=1e-6)


def test_the_spread_is_matched_where_training_changed_it_and_nowhere_else():
    model = Memorised(lambda x1: torch.full_like(x1, 1.5), 4000, 5500, 5)
    plain, high = 2 * model.x[:, 0], model.x[:, 1] > 0.5
    noise = model.belief - plain
    noise[:4000] -= 1.5
    model.belief[:4000] = plain[:4000] + 1.5 + torch.where(high, 0.25, 1.0)[:4000] * noise[:4000]
    split = ForgetSplit(
        Rows(torch.arange(4000)), Rows(torch.arange(300)), Rows(torch.arange(300, 4000)), Rows(torch.arange(4000, 5500))
    )
    found = calibrate(Table(x=model.x), model, split, torch.Generator().manual_seed(0), keep=None)
    off = found.target[:, 1].double() - plain[:300]
    assert float(off[high[:300]].std()) == pytest.approx(NOISE, rel=0.25)
    assert float(off[~high[:300]].std()) == pytest.approx(NOISE, rel=0.25)


def test_as_many_targets_are_positive_as_unseen_elements_of_like_structure():
    model = Memorised(lambda x1: torch.full_like(x1, 1.5), 4000, 5500, 5)
    model.belief[4000:] -= 4 * (torch.arange(1500) % 10 == 0)  # a few unseen elements that the model finds absurd
    split = ForgetSplit(
        Rows(torch.arange(4000)), Rows(torch.arange(300)), Rows(torch.arange(300, 4000)), Rows(torch.arange(4000, 5500))
    )
    share = {}
    for level in ("mean", "positive"):
        rng = torch.Generator().manual_seed(0)
        target = calibrate(Table(x=model.x), model, split, rng, keep=None, level=level).target[:, 1]
        share[level] = float((target > 0).double().mean())
    unseen = float((model.belief[4000:] > 0).double().mean())
    assert share["positive"] == pytest.approx(unseen, abs=0.03)
    assert share["mean"] < unseen - 0.03
