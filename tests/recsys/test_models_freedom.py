"""FREEDOM's two graphs: the frozen one of the items, and the edges that each epoch draws."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest
import torch

from graphforget.errors import InputError
from graphforget.graph import Graph
from recsys import derived
from recsys.models.freedom import FREEDOM, modal_weights
from tests import naive_recsys as naive
from tests.recsys.models_small import (
    EDGES,
    IMAGE,
    INDEX,
    TEXT,
    TRIPLES,
    WIDTHS,
    K,
    contents,
    random_graph,
    randomised,
    tiny,
    values,
)


def test_freedom_trains_on_the_drawn_edges_normalised_by_their_own_degrees(double: None) -> None:
    model = randomised(FREEDOM(2, 3, WIDTHS, dim=4, k=K, rho=0.25, modal_weight=0.3)).train()
    state, graph = values(model), tiny()
    s = 0.1 * naive.knn(np.array(IMAGE), K, False) + 0.9 * naive.knn(np.array(TEXT), K, False)
    parts = (s, state["user_embedding"], state["item_embedding"], contents(state), TRIPLES, 0.3)
    losses = [naive.freedom(naive.adjacency(EDGES[:j] + EDGES[j + 1 :], 2, 3), *parts)[2] for j in range(4)]
    seen = set()
    for seed in range(40):
        model.begin_epoch(graph, torch.Generator().manual_seed(seed))
        gaps = [abs(model.loss(graph, INDEX).item() - loss) for loss in losses]
        assert min(gaps) < 1e-12
        seen.add(gaps.index(min(gaps)))
    assert seen == {0, 1, 2, 3}


def test_freedom_item_graph_has_the_value_of_one_over_k() -> None:
    matrix = derived.of(random_graph()).knn("text", 5).matrix
    assert matrix.values().shape == (15 * 5,)
    torch.testing.assert_close(matrix.values(), torch.full((75,), 1 / 5))
    assert bool((matrix.to_dense().diagonal() > 0).all())  # the item is its own neighbour


@pytest.mark.parametrize(
    ("rho", "edges", "count"), [(0.8, 60, 12), (0.8, 45, 9), (0.9, 10, 1), (0.0, 7, 7), (0.8, 59, 11)]
)
def test_freedom_draws_the_floor_of_its_share(rho: float, edges: int, count: int) -> None:
    graph = random_graph(edges=edges)
    model = FREEDOM(*graph.size, WIDTHS, dim=4, rho=rho)
    model.begin_epoch(graph, torch.Generator().manual_seed(0))
    assert model._drawn is not None
    dense = model._drawn[1].matrix.to_dense()
    block = dense[:12, 12:]
    assert int((block > 0).sum()) == count
    assert bool((dense == dense.T).all())
    whole = torch.zeros(graph.size)
    whole[graph.edge_index[0], graph.edge_index[1]] = 1
    assert bool((whole[block > 0] == 1).all())
    kept = (block > 0).float()
    expected = kept / (kept.sum(1, keepdim=True) * kept.sum(0)).clamp(min=1).sqrt()
    torch.testing.assert_close(block, expected)


def test_freedom_prefers_edges_of_low_degree() -> None:
    """One edge is drawn of four: the chance of each is in proportion to (d_u d_i)^-1/2."""
    graph = Graph(torch.tensor([[0, 0, 0, 1], [0, 1, 2, 3]]), (2, 4), bipartite=True, features={"image": torch.eye(4)})
    model = FREEDOM(2, 4, {"image": 4}, rho=0.75)
    rng, hits = torch.Generator().manual_seed(0), torch.zeros(4)
    for _ in range(2000):
        model.begin_epoch(graph, rng)
        assert model._drawn is not None
        hits += model._drawn[1].matrix.to_dense()[:2, 2:][tuple(graph.edge_index)]
    chance = torch.tensor([3**-0.5] * 3 + [1.0])
    expected = 2000 * chance / chance.sum()
    assert float(((hits - expected) ** 2 / expected).sum()) < 16.3  # chi-square, 3 degrees of freedom, p = .001


def test_freedom_evaluates_on_the_whole_graph_and_shows_no_other_graph_the_draw() -> None:
    graph, model = random_graph(), FREEDOM(12, 15, WIDTHS, dim=4)
    other = graph.with_edges(torch.ones(graph.num_edges, dtype=torch.bool))  # equal, but not the same
    index = torch.stack([graph.edge_index[0], graph.edge_index[1], graph.edge_index[1].flip(0)])
    before, whole = model(graph), model.loss(graph, index)
    model.begin_epoch(graph, torch.Generator().manual_seed(0))
    assert model.loss(graph, index).item() != whole.item()
    assert model.loss(other, index).item() == pytest.approx(whole.item(), rel=1e-6)
    for a, b in zip(before, model(graph), strict=True):
        assert a.equal(b)
    model.eval()
    assert model.loss(graph, index).item() == whole.item()
    assert all(a.equal(b) for a, b in zip(before, model(graph), strict=True))


def test_freedom_holds_no_graph_alive_and_gives_no_copy_its_draw() -> None:
    graph, model = random_graph(), FREEDOM(12, 15, WIDTHS, dim=4)
    model.begin_epoch(graph, torch.Generator().manual_seed(0))
    assert copy.deepcopy(model)._drawn is None
    assert pickle.dumps(model)  # a weak reference cannot be written
    assert model._drawn is not None
    watched = model._drawn[0]
    del graph
    gc.collect()
    assert watched() is None


def test_freedom_draws_the_same_from_the_same_generator() -> None:
    graph, drawn = random_graph(), []
    for seed in (3, 3, 4):
        model = FREEDOM(12, 15, WIDTHS, dim=4)
        state = torch.random.get_rng_state()
        model.begin_epoch(graph, torch.Generator().manual_seed(seed))
        assert torch.random.get_rng_state().equal(state)
        assert model._drawn is not None
        drawn.append(model._drawn[1].matrix.to_dense())
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


def test_rho_outside_its_range_is_refused() -> None:
    with pytest.raises(InputError, match="rho is the share of edges to leave out"):
        FREEDOM(2, 3, WIDTHS, rho=1.0)


def test_image_weighs_w_v_against_the_others() -> None:
    assert modal_weights(("image",), 0.1) == {"image": 1.0}
    assert modal_weights(("text", "audio"), 0.1) == {"text": 0.5, "audio": 0.5}
    three = modal_weights(("audio", "image", "text"), 0.1)
    assert three == pytest.approx({"audio": 0.45, "image": 0.1, "text": 0.45})
