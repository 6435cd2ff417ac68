"""What a deletion costs in utility: expected by the values of clusters, and found by retraining."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphforget.gnn import data as graphs
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction
from graphforget.metrics import spearman
from graphforget.report import ORIGINAL, Report
from graphforget.train import Recipe
from graphforget.valuation.cluster_production import ClusterProductionValuation
from graphforget.valuation.profiles import edge_profiles
from graphforget.valuation.utility import Utility, task_utility
from recsys import data as interactions
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation

DELETIONS = ("edges", "users")
CLUSTERS, SEEDS = 4, 3


def game(dataset: str, seed: int, root: Path | None) -> tuple[Utility, Any]:
    """(u, the profiles) of the digits' edges, or of the interactions of users of ML-100K."""
    task: Any
    model: Any
    if dataset == "edges":
        splits = graphs.load_splits("digits", task="link", seed=seed)
        task, model, kind = (
            LinkPrediction(recipe=Recipe(epochs=60, patience=60, eval_every=10)),
            GCN(64, 32, 16),
            "edge",
        )
    else:
        splits = interactions.load_splits("ml100k", root=root)
        task = Recommendation(recipe=Recipe(epochs=6, patience=6, lr=5e-3, batch_size=8192, eval_every=3))
        model, kind = LightGCN(*splits.train.size), "interaction"
    ids = splits.train.pairs()
    utility = task_utility(task, model, splits.train, splits.val, kind=kind, ids=ids)
    return utility, edge_profiles(splits.train, ids)


def of_deletions(dataset: str, seed: int, root: Path | None) -> Report:
    """Value in clusters, then delete half of each cluster, or a fifth of everything, and retrain on other seeds."""
    block, start = Report(), time.perf_counter()
    utility, x = game(dataset, seed, root)
    seeds = tuple(100 * seed + k for k in range(SEEDS))
    found = ClusterProductionValuation(clusters=CLUSTERS, seeds=seeds, seed=seed).value(utility, x)
    cost = found.trainings, time.perf_counter() - start
    rng = np.random.default_rng(seed)
    half = rng.random(utility.players) < 0.5
    requests = {f"half of cluster {k}": half & (found.cluster == k) for k in range(CLUSTERS)}
    requests["a fifth at random"] = rng.random(utility.players) < 0.2
    others = [100 * seed + 50 + k for k in range(SEEDS)]
    whole = [utility(utility.everyone, each) for each in others]
    expected, real = [], []
    for name, gone in requests.items():
        expected.append(found.cost(gone))
        real.append(float(np.mean(whole) - np.mean([utility(~gone, each) for each in others])))
        block.add(ORIGINAL, "cluster_production", {("all", "expected"): expected[-1], ("all", "realised"): real[-1]})
        for row in block.rows[-2:]:
            row["request"] = name
    figures = {
        ("all", "rank"): spearman(torch.tensor(expected), torch.tensor(real)),
        ("all", "gap"): float(np.abs(np.array(expected) - np.array(real)).mean()),
        ("all", "real"): float(np.mean(real)),
        ("all", "spread"): float(np.std(whole, ddof=1)),
        ("all", "trainings"): float(cost[0]),
        ("all", "seconds"): cost[1],
    }
    block.add(ORIGINAL, "cluster_production", figures)
    return block
