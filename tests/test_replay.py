"""The replay test: a class and features that only the forgotten nodes carry must vanish (ScaleGUN, table 4)."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn

from graphforget import catalog
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import GCN
from graphforget.gnn.task import NodeClassification
from graphforget.graph import Graph
from graphforget.train import Recipe, seeded
from graphforget.unlearner import Unlearned
from tests.small import sbm

MARKED = torch.arange(5, 60, 9)  # 7 of 72 nodes
MARKER = 3  # the blocks are 0, 1, 2
TASK = NodeClassification(recipe=Recipe(epochs=80, patience=80, lr=0.02, eval_every=10))


@cache
def world() -> tuple[nn.Module, ForgetSplit[Graph]]:
    plain = sbm()
    sign = torch.zeros(72, 10)
    sign[MARKED] = 1.0
    y = plain.y.clone()
    y[MARKED] = MARKER
    graph = Graph(plain.edge_index, plain.size, undirected=True, features={"x": torch.cat([plain.x, sign], 1)}, y=y)
    with seeded(0):
        model = GCN(18, 16, 4)
    TASK.fit(model, graph, graph, seed=0)
    return model, ForgetSplit.of(graph, ForgetRequest.of("node", MARKED), graph)


def marked_share(model: nn.Module, context: Graph, view: Graph) -> float:
    """The share of a view's nodes that are taken for the marker class."""
    return float(TASK.teacher(model, context)(TASK.elements(context, view)).argmax(1).eq(MARKER).float().mean())


def test_the_original_knows_the_marker():
    model, split = world()
    assert marked_share(model, split.data, split.forget) > 0.9
    assert marked_share(model, split.retain, split.forget) > 0.9  # alone, with the marker in their features


def test_after_retraining_the_marker_has_vanished():
    model, split = world()
    gold = catalog.method("retrain")().unlearn(model, TASK, split, seed=1)
    assert marked_share(gold.model, split.retain, split.forget) == 0
    assert marked_share(gold.model, split.retain, split.retain) == 0
    wide = Graph(split.data.edge_index, split.data.size, undirected=True, features=split.data.features, y=split.data.y)
    assert marked_share(gold.model, wide, split.forget) == 0  # in its old neighbourhood as well


@cache
def unlearned(name: str) -> Unlearned:
    model, split = world()
    settings = {"gnndelete": {"epochs": 60}, "gif": {"iterations": 20}}
    return catalog.method(name)(**settings.get(name, {})).unlearn(model, TASK, split, seed=1)


TRAINING = [
    name
    for name in catalog.METHODS
    if name not in ("retrain", "utu") and all(isinstance(TASK, need) for need in catalog.method(name).needs)
]


@pytest.mark.parametrize("name", TRAINING)
def test_no_method_teaches_the_marker_to_the_retained(name):
    found, split = unlearned(name), world()[1]
    assert marked_share(found.model, found.context, split.untouched) <= 0.05


@pytest.mark.parametrize("name", ["d2dgn", "d2dgn_calibrated", "gradient_ascent"])
def test_methods_that_push_the_forgotten_down_push_the_marker_down(name):
    """How far is a matter for the report; the direction must hold."""
    model, split = world()
    batch = TASK.elements(split.retain, split.forget)
    each = (model, unlearned(name).model)
    logits = [float(TASK.scores(TASK.teacher(one, split.retain)(batch), batch).mean()) for one in each]
    assert logits[1] < logits[0] - 0.1


def test_unlinking_alone_leaves_the_marker_in_the_weights():
    """UtU keeps the weights: asked with the marker in its features, a node is still recognised."""
    model, split = world()
    found = catalog.method("utu")().unlearn(model, TASK, split)
    assert marked_share(found.model, found.context, split.forget) > 0.9
