from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from graphforget.kernels import csr
from recsys import metrics

ITEMS = 12


def as_csr(positives: list[set[int]]):
    pairs = [(user, item) for user, own in enumerate(positives) for item in sorted(own)]
    rows, cols = zip(*pairs, strict=True) if pairs else ((), ())
    return csr.from_coo(rows, cols, len(positives), ITEMS)[:2]


@given(st.lists(st.sets(st.integers(0, ITEMS - 1), min_size=1), min_size=1, max_size=5), st.integers(0, 99))
def test_recall_precision_and_ndcg_equal_the_definition(positives, seed):
    users = np.arange(len(positives))
    order = np.random.default_rng(seed)
    ranked = np.stack([order.permutation(ITEMS)[:6] for _ in users])
    found = metrics.figures(metrics.Rankings(users, ranked), as_csr(positives), (3, 6))
    for k in (3, 6):
        for user, own in enumerate(positives):
            hit = [item in own for item in ranked[user, :k].tolist()]
            gain = sum(1 / math.log2(place + 2) for place, yes in enumerate(hit) if yes)
            ideal = sum(1 / math.log2(place + 2) for place in range(min(len(own), k)))
            assert found[f"recall@{k}"][user] == pytest.approx(sum(hit) / len(own))
            assert found[f"precision@{k}"][user] == pytest.approx(sum(hit) / k)
            assert found[f"ndcg@{k}"][user] == pytest.approx(gain / ideal)


def test_ndcg_equals_scikit_learns():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((5, ITEMS))
    relevant = rng.random((5, ITEMS)) < 0.4
    relevant[:, 0] = True
    user, item = torch.from_numpy(scores), torch.eye(ITEMS, dtype=torch.float64)
    nothing = np.zeros(6, dtype=np.int64), np.empty(0, dtype=np.int64)
    ranked = metrics.rank(user, item, torch.arange(5), nothing, 7)
    found = metrics.figures(ranked, as_csr([set(np.flatnonzero(row).tolist()) for row in relevant]), (7,))
    assert found["ndcg@7"].mean() == pytest.approx(ndcg_score(relevant, scores, k=7))


def test_fewer_items_than_places_leave_holes_that_are_no_hits():
    mask = np.array([0, ITEMS - 1]), np.arange(ITEMS - 1)
    ranked = metrics.rank(torch.ones(1, 1), torch.ones(ITEMS, 1), torch.tensor([0]), mask, 3)
    assert ranked.items.tolist() == [[ITEMS - 1, -1, -1]]
    assert metrics.figures(ranked, as_csr([{ITEMS - 1}]), (3,))["recall@3"].tolist() == [1.0]
    assert metrics.overlap(ranked, ranked, 3).tolist() == [pytest.approx(1 / 3)]


def test_coverage_gini_and_divergence():
    ranked = metrics.Rankings(np.arange(2), np.array([[0, 1], [0, 2]]))
    assert metrics.coverage(ranked, 4, 2) == 0.75
    assert metrics.gini(metrics.Rankings(np.arange(2), np.array([[0], [0]])), 4, 1) == pytest.approx(0.75)
    user, item = torch.randn(3, 2), torch.randn(5, 2)
    assert metrics.divergence(user, item, user, item, torch.arange(3)) == pytest.approx(0.0, abs=1e-12)
    assert metrics.divergence(user, item, user * 2, item, torch.arange(3)) > 0


def test_a_limit_thins_the_users_evenly():
    assert metrics.thinned(torch.arange(100), 3).tolist() == [0, 50, 99]
    assert metrics.thinned(torch.arange(3), None).tolist() == [0, 1, 2]


def test_recall_precision_and_ndcg_equal_recboles_evaluator(tmp_path, monkeypatch):
    """An outside reference at every cut, masks included: RecBole hides what a user has in train and valid."""
    pytest.importorskip("recbole", reason="needs RecBole: pip install --no-deps recbole==1.2.1")
    from recsys.recbole import Wrapped, evaluate, splits_of
    from tests.recsys.recbole_small import run, write_small

    monkeypatch.chdir(tmp_path)
    words = {"metrics": ["Recall", "NDCG", "Precision"], "topk": list(metrics.CUTS), "metric_decimal_place": 12}
    done = run("BPR", write_small(tmp_path), **words)
    expected = evaluate(done.model, done.train, done.test)
    parts = splits_of(done.train, done.valid, done.test)
    user, item = (part.detach() for part in Wrapped(done.model, done.train)(parts.train))
    seen = torch.cat([parts.train.edge_index, parts.val.edge_index], dim=1).numpy()
    padding = np.stack([np.arange(len(user)), np.zeros(len(user), dtype=np.int64)])  # item 0 is shown to nobody
    mask = csr.from_coo(*np.concatenate([seen, padding], axis=1), len(user), len(item))[:2]
    truth = csr.from_coo(*parts.test.edge_index.numpy(), len(user), len(item))[:2]
    ranked = metrics.rank(user, item, parts.test.edge_index[0].unique(), mask, max(metrics.CUTS))
    found = {name: value.mean() for name, value in metrics.figures(ranked, truth).items()}
    assert found == pytest.approx(expected)
    assert len(found) == 12
