"""What ``python -m benchmarks.scale`` measures of one graph, in the process that is given to it."""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import nn

from graphforget import metrics
from graphforget.disk_tables import map_tables
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn.data import load_splits
from graphforget.gnn.gnndelete import GNNDelete
from graphforget.gnn.models import GCN
from graphforget.gnn.task import LinkPrediction
from graphforget.gnn.utu import UtU
from graphforget.graph import Graph
from graphforget.local import Patch, unlearn_local
from graphforget.mapped import open_store
from graphforget.methods.d2dgn import D2DGN
from graphforget.methods.d2dgn_calibrated import CalibratedD2DGN
from graphforget.region import Reach
from graphforget.splits import Splits
from graphforget.store import Store, give_back
from graphforget.task import Task
from graphforget.train import Recipe, descend, seeded
from graphforget.unlearner import Unlearner
from graphforget.whole import whole
from recsys.data import load_splits as recommendations
from recsys.mmrecun import MMRecUN
from recsys.mmrecun_calibrated import CalibratedMMRecUN
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation

REAL = ("tolokers", "github", "ddi", "gowalla")
QUICK = CalibratedD2DGN(refresh=0, epochs=10, regression="linear", least=400)
CLOSE = Reach(near=1, replay=1, held_out=1, fan_outs=(3, 2))
METHODS: dict[str, tuple[Unlearner, Reach]] = {
    "utu": (UtU(), Reach()),
    "d2dgn_calibrated": (CalibratedD2DGN(), Reach()),
    "d2dgn_calibrated_trained": (CalibratedD2DGN(trained_from=0), Reach()),  # whatever is remembered
    "d2dgn_calibrated_quick": (replace(QUICK, trained_from=0), CLOSE),
    "d2dgn_calibrated_quick_asks": (QUICK, CLOSE),
}
PAPERS: dict[str, tuple[Unlearner, Reach]] = {  # measured where they are named
    "d2dgn": (D2DGN(epochs=10), Reach()),
    "gnndelete": (GNNDelete(epochs=50), Reach()),
    "mmrecun": (MMRecUN(epochs=5, stop=False), Reach()),
    "mmrecun_calibrated": (CalibratedMMRecUN(epochs=5), Reach()),
}
HIDDEN, OUT = 64, 32
RANKED = 2000  # users of a recommender who are ranked for
HELD_OUT = 2000
PIECE = 1_000_000  # rows that are drawn at once
MIB = 2**20
Row = dict[str, Any]


def measured(flags: argparse.Namespace, target: str) -> Iterator[Row]:
    """Yield a row a method for one graph."""
    torch.set_num_threads(flags.threads)
    warm_up()
    base = resident()
    if target in REAL:
        name, splits = target, real(target)
        store = Store.of(splits.train)
        held = splits.val.edge_index
    else:
        name, splits = label(Path(target).name, flags), None
        store = open_store(target, verify=False)
        if not flags.mapped:
            store = in_memory(store)
        held = store.sample(HELD_OUT, 7)
        store = store.without(held)
    if flags.tables:
        store = replace(store, features={})
        task, model = with_tables(store, Path(target) / "tables")
    else:
        task, model = task_and_model(store)
    total = store.indptr.nbytes + store.indices.nbytes + sum(value.nbytes for value in store.features.values())
    arrays = (total + (4 * HIDDEN * store.num_nodes if flags.tables else 0)) / MIB
    rows = []
    for method in flags.methods:
        how, reach = (METHODS | PAPERS)[method]
        if (why := refusal(how, task)) and not how.unlinks:  # what only unlinks runs anywhere
            sys.stderr.write(f"{name}: {why}; no row\n")
            continue
        reset_peak()
        seconds, cpu, patch = [], [], None
        for turn in range(flags.repeats):
            pairs = store.sample(flags.request, 100 + turn)
            start, begun = time.perf_counter(), time.process_time()
            patch = unlearn_local(how, model, task, store, pairs, held_out=held, reach=reach, seed=turn)
            seconds.append(time.perf_counter() - start)
            cpu.append(time.process_time() - begun)
        row = {
            "method": method,
            "edges": len(store.indices),
            "request": flags.request,
            "seconds": statistics.median(seconds),
            "peak_mib": round(peak() - base, 1),
            "epoch_seconds": None,
            "cpu_seconds": statistics.median(cpu),
            "epoch_cpu_seconds": None,
            "graph": name,
            "threads": flags.threads,
            "arrays_mib": round(arrays, 1),
            "resident_mib": round(resident() - base, 1),
            "scope": patch.record["scope"] if patch else "none",
            "region": patch.record.get("region", 0) if patch else 0,
            "repeats": flags.repeats,
        }
        rows.append(row)
    epoch = (None, None) if flags.no_epoch else epoch_seconds(task, model, store)
    judge = Judge.of(task, splits, flags.request) if flags.accuracy and splits is not None else None
    for row in rows:
        row["epoch_seconds"], row["epoch_cpu_seconds"] = epoch
        if judge is not None:
            row.update(judge.figures(*(METHODS | PAPERS)[row["method"]]))
        yield row


def label(name: str, flags: argparse.Namespace) -> str:
    """What a power-law graph is called in the rows."""
    return name + ("-mapped" if flags.mapped else "") + ("-tables" if flags.tables else "")


def warm_up() -> None:
    """Compile every kernel on a small graph, from memory and as the mapped arrays (read-only) take it."""
    ring = torch.stack([torch.arange(200), (torch.arange(200) + 1) % 200])
    more = torch.stack([torch.arange(200), (torch.arange(200) * 7 + 3) % 200])
    graph = Graph.from_edges(torch.cat([ring, more], dim=1), 200, features={"x": torch.randn(200, 4)})
    store = Store.of(graph)
    task, model = task_and_model(store)
    frozen = [array.copy() for array in (store.indptr, store.indices)]
    for array in frozen:
        array.setflags(write=False)
    for one in (store, Store(frozen[0], frozen[1], store.size, features=store.features)):
        for method, reach in METHODS.values():
            unlearn_local(method, model, task, one, graph.pairs()[:, :5], held_out=more[:, 5:40], reach=reach)


def refusal(method: Unlearner, task: Task[Any]) -> str:
    """Why a method does not run on such a task; empty where it does."""
    lacks = [need.__name__ for need in method.needs if not isinstance(task, need)]
    return f"{type(method).__name__} needs a task that is {lacks[0]} (got {type(task).__name__})" if lacks else ""


def in_memory(store: Store) -> Store:
    """The same store with its arrays read."""
    features = {name: np.array(value) for name, value in store.features.items()}
    return Store(np.array(store.indptr), np.array(store.indices), store.size, store.bipartite, features)


def task_and_model(store: Store) -> tuple[Task[Any], nn.Module]:
    """The task of a graph, and a model that it can be run with."""
    torch.manual_seed(0)
    if store.bipartite:
        return Recommendation(), LightGCN(*store.size)
    width = store.features["x"].shape[1] if "x" in store.features else None
    return LinkPrediction(), GCN(width, HIDDEN, OUT, num_nodes=store.num_nodes)


def with_tables(store: Store, folder: Path) -> tuple[Task[Any], nn.Module]:
    """A task, and a model that learns a row a node instead of reading features; the rows stay in their file."""
    path = folder / "embedding.weight.npy"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        draw = np.random.default_rng(2)
        with whole(path) as part:
            out = open_memmap(part, "w+", np.float32, (store.num_nodes, HIDDEN))
            for start in range(0, store.num_nodes, PIECE):
                block = out[start : start + PIECE]
                block[:] = draw.standard_normal(block.shape, dtype=np.float32)
                give_back(out)
    torch.manual_seed(0)
    small, task = GCN(None, HIDDEN, OUT, num_nodes=1).state_dict(), LinkPrediction()
    del small["embedding.weight"]
    with torch.device("meta"):
        model = GCN(None, HIDDEN, OUT, num_nodes=store.num_nodes)
    model.load_state_dict(small, strict=False, assign=True)
    return task, map_tables(model, task, store.size, folder)


def real(name: str) -> Splits[Graph]:
    """The splits of a data set that is at hand."""
    splits = recommendations(name) if name == "gowalla" else load_splits(name, task="link")
    if splits.train.bipartite:
        return splits
    return splits._replace(train=replace(splits.train, edge_attrs={}))  # ogbl-ddi has none that a model reads


def epoch_seconds(task: Task[Any], model: nn.Module, store: Store) -> tuple[float, float]:
    """Wall and processor seconds of one training epoch on the whole graph, after one that builds what is kept."""
    graph, student = store.graph(), copy.deepcopy(model)
    give_back(store.indptr, store.indices)
    start, begun = 0.0, 0.0
    with seeded(0) as rng:
        for _ in range(2):
            start, begun = time.perf_counter(), time.process_time()
            descend(
                student,
                lambda _: (task.loss(student, graph, batch) for batch in task.batches(graph, graph, rng)),
                epochs=1,
                lr=1e-3,
            )
    return time.perf_counter() - start, time.process_time() - begun


@dataclass(frozen=True, eq=False)
class Judge:
    """A trained original of a real graph, a request, and two golds, which never saw what it names.

    Args:
        task: with a recipe.
        splits: the data.
        split: the request.
        original: the trained model.
        golds: retrained from other seeds.
    """

    task: Task[Any]
    splits: Splits[Graph]
    split: ForgetSplit[Graph]
    original: nn.Module
    golds: tuple[nn.Module, nn.Module]

    @classmethod
    def of(cls, task: Task[Any], splits: Splits[Graph], request: int) -> Judge:
        """Train all three, on full batches; a recommender looks at some users of the held-out part only."""
        recipe = Recipe(epochs=200, patience=30, lr=5e-3)
        if isinstance(task, Recommendation):
            task = replace(task, recipe=replace(recipe, eval_every=10), max_users=RANKED)
        else:
            task = replace(task, recipe=recipe)
        store = Store.of(splits.train)
        split = ForgetSplit.of(splits.train, ForgetRequest.of("edge", store.sample(request, 100)), splits.val)
        _, model = task_and_model(store)
        first, second = (task.fit(task.fresh(model, seed), split.retain, split.held_out, seed=seed) for seed in (1, 2))
        return cls(task, splits, split, task.fit(model, splits.train, splits.val, seed=0), (first, second))

    def figures(self, method: Unlearner, reach: Reach) -> Row:
        """Unlearn in full and locally; distances on the forgotten to gold (mean of two) and between the golds.

        Where the method does not apply to the whole graph, ``full_refused`` says why, and its figures are None.
        """
        why = refusal(method, self.task)
        start = time.perf_counter()
        full = None if why else method.unlearn(self.original, self.task, self.split, seed=0).model
        seconds = None if why else time.perf_counter() - start
        patch: Patch = unlearn_local(
            method,
            self.original,
            self.task,
            Store.of(self.splits.train),
            self.split.forget.pairs(),
            held_out=self.splits.val.edge_index,
            reach=reach,
            seed=0,
        )
        local = patch.onto(copy.deepcopy(self.original))
        found: Row = {"floor": self.apart(*self.golds)}
        for name, model in (("original", self.original), ("local", local), ("full", full)):
            found[f"js_{name}"] = found[f"test_{name}"] = None
            if model is not None:
                found[f"js_{name}"] = sum(self.apart(model, gold) for gold in self.golds) / 2
                scores = self.task.evaluate(model, self.split.retain, self.splits.test)
                found[f"test_{name}"] = scores[self.task.score_name]
        found["js_local_to_full"] = None if full is None else self.apart(local, full)
        return {**found, "full_seconds": seconds, **({"full_refused": why} if why else {})}

    def apart(self, one: nn.Module, other: nn.Module) -> float:
        """Mean JS of two models on the forgotten, each asked on the retained graph."""
        batch = self.task.elements(self.split.retain, self.split.forget)
        outputs = [self.task.teacher(model, self.split.retain)(batch) for model in (one, other)]
        return float(metrics.js(*outputs).mean())


def status(key: str) -> float:
    """A figure of this process in MiB, as the kernel counts it."""
    with Path("/proc/self/status").open(encoding="utf-8") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(key))


def resident() -> float:
    """Resident memory in MiB."""
    return status("VmRSS:")


def peak() -> float:
    """Highest resident memory in MiB since :func:`reset_peak`."""
    return status("VmHWM:")


def reset_peak() -> None:
    """Start the peak anew at what is resident now."""
    Path(f"/proc/{os.getpid()}/clear_refs").write_text("5", encoding="ascii")
