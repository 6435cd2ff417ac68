"""The reference recommenders against plain numpy, on two users and three items."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from recsys.models.bm3 import BM3
from recsys.models.bpr import BPR, embedding_norm
from recsys.models.freedom import FREEDOM
from recsys.models.lightgcn import LightGCN
from recsys.models.mgcn import MGCN, info_nce
from recsys.models.vbpr import VBPR
from tests import naive_recsys as naive
from tests.recsys.models_small import (
    EDGES,
    IMAGE,
    INDEX,
    TEXT,
    TRIPLES,
    WIDTHS,
    K,
    assert_agrees,
    contents,
    linear,
    randomised,
    tiny,
    values,
)


def test_bpr_equals_the_oracle(double: None) -> None:
    model = randomised(BPR(2, 3, dim=4, reg=0.3))
    users, items = values(model).values()
    loss = naive.bpr(users, items, TRIPLES) + 0.3 * naive.embedding_norm(users, items, TRIPLES)
    assert_agrees((*model(tiny()), model.loss(tiny(), INDEX)), (users, items, loss))


def test_lightgcn_equals_the_oracle(double: None) -> None:
    model = randomised(LightGCN(2, 3, dim=4, layers=3, reg=0.3))
    users, items = values(model).values()
    z = naive.lightgcn(naive.adjacency(EDGES, 2, 3), users, items, 3)
    loss = naive.bpr(*z, TRIPLES) + 0.3 * naive.embedding_norm(users, items, TRIPLES)
    assert_agrees((*model(tiny()), model.loss(tiny(), INDEX)), (*z, loss))


def test_vbpr_equals_the_oracle(double: None) -> None:
    model = randomised(VBPR(2, 3, WIDTHS, dim=4, reg=0.3))
    state = values(model)
    items = naive.vbpr_items(state["item_embedding"], linear(state, "linear"), np.array(TEXT), np.array(IMAGE))
    users = state["user_embedding"]
    loss = naive.bpr(users, items, TRIPLES) + 0.3 * naive.embedding_norm(users, items, TRIPLES)
    assert_agrees((*model(tiny()), model.loss(tiny(), INDEX)), (users, items, loss))


def test_freedom_equals_the_oracle(double: None) -> None:
    model = randomised(FREEDOM(2, 3, WIDTHS, dim=4, k=K, modal_weight=0.3))
    state, graph = values(model), tiny()
    s = 0.1 * naive.knn(np.array(IMAGE), K, False) + 0.9 * naive.knn(np.array(TEXT), K, False)
    parts = (s, state["user_embedding"], state["item_embedding"], contents(state), TRIPLES, 0.3)
    assert_agrees((*model(graph), model.loss(graph, INDEX)), naive.freedom(naive.adjacency(EDGES, 2, 3), *parts))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_bm3_equals_the_oracle(double: None, dropout: float) -> None:
    model = randomised(BM3(2, 3, WIDTHS, dim=4, layers=2, dropout=dropout, reg=0.3, modal_weight=1.5)).train()
    state, graph = values(model), tiny()
    torch.manual_seed(5)
    masks = [torch.dropout(torch.ones(rows, 4), dropout, True).numpy() for rows in (2, 3, 3, 3)]
    tables = (state["user_embedding"], state["item_embedding"], contents(state), linear(state, "predictor"))
    pairs = [(u, p) for u, p, _ in TRIPLES]
    expected = naive.bm3(naive.adjacency(EDGES, 2, 3), *tables, pairs, masks, 2, 0.3, 1.5)
    torch.manual_seed(5)
    assert_agrees((*model(graph), model.loss(graph, INDEX)), expected)


def test_bm3_sends_no_gradient_through_its_targets() -> None:
    """Behind a constant predictor the online side teaches the tables nothing; so must the targets."""
    graph, model = tiny(), randomised(BM3(2, 3, WIDTHS, dim=8, reg=0.0)).train()
    nn.init.zeros_(model.predictor.weight)
    model.loss(graph, INDEX).backward()
    assert bool(model.predictor.bias.grad.any())
    for name, value in model.named_parameters():
        assert name.startswith("predictor") or not bool(value.grad.any())


def test_bm3_ignores_negatives_and_drops_nothing_in_evaluation() -> None:
    graph, model = tiny(), randomised(BM3(2, 3, WIDTHS, dim=8)).eval()
    other = torch.stack([INDEX[0], INDEX[1], INDEX[1]])
    assert model.loss(graph, INDEX).item() == model.loss(graph, other).item() == model.loss(graph, INDEX[:2]).item()
    model.train()
    assert model.loss(graph, INDEX).item() != model.loss(graph, INDEX).item()


def test_bm3_divides_its_norm_by_the_items() -> None:
    graph = tiny()
    model = randomised(BM3(2, 3, WIDTHS, dim=4, dropout=0, reg=0.0))
    bare = model.loss(graph, INDEX)
    model.reg = 1.0
    state = values(model)
    u, i = naive.lightgcn(naive.adjacency(EDGES, 2, 3), state["user_embedding"], state["item_embedding"], 1)
    norms = np.linalg.norm(u) + np.linalg.norm(i + state["item_embedding"])
    assert (model.loss(graph, INDEX) - bare).item() == pytest.approx(norms / 3, rel=1e-5)


def test_embedding_norm_divides_by_the_rows_of_the_last_part() -> None:
    assert embedding_norm(torch.full((1, 4), 3.0), torch.ones(4, 1)).item() == pytest.approx((6 + 2) / 4)


def test_mgcn_equals_the_oracle(double: None) -> None:
    model = randomised(MGCN(2, 3, WIDTHS, dim=4, k=K, reg=0.2, contrast_weight=0.3))
    state, graph = values(model), tiny()
    c, side = naive.mgcn_views(
        naive.adjacency(EDGES, 2, 3),
        [naive.knn(np.array(IMAGE), K, True), naive.knn(np.array(TEXT), K, True)],
        state["user_embedding"],
        state["item_embedding"],
        contents(state),
        [linear(state, f"gates.{name}") for name in WIDTHS],
        (linear(state, "query.0"), state["query.2.weight"]),
        [linear(state, f"preferences.{name}") for name in WIDTHS],
    )
    loss = naive.mgcn_loss(c, side, 2, TRIPLES, 0.2, 0.3)
    assert_agrees((*model(graph), model.loss(graph, INDEX)), ((c + side)[:2], (c + side)[2:], loss))


def test_info_nce_counts_what_a_batch_repeats(double: None) -> None:
    rng = np.random.default_rng(0)
    one, other, ids = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), [4, 1, 1, 0, 1, 4]
    found = info_nce(torch.from_numpy(one), torch.from_numpy(other), torch.tensor(ids), 0.2)
    assert_agrees((found,), (naive.info_nce(one, other, ids, 0.2),))
