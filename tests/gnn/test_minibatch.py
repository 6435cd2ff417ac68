"""Sampled neighbourhoods: with all neighbours they answer as the whole graph does."""

from __future__ import annotations

import pytest
import torch

from graphforget.errors import InputError
from graphforget.gnn import minibatch
from graphforget.gnn.minibatch import Neighbourhoods
from graphforget.gnn.models import GraphSAGE
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.train import Recipe, seeded
from tests.small import equal_states, same_random_state, sbm, state


@pytest.mark.parametrize("kind", [LinkPrediction, NodeClassification])
def test_all_neighbours_answer_as_the_whole_graph_in_parts_too(kind, monkeypatch):
    monkeypatch.setattr(minibatch, "PART", 7)
    graph = sbm()
    with seeded(0):
        model = GraphSAGE(8, 6, 3)
        batch = kind().elements(graph, graph)
        whole, drawn = kind().bind(model, graph)(batch), kind(fan_outs=(-1, -1)).bind(model, graph)(batch)
    torch.testing.assert_close(drawn, whole)
    drawn.sum().backward()
    assert model.conv1.lin_l.weight.grad.abs().sum() > 0


def test_a_neighbourhood_holds_edges_of_the_graph_only_with_their_features_and_attributes():
    edges = torch.tensor([[0, 1, 2, 3, 3], [1, 2, 3, 4, 0]])
    x = torch.arange(5.0)[:, None]
    graph = Graph(edges, (5, 5), features={"x": x}, edge_attrs={"weight": torch.arange(5.0)})
    part = Neighbourhoods(graph, (1, 1)).around(torch.tensor([4, 1]), seed=3)
    ids = part.x.flatten().long()
    assert ids[:2].tolist() == [4, 1]
    found = dict(zip(zip(*ids[part.edge_index].tolist(), strict=True), part.edge_attrs["weight"].tolist(), strict=True))
    assert found == {(3, 4): 3.0, (0, 1): 0.0, (2, 3): 2.0, (3, 0): 4.0}


def test_scores_are_those_of_the_whole_graph_and_training_repeats():
    graph, held = sbm(), sbm(seed=1)
    task = LinkPrediction(Recipe(epochs=2, batch_size=64, eval_every=1), fan_outs=(3, 2))
    found = []
    for _ in range(2):
        with seeded(0):
            model = GraphSAGE(8, 6, 4)
        with same_random_state():
            task.fit(model, graph, held, seed=5)
        found.append(state(model))
    assert equal_states(*found)
    assert task.evaluate(model, graph, held) == LinkPrediction().evaluate(model, graph, held)


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(InputError, match="features x"):
        Neighbourhoods(Graph(torch.tensor([[0], [1]]), (2, 2)), (3,))
    with pytest.raises(InputError, match=r"fan_outs.*-1.*\(got 0"):
        Neighbourhoods(sbm(), (0, 2))
