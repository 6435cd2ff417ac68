"""Generators draw rows like the real ones, and what they saw can be told from what they did not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.tabsyndex import Copies
from graphforget.errors import InputError
from graphforget.tabular.cart import Cart
from graphforget.tabular.data import load_table
from graphforget.tabular.gaussian_copula import GaussianCopula
from graphforget.tabular.privacy import closeness, closest
from graphforget.tabular.stand_in import judge
from graphforget.tabular.table import Table
from graphforget.tabular.tabsyndex import tabsyndex
from graphforget.tabular.vae import Vae
from tests.tabular.test_tabsyndex import small

GENERATORS = {"gaussian_copula": GaussianCopula(), "cart": Cart(), "vae": Vae(epochs=60, batch_size=32)}


@pytest.mark.parametrize("name", GENERATORS)
def test_rows_are_like_the_real_ones_and_the_seed_is_all_that_is_random(name):
    table = small(300)
    before = torch.random.get_rng_state()
    made = GENERATORS[name].fit(table, seed=1)
    rows, again, other = (made.sample(300, seed=seed) for seed in (5, 5, 6))
    assert bool((torch.random.get_rng_state() == before).all())
    assert (rows.values == again.values).all()
    assert (rows.values != other.values).any()
    assert set(rows.column("c")) <= {0, 1, 2}
    assert np.abs(rows.values.mean(0) - table.values.mean(0)).max() < 0.35
    assert np.corrcoef(rows.column("a"), rows.column("b"))[0, 1] > 0.6
    rng = np.random.default_rng(0)
    shuffled = table.like(np.stack([rng.permutation(column) for column in table.values.T], axis=1))
    assert tabsyndex(table, rows).corr > tabsyndex(table, shuffled).corr


@pytest.mark.parametrize("name", GENERATORS)
def test_whole_numbers_stay_whole(name):
    table = load_table("iris")
    rows = GENERATORS[name].fit(table.like(np.rint(table.values))).sample(40)
    assert (rows.values == np.rint(rows.values)).all()


def test_copies_are_found_where_the_score_rewards_them():
    table = small(400)
    train, held_out = table.halves(0)
    copied, fresh = Copies().fit(train).sample(200, seed=1), GaussianCopula().fit(train).sample(200, seed=1)
    near, far = closeness(copied, train, held_out), closeness(fresh, train, held_out)
    assert (near.share_nearer, near.copies, near.to_train) == (1.0, 1.0, 0.0)
    assert 0.4 < far.share_nearer < 0.65
    assert far.copies == 0
    assert tabsyndex(held_out, copied).score > tabsyndex(held_out, fresh).score - 0.05


def test_distances_by_hand():
    real = Table.of({"x": [0.0, 10.0], "c": [0, 1]}, categorical=["c"])
    fake = Table.of({"x": [0.0, 5.0, 10.0], "c": [1, 0, 1]}, categorical=["c"])
    assert closest(fake, real) == pytest.approx([1.0, 0.5, 0.0])


def test_a_generator_that_saw_the_removed_lies_nearer_to_them_than_gold():
    table = small(800)
    train, held_out = table.halves(0)
    gone = np.arange(train.size) < 60
    report, rows = judge(Copies(), train, gone, held_out, name="copies", seed=1)
    assert rows.size == 60
    original, gold = (report.value(role, "forget", "removed_nearer") for role in ("original", "gold"))
    assert original > gold
    assert report.value("original", "forget", "removed_copies") > 0
    assert report.value("gold", "forget", "removed_copies") == 0
    assert report.value("gold_other_seed", "forget", "removed_nearer") == pytest.approx(gold, abs=0.1)


def test_gold_draws_no_removed_row():
    train, held_out = small(200).halves(0)
    gone = np.arange(train.size) < 20
    for generator in (Copies(), Cart(smallest=1)):
        _, rows = judge(generator, train, gone, held_out, name="x", seed=0)
        assert not (rows.values[:, None] == train.values[None, :20]).all(2).any()


@pytest.mark.parametrize("generator", GENERATORS.values(), ids=list(GENERATORS))
def test_a_constant_column_and_too_few_rows_are_refused(generator):
    table = small()
    flat = table.values.copy()
    flat[:, 0] = 1
    with pytest.raises(InputError, match="column 'a' is constant"):
        generator.fit(table.like(flat))
    with pytest.raises(InputError, match="at least 10 rows"):
        generator.fit(table.rows(np.arange(5)))
    with pytest.raises(InputError, match="count must be at least 1"):
        generator.fit(table).sample(0) if not isinstance(generator, Vae) else Vae(epochs=1).fit(table).sample(0)


def test_bad_requests_are_refused():
    train, held_out = small(200).halves(0)
    with pytest.raises(InputError, match="not all"):
        judge(Cart(), train, np.ones(100, dtype=bool), held_out, name="cart", seed=0)
    with pytest.raises(InputError, match="at least 10 rows"):
        judge(Cart(), train, np.arange(100) < 5, held_out.rows(np.arange(4)), name="cart", seed=0)
    with pytest.raises(InputError, match="equal size"):
        closeness(train, train, held_out.rows(np.arange(40)))
    with pytest.raises(InputError, match="epochs must be at least 1"):
        Vae(epochs=0).fit(train)
