"""Values of rows, edges and users: the valuators on models that are really trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from benchmarks.valuation import ROWS
from benchmarks.valuation_cases import curves, rows_of
from graphforget.errors import InputError
from graphforget.metrics import auc, spearman
from graphforget.samples import Samples
from graphforget.train import Recipe
from graphforget.valuation.cluster_production import ClusterProductionValuation
from graphforget.valuation.data_oob import data_oob
from graphforget.valuation.knn_shapley import knn_shapley
from graphforget.valuation.leave_one_out import leave_one_out
from graphforget.valuation.profiles import edge_profiles, node_profiles
from graphforget.valuation.utility import Utility, rows_utility, task_utility
from tests.deletion.small import people, shop, tiny_gcn, tiny_lightgcn


def iris(flipped: float = 0.1, seed: int = 0):
    """(x, y, x_val, y_val, which labels are wrong) of 75 and 75 rows."""
    x, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(150)
    train, held = order[:75], order[75:]
    labels, wrong = y[train].copy(), rng.permutation(75) < flipped * 75
    labels[wrong] = (labels[wrong] + rng.integers(1, 3, int(wrong.sum()))) % 3
    mean, deviation = x[train].mean(0), x[train].std(0)
    return (x[train] - mean) / deviation, labels, (x[held] - mean) / deviation, y[held], wrong


def detects(values: np.ndarray, wrong: np.ndarray) -> float:
    return auc(torch.from_numpy(-values[wrong]), torch.from_numpy(-values[~wrong]))


def test_values_of_clusters_are_handed_down_whole():
    x, y, x_val, y_val, _ = iris()
    u = rows_utility(x, y, x_val, y_val, score="log_loss")
    found = ClusterProductionValuation(clusters=9).value(u, x, y)
    assert abs(found.values.sum() - found.lco.sum()) < 1e-12
    assert found.trainings == u.trainings == len(found.lco) + 1 == 10
    again = ClusterProductionValuation(clusters=9).value(rows_utility(x, y, x_val, y_val, score="log_loss"), x, y)
    assert (again.values == found.values).all()
    assert found.cost(found.cluster == 2) == pytest.approx(found.lco[2])


def test_a_cluster_a_point_is_leave_one_out_and_one_cluster_is_in_proportion_to_q():
    x, y, x_val, y_val, _ = iris()
    x, y = x[:20], y[:20]
    u = rows_utility(x, y, x_val, y_val, score="log_loss")
    found = ClusterProductionValuation(clusters=20).value(u, x, y)
    assert found.values == pytest.approx(leave_one_out(u).values, abs=1e-15)
    one = ClusterProductionValuation(clusters=1).value(u, x)
    assert one.values == pytest.approx(one.lco[0] * one.intrinsic / one.intrinsic.sum(), abs=1e-15)


def test_a_twin_is_worth_what_the_other_is():
    x, y, x_val, y_val, _ = iris()
    x, y = np.concatenate([x, x[3:4]]), np.r_[y, y[3]]
    found = ClusterProductionValuation(clusters=6).value(rows_utility(x, y, x_val, y_val, score="log_loss"), x, y)
    assert found.values[3] == found.values[-1]


def test_a_harmful_cluster_is_charged_to_those_that_are_not_typical():
    u = Utility(5, lambda members, seed: -float(members[:3].any()))
    found = ClusterProductionValuation(clusters=2).value(u, [[0.0], [1.0], [2.6], [50.0], [50.1]])
    assert found.lco.min() == -1
    assert found.values[:3].argmin() == 2  # the farthest from the centroid, whose q is 0
    assert (found.values[:3] <= 0).all()


def test_flipped_labels_are_found_and_values_agree_with_knn_shapley():
    figures = []
    for seed in (1, 2, 3):
        x, y, x_val, y_val, wrong = iris(seed=seed)
        near = knn_shapley(x, y, x_val, y_val)
        ours = ClusterProductionValuation().value(rows_utility(x, y, x_val, y_val, score="log_loss"), x, y)
        oob = data_oob(x, y, bags=50, seed=seed)
        rank = spearman(torch.from_numpy(ours.values), torch.from_numpy(near.values))
        figures.append([detects(each.values, wrong) for each in (ours, near, oob)] + [rank])
    ours, near, oob, rank = np.mean(figures, axis=0)
    assert ours > 0.65
    assert near > 0.9
    assert oob > 0.9
    assert rank > 0.1


def test_dropping_the_highest_values_first_hurts_more_than_dropping_at_random():
    """Area between the curves of test accuracy, mean of three seeds, for every valuator that is cheap."""
    gaps: dict[str, list[float]] = {}
    for seed in (1, 2, 3):
        rows = rows_of("iris", 50, seed, None)
        for name in ("cluster_production", "knn_shapley", "data_oob"):
            found = curves(rows, ROWS[name](rows, seed).values)
            gaps.setdefault(name, []).append(float((rows.floor["drop"] - found["drop_high"]).mean()))
    assert min(np.mean(each) for each in gaps.values()) > 0.05, gaps


def test_rows_that_were_never_valued_are_predicted():
    x, y, x_val, y_val, _ = iris(flipped=0.2, seed=1)
    old, new = slice(0, 50), slice(50, 75)
    method = ClusterProductionValuation(clusters=6)
    some = method.value(rows_utility(x[old], y[old], x_val, y_val, score="log_loss"), x[old], y[old])
    every = method.value(rows_utility(x, y, x_val, y_val, score="log_loss"), x, y)
    said = torch.from_numpy(some.predict(x[new], y[new]))
    assert spearman(said, torch.from_numpy(every.values[new])) > 0.3


def test_the_regressor_and_the_production_function():
    x, y, x_val, y_val, _ = iris()
    u = rows_utility(x, y, x_val, y_val)
    method = ClusterProductionValuation(
        clusters=6, intrinsic="regressor", sampled=20, permutations=3, production=True, seeds=(0, 1)
    )
    found = method.value(u, x, y)
    assert ((found.intrinsic >= 0) & (found.intrinsic <= 1)).all()
    assert abs(found.values.sum() - found.lco.sum()) < 1e-12
    assert (found.spread == 0).all()  # a logistic regression has no seed
    size = np.bincount(found.cluster)
    assert found.extrinsic == pytest.approx(found.elasticity * found.whole / size)
    assert found.cost(np.zeros(75, dtype=bool)) == 0
    assert len(found.predict(x_val, y_val)) == 75


def test_elasticities_of_a_known_production_function_come_back():
    """U = 2 N_1^.5 N_2^.25 of two clusters of 8."""
    worth = lambda m, seed: 2 * max(m[:8].sum(), 1e-9) ** 0.5 * max(m[8:].sum(), 1e-9) ** 0.25  # noqa: E731
    x = np.r_[np.linspace(0, 1, 8), np.linspace(50, 51, 8)][:, None]
    found = ClusterProductionValuation(clusters=2, production=True).value(Utility(16, worth), x)
    assert sorted(found.elasticity) == pytest.approx([0.25, 0.5])
    gone = np.arange(16) < 4
    assert found.cost(gone) == pytest.approx(worth(np.ones(16, dtype=bool), 0) - worth(~gone, 0))


def test_edges_are_valued_on_the_task_itself():
    splits, _ = people()
    from graphforget.gnn.task import LinkPrediction

    task = LinkPrediction(recipe=Recipe(epochs=3, patience=3))
    ids = splits.train.pairs()
    u = task_utility(task, tiny_gcn(), splits.train, splits.val, kind="edge", ids=ids, nobody=0.5)
    before = torch.random.get_rng_state()
    found = ClusterProductionValuation(clusters=3).value(u, edge_profiles(splits.train, ids))
    assert bool((torch.random.get_rng_state() == before).all())
    assert found.trainings == 4
    assert abs(found.values.sum() - found.lco.sum()) < 1e-12
    assert u(np.zeros(ids.shape[1], dtype=bool)) == 0.5


def test_users_are_valued_by_what_they_teach_about_others():
    from recsys.task import Recommendation

    splits, _ = shop()
    panel = splits.val.with_edges(splits.val.edge_index[0] >= 15)
    users, _ = node_profiles(splits.train)
    task = Recommendation(recipe=Recipe(epochs=3, patience=3, batch_size=64))
    ids = torch.arange(15)
    u = task_utility(task, tiny_lightgcn(), splits.train, panel, kind="user", ids=ids, score="ndcg@20")
    found = ClusterProductionValuation(clusters=3).value(u, users[:15])
    assert found.trainings == 4
    assert np.isfinite(found.values).all()


def test_rows_of_a_task_are_valued_as_those_of_a_table():
    from graphforget.vision.task import ImageClassification

    x, y, x_val, y_val, _ = iris()
    every = torch.from_numpy(np.concatenate([x[:30], x_val])).float()
    data = Samples(every, torch.from_numpy(np.concatenate([y[:30], y_val])))
    train, held = (data.view(mask) for mask in (torch.arange(105) < 30, torch.arange(105) >= 30))
    task = ImageClassification(recipe=Recipe(epochs=20, patience=20, lr=0.05))
    u = task_utility(task, torch.nn.Linear(4, 3), train, held, kind="sample", ids=torch.arange(30))
    found = ClusterProductionValuation(clusters=3).value(u, x[:30], y[:30])
    assert found.lco.max() > 0.1  # a whole class is gone


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ClusterProductionValuation(clusters=9).value(Utility(3, lambda m, s: 0.0), np.zeros((3, 1))), "got 9"),
        (lambda: ClusterProductionValuation(intrinsic="centre"), "did you mean 'centroid'"),
        (lambda: ClusterProductionValuation(neighbours=0), "neighbours must be at least 1"),
        (lambda: ClusterProductionValuation(seeds=()), "at least one training"),
        (lambda: ClusterProductionValuation().value(Utility(3, lambda m, s: 0.0), np.zeros((2, 1))), "a row a player"),
        (lambda: ClusterProductionValuation().value(Utility(1, lambda m, s: 0.0), [[np.nan]]), "x holds NaN"),
        (lambda: ClusterProductionValuation().value(Utility(2, lambda m, s: float("nan")), [[0], [1]]), "got nan"),
        (lambda: rows_utility([[0.0]], [0], [[0.0]], [0], score="auc"), "unknown score"),
        (lambda: rows_utility([[0.0]], [0, 1], [[0.0]], [0]), "one label a row"),
        (lambda: data_oob([[0.0], [1.0]], [0, 1], bags=1), "in every one of the 1 bags"),
        (
            lambda: ClusterProductionValuation(clusters=1, production=True).value(
                Utility(2, lambda m, s: -1.0), [[0.0], [1.0]]
            ),
            "utility above 0",
        ),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_values_with_labels_are_asked_with_labels():
    found = ClusterProductionValuation(clusters=2).value(Utility(3, lambda m, s: 0.0), [[0.0], [1.0], [2.0]], [0, 0, 1])
    with pytest.raises(InputError, match="labels are needed"):
        found.predict([[0.0]])
    with pytest.raises(InputError, match="no cluster holds the class 7"):
        found.predict([[0.0]], [7])
