"""Gold: trained from scratch on what is retained, by the recipe of the original."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.methods.retrain import Retrain
from graphforget.splits import split_edges
from graphforget.train import Recipe, TrainRecord, seeded
from tests import naive_methods
from tests.methods import tiny
from tests.small import equal_states, sbm, state

RECIPE = Recipe(epochs=40, patience=10, lr=0.02)
TASK = LinkPrediction(recipe=RECIPE)
PARTS = split_edges(sbm(), val=0.1, test=0.1)
SPLIT = ForgetSplit.of(PARTS.train, ForgetRequest.of("edge", list(range(20))), PARTS.val)


def gcn(seed: int) -> GCN:
    with seeded(seed):
        return GCN(8, 6, 3)


def test_gold_is_the_recipe_from_a_fresh_start():
    gold = Retrain().unlearn(gcn(0), TASK, SPLIT, seed=4)
    record = TrainRecord()
    by_hand = TASK.fit(TASK.fresh(gcn(0), 4), SPLIT.retain, SPLIT.held_out, seed=4, record=record)
    assert equal_states(state(gold.model), state(by_hand))
    assert gold.record["curve"] == record.curve
    assert (gold.record["best_epoch"], gold.record["converged"]) == (record.best_epoch, record.converged)
    assert gold.context is SPLIT.retain


def test_gold_knows_nothing_of_the_original():
    other = TASK.fit(gcn(9), PARTS.train, PARTS.val, seed=9)
    golds = [Retrain().unlearn(model, TASK, SPLIT, seed=4).model for model in (gcn(0), other)]
    assert equal_states(state(golds[0]), state(golds[1]))


def test_gold_knows_nothing_of_the_forgotten():
    """The same retain part out of richer data gives the same gold, bit for bit."""
    data = SPLIT.data
    alone = ForgetSplit(SPLIT.retain, SPLIT.forget, SPLIT.retain, SPLIT.held_out)
    golds = [Retrain().unlearn(gcn(0), TASK, split, seed=4).model for split in (SPLIT, alone)]
    assert data.num_edges > SPLIT.retain.num_edges
    assert equal_states(state(golds[0]), state(golds[1]))


def test_golds_of_different_seeds_differ_from_their_first_weight():
    a, b = (Retrain().unlearn(gcn(0), LinkPrediction(recipe=Recipe(epochs=1)), SPLIT, seed=s).model for s in (1, 2))
    assert not state(a)["conv1.lin.weight"].eq(state(b)["conv1.lin.weight"]).any()


def test_gold_learns():
    gold = Retrain().unlearn(gcn(0), TASK, SPLIT, seed=4)
    before = TASK.evaluate(TASK.fresh(gcn(0), 4), SPLIT.retain, PARTS.test)["auc"]
    after = TASK.evaluate(gold.model, SPLIT.retain, PARTS.test)["auc"]
    assert after > max(before, 0.7)


def test_a_users_own_recipe_is_called_for_gold_as_well():
    calls = []

    def own(model, context, held_out, seed):
        calls.append((context, held_out, seed))
        torch.nn.init.constant_(model.conv1.bias, 3.0)
        return model

    gold = Retrain().unlearn(gcn(0), LinkPrediction(recipe=own), SPLIT, seed=4)
    assert calls == [(SPLIT.retain, SPLIT.held_out, 4)]
    assert gold.model.conv1.bias.tolist() == [3.0] * 6


def test_a_model_that_cannot_start_anew_is_refused_by_name():
    class Token(GCN):
        def __init__(self):
            super().__init__(8, 6, 3)
            self.token = torch.nn.Parameter(torch.zeros(8))

        def forward(self, x, edge_index):
            return super().forward(x + self.token, edge_index)

    with pytest.raises(InputError, match=r"token.*factory"):
        Retrain().unlearn(Token(), TASK, SPLIT)
    gold = Retrain().unlearn(Token(), LinkPrediction(recipe=Recipe(epochs=2), factory=Token), SPLIT)
    assert not gold.model.token.eq(0).all()


def test_gold_needs_held_out_data():
    nothing = SPLIT.held_out.with_edges(torch.arange(0))
    split = ForgetSplit(SPLIT.data, SPLIT.forget, SPLIT.retain, nothing)
    with pytest.raises(InputError, match="holds nothing"):
        Retrain().unlearn(gcn(0), TASK, split)


def test_training_takes_cross_entropy_on_retained_edges_and_as_many_non_edges():
    """Two full-batch steps of Adam in float64 equal numpy; the held-out score is the better the longer it trains."""

    class Rising(LinkPrediction):
        def held_out_score(self, model, context, held_out):
            calls.append(1)
            return float(len(calls))

    calls, split = [], tiny.split()
    task = Rising(recipe=Recipe(epochs=2, lr=0.02, eval_every=1))
    gold = Retrain().unlearn(tiny.model(), task, split, seed=3)
    asked = [*tiny.RETAIN, *tiny.NEGATIVES]
    label = np.array([1] * len(tiny.RETAIN) + [0] * len(tiny.NEGATIVES))

    def loss(weights):
        return naive_methods.cross_entropy(naive_methods.scores(weights, tiny.X, tiny.RETAIN, asked), label).mean()

    wanted = naive_methods.adam(loss, tiny.weights(task.fresh(tiny.model(), 3)), steps=2, lr=0.02)
    for found, value in zip(tiny.weights(gold.model), wanted, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-6)


def test_node_gold_does_not_see_forgotten_labels():
    graph = sbm()
    split = ForgetSplit.of(graph, ForgetRequest.of("node_class", [1]), graph)
    task = NodeClassification(recipe=Recipe(epochs=100, patience=100, lr=0.02))
    gold = Retrain().unlearn(gcn(0), task, split, seed=1)
    outputs = task.outputs(gold.model, split.retain, task.elements(split.retain, split.forget))
    assert not outputs.argmax(1).eq(1).any()
