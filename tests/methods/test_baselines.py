"""Fine-tuning and gradient ascent: their steps in numpy, and what they do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.methods.finetune import FineTune
from graphforget.methods.gradient_ascent import GradientAscent
from graphforget.train import Recipe, seeded
from tests import naive_methods
from tests.methods import tiny
from tests.small import sbm


def test_fine_tuning_descends_the_task_loss_on_the_retain_part():
    result = FineTune(epochs=3, lr=0.02).unlearn(tiny.model(), tiny.TASK, tiny.split())
    asked = [*tiny.RETAIN, *tiny.NEGATIVES]
    label = np.array([1] * len(tiny.RETAIN) + [0] * len(tiny.NEGATIVES))

    def loss(weights):
        return naive_methods.cross_entropy(naive_methods.scores(weights, tiny.X, tiny.RETAIN, asked), label).mean()

    wanted = naive_methods.adam(loss, tiny.weights(tiny.model()), steps=3, lr=0.02)
    for found, value in zip(tiny.weights(result.model), wanted, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-6)


def test_ascent_climbs_the_task_loss_of_the_forgotten_edges_on_the_retain_part():
    result = GradientAscent(epochs=3, lr=0.02).unlearn(tiny.model(), tiny.TASK, tiny.split())

    def loss(weights):
        s = naive_methods.scores(weights, tiny.X, tiny.RETAIN, tiny.FORGET)
        return -naive_methods.cross_entropy(s, np.ones(1)).mean()

    wanted = naive_methods.adam(loss, tiny.weights(tiny.model()), steps=3, lr=0.02)
    for found, value in zip(tiny.weights(result.model), wanted, strict=True):
        np.testing.assert_allclose(found, value, atol=1e-6)


@pytest.mark.parametrize("task", [LinkPrediction(recipe=Recipe(epochs=60, lr=0.02)), NodeClassification(Recipe(60))])
def test_ascent_lowers_the_belief_in_the_forgotten_and_tuning_keeps_the_retained(task):
    graph = sbm()
    split = ForgetSplit.of(graph, ForgetRequest.of("node", [3, 4, 5, 6]), graph)
    with seeded(0):
        model = task.fit(GCN(8, 8, 3), graph, graph, seed=0)
    climbed = GradientAscent(lr=0.01).unlearn(model, task, split).model
    before, after = (task.evaluate(each, split.retain, split.forget)["belief"] for each in (model, climbed))
    assert after < before - 0.02
    tuned = FineTune().unlearn(model, task, split).model
    rng = torch.Generator()
    losses = [
        float(task.loss(each, split.retain, next(iter(task.batches(split.retain, split.retain, rng.manual_seed(1))))))
        for each in (model, tuned)
    ]
    assert losses[1] < losses[0]
