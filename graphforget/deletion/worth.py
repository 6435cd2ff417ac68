"""What a batch is expected to cost in utility, before it is run: the values of what would go.

The interactions (or labelled nodes) that the model was trained on are valued in a few clusters by their spectral
profiles (:class:`graphforget.valuation.cluster_production.ClusterProductionValuation`): the model is trained anew
without each cluster, with as many epochs as the plan's seconds allow. A batch is expected to cost the sum of the values
that go. The values stand for the served version and are kept with it, as one number a cluster: the next plan takes no
training. It is an estimate of what *retraining* without the batch would lose, and it is linear: a value that only a
whole group carries together is shared among its members.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphforget.deletion.prices import UtilityCost
from graphforget.deletion.run import Work
from graphforget.deletion.store import Store
from graphforget.errors import GraphforgetError
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.train import Recipe
from graphforget.valuation.cluster_production import ClusterProductionValuation
from graphforget.valuation.profiles import edge_profiles, node_profiles
from graphforget.valuation.utility import FloatArray, task_utility

CLUSTERS = 4
SEEDS = (0, 1, 2)
SHARE = 0.25  # of the plan's seconds that the values may take
LEAST = 0.1  # of a training's epochs: what is trained for less says nothing of a trained model
NOTE = "worth"
Say = Callable[[str], None]


def worth(
    store: Store, work: Work, split: ForgetSplit[Graph], retrain_seconds: float | None, budget: float, say: Say
) -> UtilityCost:
    """Estimate what a batch costs in utility, or say why it is not estimated. Needs :meth:`Store.writing`.

    Args:
        store: keeps the values of the served version.
        work: model, task and data of the head.
        split: the batch.
        retrain_seconds: what one training is expected to take; None is unknown.
        budget: seconds of the whole plan, of which a quarter may go here.
        say: receives a line before the trainings.
    """
    name, task = getattr(work.task, "score_name", "score"), work.task  # a user's own may name none
    if not isinstance(task.recipe, Recipe):
        return UtilityCost(metric=name, reason="the recipe is the user's own, and may take any time")
    if store.deployment.task not in ("link", "node", "recommend"):
        return UtilityCost(metric=name, reason="the deployment's task is the user's own")
    data = work.splits.train
    nodes = store.deployment.task == "node"
    ids = data.nodes() if nodes else data.pairs().unique(dim=1)  # parallel edges go together
    gone = gone_of(split, ids, nodes=nodes)
    if not gone.any():
        return UtilityCost(metric=name, reason="only values go (features, labels of links): they are not valued")
    known = json.loads(store.queue.note(NOTE) or "{}")
    cached = known.get("version") == store.head
    if not cached:
        epochs = _epochs(task.recipe, store.deployment.training_epochs, retrain_seconds, budget)
        if not epochs:
            many = len(SEEDS) * (CLUSTERS + 1)
            reason = f"{many} trainings of a tenth of the epochs take more than a quarter of --budget {budget:g} s"
            return UtilityCost(metric=name, reason=reason)
        say(f"valuing the {'nodes' if nodes else 'edges'} in {CLUSTERS} clusters")
        short = replace(task, recipe=replace(task.recipe, epochs=epochs, patience=min(task.recipe.patience, epochs)))
        kind = "node" if nodes else "interaction" if data.bipartite else "edge"
        start = time.perf_counter()
        utility = task_utility(short, work.model, data, work.splits.val, kind=kind, ids=ids)
        try:
            found = _method(len(gone)).value(utility, _profiles(data, ids, nodes))
        except GraphforgetError as error:
            return UtilityCost(metric=name, reason=f"a training without some of the data failed: {error}")
        whole = [utility(utility.everyone, seed) for seed in SEEDS]
        known = {
            "version": store.head,
            "lco": found.lco.tolist(),
            "whole": float(np.mean(whole)),
            "spread": float(np.std(whole, ddof=1)),
            "error": (found.spread / len(SEEDS) ** 0.5).tolist(),
            "epochs": epochs,
            "trainings": utility.trainings,
            "seconds": time.perf_counter() - start,
        }
        with store.queue.transaction():
            store.queue.set_note(NOTE, json.dumps(known))
    lco = np.array(known["lco"])
    handed = _method(len(gone)).restored(_profiles(data, ids, nodes), lco, known["whole"])
    part = np.bincount(handed.cluster, weights=np.where(gone, handed.values, 0.0), minlength=len(lco))
    share = np.divide(part, lco, out=np.zeros_like(lco), where=lco != 0)
    return UtilityCost(
        metric=name,
        whole=known["whole"],
        fall=handed.cost(gone),
        spread=known["spread"],
        error=float(np.linalg.norm(share * np.nan_to_num(known["error"]))),
        trainings=known["trainings"],
        epochs=known["epochs"],
        seconds=known["seconds"],
        cached=cached,
    )


def gone_of(split: ForgetSplit[Graph], ids: Tensor, *, nodes: bool) -> npt.NDArray[np.bool_]:
    """[n] bool: which of the players, nodes [n] or pairs [2, n], the retained part has no more."""
    if nodes:
        kept = split.retain.node_mask
        gone = torch.zeros(len(ids), dtype=torch.bool) if kept is None else ~kept[ids]
    else:
        gone = ~split.retain.has_edges(ids)
    return np.asarray(gone.cpu().numpy(), dtype=bool)


def _method(players: int) -> ClusterProductionValuation:
    return ClusterProductionValuation(clusters=min(CLUSTERS, players), seeds=SEEDS)


def _profiles(data: Graph, ids: Tensor, nodes: bool) -> FloatArray:
    return node_profiles(data)[0][ids.cpu().numpy()] if nodes else edge_profiles(data, ids)


def _epochs(recipe: Recipe, trained: int | None, seconds: float | None, budget: float) -> int:
    """Epochs that every training may have; 0 where that is too few."""
    usual = min(trained or recipe.epochs, recipe.epochs)
    if seconds is None:
        return 0
    allowed = SHARE * budget / (len(SEEDS) * (CLUSTERS + 1))
    epochs = min(usual, int(usual * allowed / max(seconds, 1e-9)))
    return epochs if epochs >= max(1, LEAST * usual) else 0
