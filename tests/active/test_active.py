"""Least disagree metric against the angle that it should be, the strategies, and replay after a deletion."""

from __future__ import annotations

import math

import pytest
import torch

from graphforget.active.ldm import gammas, least_disagree, seeded_choice
from graphforget.active.replay import ChosenReplay
from graphforget.active.seen import Seen, look
from graphforget.active.strategies import STRATEGIES, choose
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.metrics import spearman
from graphforget.samples import Samples, split_rows
from graphforget.train import Recipe
from graphforget.vision.task import ImageClassification


def angles(seed: int, sample: int, *, queries: int = 300) -> tuple[Seen, Seen, torch.Tensor]:
    """A linear classifier through the origin in two dimensions: the LDM of x is its angle to the boundary over pi."""
    rng = torch.Generator().manual_seed(seed)
    w = torch.randn(2, generator=rng, dtype=torch.float64)
    layer = torch.stack([w, -w]) / 2
    x, many = (torch.randn(n, 2, generator=rng, dtype=torch.float64) for n in (queries, sample))
    true = torch.asin(((x @ w).abs() / (x.norm(dim=1) * w.norm())).clamp(max=1)) / math.pi
    return Seen(x, layer, None, torch.arange(queries)), Seen(many, layer, None, torch.arange(sample)), true


@pytest.mark.parametrize(("sample", "least"), [(1000, 0.99), (20_000, 0.999)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_estimate_ranks_as_the_angle_does(sample, least, seed):
    pool, many, true = angles(seed, sample)
    found = least_disagree(pool, many, seed=seed)
    assert spearman(found.ldm, true) >= least
    assert float((found.ldm - true).abs().mean()) < 0.02


def test_multiples_of_one_over_m_the_seed_and_more_draws():
    pool, many, _ = angles(1, 500, queries=50)
    few, again, more = (least_disagree(pool, many, patience=p, seed=1) for p in (3, 3, 30))
    assert few.ldm.equal(again.ldm)
    assert (few.ldm * 500).frac().abs().max() < 1e-9
    assert more.draws > few.draws
    assert float(more.ldm.mean()) <= float(few.ldm.mean())
    assert bool(more.flipped.all())
    still = Seen(torch.tensor([[0.0, 0.0]]).double(), pool.weight, None, torch.arange(1))
    never = least_disagree(still, many, patience=1)
    assert (float(never.ldm), bool(never.flipped)) == (1.0, False)


def test_the_first_is_the_argmin_none_comes_twice_and_a_duplicate_never():
    generator = torch.Generator().manual_seed(0)
    ldm, x = torch.rand(40, generator=generator).double(), torch.randn(40, 5, generator=generator).double()
    x[7] = 2 * x[int(ldm.argmin())]
    for seed in range(20):
        taken = seeded_choice(ldm, x, 12, seed=seed).tolist()
        assert taken[0] == int(ldm.argmin())
        assert len(set(taken)) == 12
        assert 7 not in taken
    assert seeded_choice(ldm, x, 12, seed=3).equal(seeded_choice(ldm, x, 12, seed=3))
    same = torch.ones(6, 2).double()
    assert sorted(seeded_choice(torch.arange(6.0).double(), same, 6).tolist()) == list(range(6))  # ends all the same


@pytest.mark.parametrize("ldm", [torch.rand(50, generator=torch.Generator().manual_seed(1)), torch.arange(50) / 50])
@pytest.mark.parametrize("count", [1, 5, 25, 49])
def test_gammas_lie_in_0_to_1_and_their_tail_sums_to_at_most_q(ldm, count):
    found = gammas(ldm.double(), count)
    tail = found[ldm.argsort(stable=True)[count:]]
    assert float(tail.sum()) <= count + 1e-9
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1


def test_where_nothing_disagrees_all_weigh_the_same():
    assert gammas(torch.zeros(4), 2).tolist() == [1, 1, 1, 1]
    ties = gammas(torch.tensor([0.0, 0.0, 0.0, 0.5]), 2)  # L_q = 0: the smallest above 0 stands in
    assert bool((ties > 0).all())


def trained(seed: int = 0):
    """A small network on points in four corners, its data and task."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(240) % 4
    corner = torch.tensor([[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]])
    splits = split_rows(Samples(corner[y] + torch.randn(240, 2, generator=rng), y), seed=seed)
    task = ImageClassification(recipe=Recipe(epochs=30, patience=30, lr=1e-2, batch_size=32))
    model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))
    return task.fit(task.fresh(model, seed), splits.train, splits.val, seed=seed), task, splits


def test_what_is_seen_is_what_the_model_answers():
    model, task, splits = trained()
    seen = look(model, task, splits.train, splits.test)
    answers = task.teacher(model, splits.train)(task.elements(splits.train, splits.test))
    assert torch.allclose(seen.logits.float(), answers, atol=1e-5)
    assert seen.ids.equal(splits.test.rows())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_takes_what_it_is_asked_for_once_and_from_the_pool(strategy):
    model, task, splits = trained()
    pool = look(model, task, splits.train, splits.train)
    before = torch.random.get_rng_state()
    taken = choose(strategy, pool, 20, seed=4)
    assert bool((torch.random.get_rng_state() == before).all())
    assert taken.equal(choose(strategy, pool, 20, seed=4))
    assert len(set(taken.tolist())) == 20
    assert set(taken.tolist()) <= set(splits.train.rows().tolist())
    assert len(choose(strategy, pool, pool.size)) == pool.size


def test_margin_entropy_and_ldm_take_what_lies_between_and_coreset_what_lies_apart():
    model, task, splits = trained()
    pool = look(model, task, splits.train, splits.train)
    sure = pool.logits.softmax(1).amax(1)
    place = {int(row): at for at, row in enumerate(pool.ids)}
    for strategy in ("margin", "entropy", "ldm", "ldm_s"):
        assert float(sure[[place[int(row)] for row in choose(strategy, pool, 10)]].mean()) < float(sure.mean()) - 0.1
    labelled = pool.features[:50]
    far = choose("coreset", pool, 5, labelled=labelled)
    assert not set(far.tolist()) & set(pool.ids[:50].tolist())


@pytest.mark.parametrize("strategy", ["random", "ldm_s"])
def test_replay_keeps_the_retained_and_not_the_forgotten(strategy):
    model, task, splits = trained()
    split = ForgetSplit.of(splits.train, ForgetRequest.of("class", [1]), splits.val)
    method = ChosenReplay(strategy=strategy, ascent=10, ascent_lr=5e-2, epochs=30, lr=1e-2, count=20)
    found = method.unlearn(model, task, split, seed=1)
    assert found.record["replayed"] == 20
    assert task.evaluate(found.model, split.retain, split.retain)["accuracy"] > 0.85
    assert task.evaluate(found.model, split.retain, split.forget)["accuracy"] < 0.5


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Seen(torch.zeros(0, 2), torch.eye(2), None, torch.arange(0)), "the pool is empty"),
        (lambda: Seen(torch.zeros(3, 2), torch.zeros(1, 2), None, torch.arange(3)), "weights"),
        (lambda: Seen(torch.full((3, 2), torch.nan), torch.eye(2), None, torch.arange(3)), "NaN"),
        (lambda: choose("lmd", Seen(torch.eye(2), torch.eye(2), None, torch.arange(2)), 1), "did you mean 'ldm'"),
        (lambda: choose("ldm", Seen(torch.eye(2), torch.eye(2), None, torch.arange(2)), 3), r"must lie in \[1, 2\]"),
        (lambda: seeded_choice(torch.ones(2), torch.eye(2), 0), "count must lie"),
        (lambda: least_disagree(*angles(0, 10)[:2], patience=0), "patience must be at least 1"),
        (lambda: least_disagree(angles(0, 10)[0], angles(1, 10)[1]), "same last layer"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_an_empty_view_and_a_model_without_a_layer_are_named():
    model, task, splits = trained()
    with pytest.raises(InputError, match="the pool is empty"):
        look(model, task, splits.train, splits.train.view(torch.zeros(240, dtype=torch.bool)))
    with pytest.raises(InputError, match="no linear layer"):
        look(torch.nn.Conv1d(1, 1, 1), task, splits.train, splits.train)
    split = ForgetSplit.of(splits.train, ForgetRequest.of("class", [1]), splits.val)
    for method, said in ((ChosenReplay(strategy="x"), "unknown strategy"), (ChosenReplay(count=0), "at least 1")):
        with pytest.raises(InputError, match=said):
            method.unlearn(model, task, split)
