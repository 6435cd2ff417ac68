from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.hessian import conjugate
from graphforget.task import Batch
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Job
from recsys.mmrecun import MMRecUN, Watch, cycle, drift, recall, reverse, unseen_recall
from recsys.models.bpr import BPR
from recsys.rrl import fisher
from recsys.task import Recommendation
from tests.recsys.small import checkerboard

TASK = Recommendation(recipe=Recipe(epochs=60, patience=60, lr=2e-2, batch_size=64), cut=5)


def job(kind: str = "interaction", dtype: torch.dtype = torch.float32) -> Job:
    data = checkerboard(users=24, items=16)
    keep = torch.rand(data.num_edges, generator=torch.Generator().manual_seed(3)) < 0.8
    keep[:8] = True
    train, held = data.with_edges(keep), data.with_edges(~keep)
    ids = {"interaction": train.edge_index[:, :6], "user": [0, 1], "item": [2]}[kind]
    split = ForgetSplit.of(train, ForgetRequest.of(kind, ids), held)
    with seeded(0):
        model = BPR(24, 16, dim=6)
    model = TASK.fit(model, train, held, seed=0).to(dtype)
    original = BPR(24, 16, dim=6).to(dtype)
    original.load_state_dict(model.state_dict())
    return Job(model, original.eval(), TASK, split, {}, torch.Generator().manual_seed(0), 0)


def test_the_reverse_term_is_forward_bpr_with_the_pair_swapped():
    now = job(dtype=torch.float64)
    index = torch.tensor([[0, 1], [2, 3], [5, 4]])
    batch = Batch(index, torch.zeros(2, dtype=torch.int64))
    swapped = Batch(index[[0, 2, 1]], batch.label)
    forward = TASK.criterion(TASK.outputs(now.model, now.split.retain, swapped), swapped).mean()
    assert float(reverse(now, batch).detach()) == pytest.approx(float(forward.detach()), rel=1e-12)
    users, items = (value.detach().numpy() for value in now.model(now.split.retain))
    gap = np.array([users[u] @ (items[p] - items[n]) for u, p, n in index.T.tolist()])
    assert float(reverse(now, batch).detach()) == pytest.approx(float(np.log1p(np.exp(gap)).mean()), rel=1e-12)


def test_one_step_of_the_reverse_term_lowers_the_pair_and_not_the_other_way_round():
    """A public port has the sign twice and trains forward."""
    now = job()
    batch = next(cycle(now))
    ahead = TASK.scores(TASK.outputs(now.model, now.split.retain, batch), batch).mean()
    reverse(now, batch).backward()
    with torch.no_grad():
        for parameter in now.model.parameters():
            parameter -= 0.1 * parameter.grad
    after = TASK.scores(TASK.outputs(now.model, now.split.retain, batch), batch).mean()
    assert float(after.detach()) < float(ahead.detach())


def test_the_reverse_term_is_bounded_below_and_its_gradient_dies_out():
    now = job()
    batch = next(cycle(now))
    with torch.no_grad():
        now.model.user_embedding.fill_(1.0)
        now.model.item_embedding.zero_()
        now.model.item_embedding[batch.index[1]] = -50.0
    loss = reverse(now, batch)
    loss.backward()
    assert 0 <= float(loss.detach()) < 1e-6
    assert float(now.model.user_embedding.grad.abs().max()) < 1e-6


def test_forget_negatives_avoid_everything_the_user_had():
    now = job()
    drawn = torch.cat([batch.index for batch, _ in zip(cycle(now), range(200), strict=False)], dim=1)
    assert not bool(now.split.data.has_edges(drawn[[0, 2]]).any())
    assert set(map(tuple, drawn[:2].T.tolist())) == set(map(tuple, now.split.forget.edge_index.T.tolist()))


def test_the_stop_rule_of_interactions_is_the_recall_of_held_out_pairs():
    now = job()
    assert unseen_recall(now) == recall(TASK, now.original, now.split, now.split.held_out)
    watch = Watch.of(now, 0.1)
    watch.target = 2.0
    assert watch(0, 0.0)
    assert watch.reason == "forgotten"
    watch = Watch(now, target=-1.0, least=2.0)
    assert watch(0, 0.0)
    assert watch.reason == "utility"
    assert not Watch(now, target=-1.0, least=-1.0)(0, 0.0)


def test_the_stop_rule_of_users_redraws_their_rows_and_leaves_the_original_alone():
    now = job("user")
    before = now.original.user_embedding.detach().clone()
    assert unseen_recall(now) < recall(TASK, now.original, now.split, now.split.forget)
    assert now.original.user_embedding.equal(before)


def test_it_stops_and_says_why():
    now = job()
    found = MMRecUN(epochs=200, alpha=0.5, lr=5e-3, tolerance=1.0).unlearn(now.original, TASK, now.split)
    assert found.record["stopped"] == "forgotten"
    assert found.record["epochs"] < 200
    assert found.record["stop_recall"] <= found.record["stop_target"]


def test_the_anchor_is_the_squared_distance_weighted_or_not():
    model = BPR(2, 2, dim=1)
    start = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        model.user_embedding += 2.0
    assert float(drift(model, start).detach()) == pytest.approx(8.0)
    weights = [torch.full((2, 1), 0.5), torch.zeros(2, 1)]
    assert float(drift(model, start, weights).detach()) == pytest.approx(4.0)


def test_the_fisher_has_mean_one_and_is_zero_where_nothing_depends():
    now = job("user")
    weights = fisher(now)
    total = sum(float(value.sum()) for value in weights)
    assert total / sum(value.numel() for value in weights) == pytest.approx(1.0, rel=1e-4)
    assert float(weights[0][0].abs().sum()) == 0.0  # the removed user is in no retained triple


def test_conjugate_gradients_solve_a_system_in_two_parts():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((5, 5))
    matrix, target = root @ root.T + np.eye(5), rng.standard_normal(5)

    def product(x):
        image = matrix @ np.concatenate([part.numpy() for part in x])
        return [torch.from_numpy(image[:2]), torch.from_numpy(image[2:])]

    x, residual = conjugate(product, [torch.from_numpy(target[:2]), torch.from_numpy(target[2:])], 20, 1e-10)
    assert torch.cat(x).numpy() == pytest.approx(np.linalg.solve(matrix, target), rel=1e-8)
    assert residual < 1e-10


@pytest.mark.parametrize("field", [{"alpha": 1.5}, {"anchor": -1.0}, {"tolerance": 2.0}])
def test_fields_out_of_range_are_named(field):
    with pytest.raises(InputError, match=next(iter(field))):
        MMRecUN(**field)
