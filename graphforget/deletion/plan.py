"""The plan: a dry run that says what a batch touches, which methods can serve it, and what each would cost.

The price comes from short runs on the user's own model and machine: a method is run with one pass and with three, the
difference is a pass, and the rest is its fixed cost. What earlier batches really took corrects it. Nothing but the
states of the requests changes.
"""

from __future__ import annotations

import json
import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np
from torch import nn

from graphforget import catalog
from graphforget.cost import measure
from graphforget.deletion.choose import Choice, applicable, recommend
from graphforget.deletion.deployment import Deployment, method_of
from graphforget.deletion.prices import Plan, Price
from graphforget.deletion.records import State
from graphforget.deletion.resolve import Resolver, counts, remaining
from graphforget.deletion.run import Work, resolve_received
from graphforget.deletion.store import Store
from graphforget.deletion.worth import NOTE as VALUES
from graphforget.deletion.worth import worth
from graphforget.errors import GraphforgetError, NotApplicable
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.kernels import csr, khop
from graphforget.methods.retrain import Retrain
from graphforget.task import Task
from graphforget.train import Recipe
from graphforget.unlearner import Unlearner

log = logging.getLogger(__name__)
KNOBS = ("epochs", "refresh", "refit", "iterations", "rounds")  # fields that a method's time is linear in
QUICK = 2.0  # seconds, our default
HOPS = 2
BUDGET = 120.0  # seconds for all short runs, our default
NOTE = "plan"
Say = Callable[[str], None]


def plan(
    store: Store,
    *,
    methods: Sequence[str] | None = None,
    budget: float = BUDGET,
    utility: bool = True,
    say: Say = log.info,
) -> Plan:
    """Plan the next batch. Needs :meth:`Store.writing`.

    Args:
        store: opened.
        methods: price only these (and retraining); None prices all that apply.
        budget: seconds for the short runs; methods that are left over have no price.
        utility: also estimate what the batch costs in utility, in up to a quarter more seconds.
        say: receives a line before each step.

    Raises:
        InputError: unknown methods, or requests that cover everything.
    """
    for name in methods or ():
        if ":" not in name:
            catalog.method(name)
    resolve_received(store)
    entries = store.queue.entries(State.RESOLVED, State.PLANNED, limit=store.deployment.batch_size)
    if not entries:
        return Plan(requests=0, states=store.queue.counts())
    work = Work.of(store)
    resolver = Resolver(work.splits, store.vocabulary(), store.key)
    batch = resolver.together([(e.request.request_id, e.request, resolver.one(e.request)) for e in entries])
    split, _ = remaining(work.splits, batch)
    ids = [entry.request.request_id for entry in entries if entry.state is State.RESOLVED]
    found = Plan(
        requests=len(entries),
        counts=counts(split, batch),
        recommended="none",
        reason="the model was trained on none of it: only the data changes",
        drift={name: float(value) for name, value in work.manifest.drift.model_dump().items()},
    )
    if split is not None:
        choice = recommend(store.deployment, work.task, split)
        prices = calibrate(
            store, work, split, [choice.name, *(methods or ())], methods is None, budget, say, choice=choice
        )
        best, reason = _best(choice.name, choice.reason, prices)
        settings = asdict(choice.method) if best == choice.name and store.deployment.method is None else {}
        found = found.model_copy(
            update={
                "affected": affected(split),
                "utility": worth(store, work, split, _retrain(prices), budget, say) if utility else None,
                "prices": prices,
                "recommended": best,
                "settings": settings,
                "reason": reason,
            }
        )
    store.queue.move(ids, State.PLANNED)
    with store.queue.transaction():
        store.queue.set_note(NOTE, found.model_dump_json())
    return found.model_copy(update={"states": store.queue.counts()})


def _retrain(prices: Sequence[Price]) -> float | None:
    return next((price.seconds for price in prices if price.method == "retrain"), None)


def last_plan(store: Store) -> Plan | None:
    """The plan of the requests that wait, or None."""
    text = store.queue.note(NOTE)
    return Plan.model_validate(json.loads(text)) if text else None


def forget_plan(store: Store) -> None:
    """Drop the plan and the values behind it: its requests are done."""
    with store.queue.transaction():
        store.queue.set_note(NOTE, "")
        store.queue.set_note(VALUES, "")


def _best(name: str, reason: str, prices: Sequence[Price]) -> tuple[str, str]:
    """The recommendation, once the prices are known: what costs no less than gold gives way to gold."""
    known = {price.method: price.seconds for price in prices if price.seconds is not None}
    own, gold = known.get(name), known.get("retrain")
    if own is not None and gold is not None and own >= gold and name != "retrain":
        return "retrain", f"retraining costs {gold:,.1f} s, no more than {name} ({own:,.1f} s), and is gold"
    return name, reason


def affected(split: ForgetSplit[Graph], hops: int = HOPS) -> dict[str, float]:
    """Nodes and edges within some hops of the request, and their shares of the data."""
    graph = split.data
    first = graph.size[0] if graph.bipartite else 0
    rows, cols = graph.edge_index.cpu().numpy()
    cols, total = cols + first, graph.num_nodes
    out, back = (rows, cols) if graph.undirected else (np.append(rows, cols), np.append(cols, rows))
    indptr, indices, _ = csr.from_coo(out, back, total, total)
    hit = np.zeros(total, dtype=bool)
    hit[khop.k_hop_nodes(indptr, indices, split.forget.nodes().cpu().numpy(), hops)] = True
    edges = int((hit[rows] | hit[cols]).sum()) // (1 + graph.undirected)
    every = graph.num_edges // (1 + graph.undirected)
    found = {"hops": hops, "nodes": int(hit.sum()), "nodes_share": float(hit.mean()), "edges": edges}
    return {**found, "edges_share": edges / max(every, 1)}


def calibrate(
    store: Store,
    work: Work,
    split: ForgetSplit[Graph],
    first: Sequence[str],
    every: bool,
    budget: float,
    say: Say = log.info,
    *,
    choice: Choice | None = None,
) -> tuple[Price, ...]:
    """Price methods by short runs; the recommended one and retraining first.

    Args:
        store: for what earlier batches took.
        work: model, task and data of the head.
        split: the request.
        first: methods that must be priced.
        every: price all that apply, not only those.
        budget: seconds for the short runs of the others.
        say: receives a line before each step.
        choice: a method with settings of its own.
    """
    reasons = applicable(work.task, split)
    order = list(dict.fromkeys([*first, "retrain", *reasons]))
    began, found = time.perf_counter(), []
    past = history(store)
    for name in order:
        if reasons.get(name):
            found.append(Price(method=name, applies=False, reason=reasons[name]))
        elif name not in (*first, "retrain") and (not every or time.perf_counter() - began > budget):
            found.append(Price(method=name, applies=True, reason="not priced; name it with --methods"))
        else:
            say(f"pricing {name}")
            found.append(_price(store.deployment, work, split, name, choice, past.get(name, 1.0)))
    return tuple(found)


def _price(
    deployment: Deployment, work: Work, split: ForgetSplit[Graph], name: str, choice: Choice | None, factor: float
) -> Price:
    settings = deployment.settings if name == deployment.method else {}
    try:
        if name == "retrain":
            seconds, mib, basis = retrain_price(deployment, work.task, work.model, split)
        else:
            method = choice.method if choice and name == choice.name else method_of(name, settings)
            seconds, mib = method_price(method, work.model, work.task, split)
            basis = "short runs"
    except NotApplicable as error:
        return Price(method=name, applies=False, reason=str(error))
    except GraphforgetError as error:
        return Price(method=name, applies=False, reason=f"its short run failed: {error}")
    if seconds is None:
        return Price(method=name, applies=True, reason=basis)
    if factor != 1.0:
        basis += f", times {factor:.2f} by earlier batches"
    return Price(method=name, applies=True, reason=basis, seconds=seconds * factor, mib=mib, factor=factor)


def method_price(
    method: Unlearner, model: nn.Module, task: Task[Any], split: ForgetSplit[Graph]
) -> tuple[float, float]:
    """Predicted (seconds, MiB) of a method: its fixed cost and its passes, each measured.

    A method that would be done within QUICK seconds is run in full: some stop before their last pass.
    """
    knobs = {
        field.name: value
        for field in fields(method)
        if field.name in KNOBS and isinstance(value := getattr(method, field.name), int) and value > 1
    }
    short = replace(method, **dict.fromkeys(knobs, 1))
    _timed(short, model, task, split)  # compiles, fills caches
    base, peak = _faster(short, model, task, split)
    total = base
    for name, value in knobs.items():
        longer, more = _faster(replace(short, **{name: min(3, value)}), model, task, split)
        total += max(longer - base, 0.0) / (min(3, value) - 1) * (value - 1)
        peak = max(peak, more)
    return _timed(method, model, task, split) if knobs and total < QUICK else (total, peak)


def retrain_price(
    deployment: Deployment, task: Task[Any], model: nn.Module, split: ForgetSplit[Graph]
) -> tuple[float | None, float | None, str]:
    """Predicted (seconds, MiB, basis) of retraining: a measured epoch times the epochs that training took."""
    recipe = task.recipe
    if not isinstance(recipe, Recipe):
        return deployment.training_seconds, None, "training_seconds of the deployment; the recipe is the user's own"
    epochs = min(deployment.training_epochs or recipe.epochs, recipe.epochs)
    lengths = (2 * recipe.eval_every, 6 * recipe.eval_every)
    if epochs <= lengths[1]:
        seconds, mib = _timed(Retrain(), model, task, split)
        return seconds, mib, "run as a whole"
    found = []
    for length in (lengths[0], *lengths):
        some = replace(task, recipe=replace(recipe, epochs=length, patience=length))
        found.append(_timed(Retrain(), model, some, split))
    (short, _), (longer, mib) = found[1:]
    pass_ = max(longer - short, 0.0) / (lengths[1] - lengths[0])
    basis = f"short runs; {epochs} epochs" + (
        ", as the original took" if deployment.training_epochs else ", the most that the recipe allows"
    )
    return short + pass_ * (epochs - lengths[0]), mib, basis


def gold_price(store: Store) -> Callable[[Any, nn.Module, ForgetSplit[Graph]], float]:
    """A function that predicts the seconds of one gold, from the last plan or from short runs."""

    def price(task: Any, model: nn.Module, split: ForgetSplit[Graph]) -> float:
        expected = store.manifest().cost.get("retrain_predicted_seconds")
        if expected is not None:
            return expected
        seconds, _, _ = retrain_price(store.deployment, task, model, split)
        return float("inf") if seconds is None else seconds

    return price


def history(store: Store) -> dict[str, float]:
    """{method: actual by uncorrected predicted seconds}, the median of its last five batches that had a prediction."""
    ratios: dict[str, list[float]] = {}
    for version in store.versions():
        manifest = store.manifest(version)
        expected, actual = manifest.cost.get("predicted_seconds"), manifest.cost.get("seconds")
        if expected and actual:
            used = manifest.cost.get("predicted_factor") or 1.0
            ratios.setdefault(manifest.method, []).append(actual / expected * used)
    return {name: statistics.median(each[-5:]) for name, each in ratios.items()}


def _faster(method: Unlearner, model: nn.Module, task: Task[Any], split: ForgetSplit[Graph]) -> tuple[float, float]:
    """The faster of two runs: what another process takes in one of them would be multiplied by the passes."""
    return min(_timed(method, model, task, split) for _ in range(2))


def _timed(method: Unlearner, model: nn.Module, task: Task[Any], split: ForgetSplit[Graph]) -> tuple[float, float]:
    with measure() as cost:
        method.unlearn(model, task, split, seed=0)
    return cost.seconds, cost.peak_mib
