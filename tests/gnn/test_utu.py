"""UtU: the graph loses the forgotten, the weights stay bit for bit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.models import build
from graphforget.gnn.task import LinkPrediction, NodeClassification, encode
from graphforget.gnn.utu import UtU
from graphforget.graph import Graph
from tests.small import both_ways, equal_states, sbm, state

TASKS = {"link": LinkPrediction(), "node": NodeClassification()}
IDS = {"edge": [0, 5, 9], "node": [3, 4], "feature": [7, 8]}


def model_of(name: str = "gcn", graph: Graph | None = None):
    torch.manual_seed(0)
    return build(name, (sbm() if graph is None else graph).x.shape[1], 6, 3)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", IDS)
@pytest.mark.parametrize("name", ["gcn", "gat", "gin", "sage"])
def test_weights_stay_and_the_output_is_the_originals_on_the_retained_graph(name, kind, task):
    graph, model = sbm(), model_of(name)
    split = ForgetSplit.of(graph, ForgetRequest.of(kind, IDS[kind]), graph)
    before = state(model)
    result = UtU().unlearn(model, TASKS[task], split)
    assert equal_states(before, state(result.model))
    assert result.context is split.retain
    assert encode(result.model, result.context).equal(encode(model, split.retain))


def test_no_forgotten_edge_is_left_in_either_direction():
    graph = sbm()
    split = ForgetSplit.of(graph, ForgetRequest.of("edge", [0, 5, 9]), graph)
    context = UtU().unlearn(model_of(), TASKS["link"], split).context
    assert not both_ways(split.forget.edge_index) & both_ways(context.edge_index)
    assert not encode(model_of(), context).equal(encode(model_of(), graph)), "the request changed nothing"


def test_adding_the_edges_back_restores_the_original_output():
    graph, model = sbm(), model_of()
    split = ForgetSplit.of(graph, ForgetRequest.of("edge", [0, 5, 9]), graph)
    result = UtU().unlearn(model, TASKS["link"], split)
    again = replace(result.context, edge_index=torch.cat([result.context.edge_index, split.forget.edge_index], dim=1))
    assert encode(result.model, again).equal(encode(model, graph))


def test_a_task_without_a_graph_is_refused():
    class Other:
        pass

    graph = sbm()
    split = ForgetSplit.of(graph, ForgetRequest.of("edge", [0]), graph)
    with pytest.raises(InputError, match="UtU needs a task that is GraphTask"):
        UtU().unlearn(model_of(), Other(), split)
