from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.task import Batch
from graphforget.train import Recipe, seeded
from recsys.models.bpr import BPR
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation
from tests.recsys.small import checkerboard


class Fixed(torch.nn.Module):
    """Embeddings that a test sets."""

    def __init__(self, user: list[list[float]], item: list[list[float]]) -> None:
        super().__init__()
        self.user, self.item = torch.nn.Parameter(torch.tensor(user)), torch.nn.Parameter(torch.tensor(item))

    def forward(self, graph: Graph) -> tuple[torch.Tensor, torch.Tensor]:
        return self.user, self.item


def test_outputs_are_pair_and_negative_or_pair_and_the_users_mean():
    graph = Graph(torch.tensor([[0, 1], [0, 1]]), (2, 3), bipartite=True)
    model = Fixed([[1.0], [2.0]], [[3.0], [5.0], [7.0]])
    task = Recommendation()
    asked = Batch(torch.tensor([[0, 1], [0, 2], [1, 0]]), torch.zeros(2, dtype=torch.int64))
    assert task.outputs(model, graph, asked).tolist() == [[3.0, 5.0], [14.0, 6.0]]
    alone = task.elements(graph, graph)
    assert task.outputs(model, graph, alone).tolist() == [[3.0, 5.0], [10.0, 10.0]]
    assert task.scores(task.outputs(model, graph, alone), alone).tolist() == [-2.0, 0.0]
    shifted = task.shift(task.outputs(model, graph, alone), alone, torch.tensor([1.0, 2.0]))
    assert task.scores(shifted, alone).tolist() == [-3.0, -2.0]


def test_the_last_item_shown_is_found_among_what_the_user_never_had_and_pairs_are_asked_beside_it():
    data = Graph(torch.tensor([[0, 0, 1, 1, 1], [4, 3, 0, 1, 2]]), (2, 5), bipartite=True)
    split = ForgetSplit.of(data, ForgetRequest.of("interaction", torch.tensor([[0], [3]])), data)
    model = Fixed([[1.0], [-1.0]], [[1.0], [2.0], [3.0], [4.0], [5.0]])
    task = Recommendation(cut=2)
    assert task.last_shown(model, split).tolist() == [1, 4]  # 2, 1 | 0 (3 was forgotten, yet is known); 3, 4
    assert replace(task, cut=9).last_shown(model, split).tolist() == [0, 4]
    beside = replace(task, beside=task.last_shown(model, split))
    alone = beside.elements(split.retain, split.forget)
    assert beside.scores(beside.outputs(model, split.retain, alone), alone).tolist() == [2.0]


def test_the_criterion_is_bpr_and_its_label_turns_it_round():
    outputs = torch.tensor([[2.0, 0.5]], dtype=torch.float64)
    forward = Batch(torch.zeros(3, 1, dtype=torch.int64), torch.tensor([0]))
    turned = Batch(forward.index, torch.tensor([1]))
    task = Recommendation()
    assert float(task.criterion(outputs, forward)) == pytest.approx(math.log(1 + math.exp(-1.5)))
    assert float(task.criterion(outputs, turned)) == float(task.criterion(outputs.flip(1), forward))


def test_negatives_avoid_context_and_view_and_removed_items():
    data = checkerboard(users=12, items=10)
    split = ForgetSplit.of(data, ForgetRequest.of("item", [9]) + ForgetRequest.of("user", [0]), data)
    task = Recommendation()
    rng = torch.Generator().manual_seed(0)
    retained = torch.cat([b.index for _ in range(50) for b in task.batches(split.retain, split.retain, rng)], dim=1)
    assert not bool(split.retain.has_edges(retained[[0, 2]]).any())
    assert 9 not in retained[2]
    assert set(retained[2].tolist()) == set(range(9))
    drawn = torch.cat([b.index for _ in range(50) for b in task.batches(split.retain, split.forget, rng)], dim=1)
    assert not bool(data.has_edges(drawn[[0, 2]]).any())
    kept = Recommendation(removed_negatives=True)
    both = torch.cat([b.index for _ in range(50) for b in kept.batches(split.retain, split.retain, rng)], dim=1)
    assert 9 in both[2]


def test_popular_items_are_drawn_more_often_and_the_forgotten_do_not_count():
    pairs = [(u, 0) for u in range(1, 9)] + [(u, 1) for u in range(1, 5)] + [(1, 2), (2, 2), (3, 3), (0, 4), (4, 5)]
    graph = Graph(torch.tensor(pairs).T, (9, 6), bipartite=True)
    split = ForgetSplit.of(graph, ForgetRequest.of("interaction", [[1, 2, 3, 4], [1, 1, 1, 1]]), graph)
    task = Recommendation(negatives="popularity")
    asked = torch.tensor([[0], [4]]).expand(2, 4000)  # user 0, who has item 4
    for context, counts in ((graph, [8, 4, 2, 1, 0, 1]), (split.retain, [8, 0, 2, 1, 0, 1])):
        drawn = task.triples(context, context, asked, seed=1)[2].bincount(minlength=6)
        expected = torch.tensor(counts) * 4000 / sum(counts)
        assert not drawn[expected == 0].any()  # an item that nobody has left is as good as never drawn
        kept = expected > 0
        assert float(((drawn[kept] - expected[kept]) ** 2 / expected[kept]).sum()) < 18.5  # 4 degrees, p = .001
    again = task.triples(graph, graph, asked, seed=1)
    assert again.equal(task.triples(graph, graph, asked, seed=1))
    with pytest.raises(InputError, match="did you mean 'popularity'"):
        Recommendation(negatives="popular")
    full = Graph(torch.tensor([[0, 0, 1], [0, 1, 0]]), (2, 2), bipartite=True)
    with pytest.raises(InputError, match="no negative item can be drawn"):
        task.triples(full, full, full.edge_index, seed=0)


def test_every_interaction_comes_once_an_epoch():
    data = checkerboard(users=8, items=6)
    task = Recommendation(recipe=Recipe(batch_size=5))
    batches = list(task.batches(data, data, torch.Generator().manual_seed(1)))
    assert [batch.size for batch in batches[:-1]] == [5] * (len(batches) - 1)
    seen = torch.cat([batch.index[:2] for batch in batches], dim=1)
    assert sorted(map(tuple, seen.T.tolist())) == sorted(map(tuple, data.edge_index.T.tolist()))


@pytest.mark.parametrize("model", [BPR, LightGCN])
def test_training_finds_the_checkerboard(model):
    data = checkerboard(users=30, items=20)
    keep = torch.rand(data.num_edges, generator=torch.Generator().manual_seed(0)) < 0.7
    train, held = data.with_edges(keep), data.with_edges(~keep)
    task = Recommendation(recipe=Recipe(epochs=80, patience=80, lr=2e-2, batch_size=64), cut=10)
    with seeded(0):
        made = model(30, 20, dim=8)
    before = task.evaluate(made, train, held)["recall@10"]
    task.fit(made, train, held, seed=0)
    assert task.evaluate(made, train, held)["recall@10"] > max(0.95, before)


def test_a_views_own_positives_are_not_hidden_from_its_ranking():
    data = Graph(torch.tensor([[0, 0], [0, 1]]), (1, 3), bipartite=True)
    view = data.with_edges(torch.tensor([True, False]))
    model = Fixed([[1.0]], [[1.0], [9.0], [0.0]])
    assert Recommendation(cut=1).evaluate(model, data, view)["recall@1"] == 1.0
    assert Recommendation(cut=1).evaluate(model, view, data)["recall@1"] == 0.5


def test_unlinking_takes_the_pairs_out_and_structure_does_not_see_them():
    data = checkerboard(users=6, items=6)
    split = ForgetSplit.of(data, ForgetRequest.of("interaction", data.edge_index[:, :1]), data)
    task = Recommendation()
    batch = task.sample(split.retain, 3, torch.Generator().manual_seed(0))
    context = task.unlinked(split, batch)
    assert not bool(context.has_edges(batch.index).any())
    assert context.num_edges == split.retain.num_edges - 3
    assert task.structure(context, batch).shape == (3, 6)
    degree = np.bincount(context.edge_index[0].numpy(), minlength=6)[batch.index[0].numpy()]
    assert task.structure(context, batch)[:, 0].tolist() == np.log1p(degree).tolist()


def test_near_is_counted_on_both_sides():
    data = Graph(torch.tensor([[0, 1, 2], [0, 0, 1]]), (3, 2), bipartite=True)
    split = ForgetSplit.of(data, ForgetRequest.of("interaction", [[0], [0]]), data)
    task = Recommendation()
    asked = Batch(data.edge_index, torch.zeros(3, dtype=torch.int64))
    assert task.near(split, asked, 0).tolist() == [True, True, False]
    assert task.region(split, 0) == pytest.approx(2 / 5)
    assert task.region(split, 1) == pytest.approx(3 / 5)


def test_a_model_of_another_shape_is_refused():
    data = checkerboard(users=4, items=4)
    with pytest.raises(InputError, match=r"must return \(users \[4, d\], items \[4, d\]\)"):
        Recommendation().bind(Fixed([[1.0]], [[1.0]] * 4), data)


def test_scores_that_are_nan_are_refused():
    data = checkerboard(users=4, items=4)
    with pytest.raises(InputError, match="NaN"):
        Recommendation().evaluate(Fixed([[float("nan")]] * 4, [[1.0]] * 4), data, data)


def test_a_user_who_owns_every_item_is_refused_before_anything_is_trained():
    pairs = [(0, i) for i in range(5)] + [(1, 0)]
    graph = Graph(torch.tensor(pairs).T, (2, 5), bipartite=True)
    with pytest.raises(InputError, match=r"no negative item can be drawn for user 0, with all 5 items: .* forget it"):
        Recommendation().fit(BPR(2, 5), graph, graph, seed=0)
    left = ForgetSplit.of(graph, ForgetRequest.of("interaction", [[0], [3]]), graph).retain
    drawn = Recommendation().triples(left, left, left.edge_index[:, :4], seed=0)
    assert drawn[2].tolist() == [3] * 4  # the only item that is left for a negative
