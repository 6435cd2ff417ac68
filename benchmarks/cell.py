"""One cell of a benchmark: a data set, a model, a request and a seed, with its original and golds, cached."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.requests import draw
from graphforget.cost import Cost, measure
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn import data
from graphforget.gnn.models import build
from graphforget.gnn.task import GraphTask, LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.methods.retrain import Retrain
from graphforget.splits import Splits
from graphforget.train import Recipe, TrainRecord, seeded
from graphforget.unlearner import Unlearned

RECIPES = {"link": Recipe(lr=5e-3), "node": Recipe(lr=1e-2, weight_decay=5e-4, eval_every=1)}
WIDTHS = {"link": (128, 64), "node": (64, None)}


@dataclass(frozen=True)
class Cell:
    """What is run: one line of the benchmark's plan."""

    dataset: str
    model: str
    task: str
    kind: str
    ratio: float | None
    count: int | None
    pool: str
    seed: int

    @property
    def keys(self) -> dict[str, Any]:
        """Columns of the JSON lines."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Bench:
    """A cell made ready: data, request, task and models.

    Args:
        cell: what is run.
        root: folder of the data sets.
        cache: folder of trained models.
        device: torch device string.
        batches: sequential requests.
    """

    cell: Cell
    root: Path | None
    cache: Path
    device: str = "cpu"
    batches: int = 1

    @cached_property
    def _drawn(self) -> tuple[Splits[Graph], ForgetRequest]:
        splits = data.load_splits(self.cell.dataset, root=self.root, task=self.cell.task, seed=self.cell.seed)
        splits = Splits(*(part.to(self.device) for part in splits))
        cell = self.cell
        return draw(splits, cell.kind, cell.pool, cell.ratio, cell.count, cell.seed)

    @property
    def splits(self) -> Splits[Graph]:
        """Train, validation and test."""
        return self._drawn[0]

    @cached_property
    def steps(self) -> list[ForgetSplit[Graph]]:
        """The request, or the sequence of requests, resolved."""
        splits, request = self._drawn
        requests = request.batches(self.batches) if self.batches > 1 else [request]
        found = [ForgetSplit.of(splits.train, requests[0], splits.val)]
        for request in requests[1:]:
            found.append(found[-1].then(request))
        return found

    @cached_property
    def whole(self) -> ForgetSplit[Graph]:
        """The whole request on all the data, even when it is served as a sequence."""
        if self.batches == 1:
            return self.steps[0]
        return ForgetSplit.of(self.splits.train, self._drawn[1], self.splits.val)

    @cached_property
    def task(self) -> GraphTask:
        """How the models run."""
        kind = LinkPrediction if self.cell.task == "link" else NodeClassification
        return kind(recipe=RECIPES[self.cell.task])

    def blank(self, seed: int) -> nn.Module:
        """A never-trained model of the cell."""
        graph = self.splits.train
        hidden, out = WIDTHS[self.cell.task]
        width = graph.x.shape[1] if "x" in graph.features else None
        classes = int(max(part.y.max() for part in self.splits if part.y is not None)) + 1 if graph.y is not None else 2
        with seeded(seed):
            return build(self.cell.model, width, hidden or 64, out or classes, graph.num_nodes).to(self.device)

    def original(self) -> tuple[nn.Module, Cost]:
        """The original, trained on everything, and what it cost."""
        train, val = self.splits.train, self.splits.val
        seed = 1000 * self.cell.seed

        def make(record: TrainRecord) -> nn.Module:
            return self.task.fit(self.blank(seed), train, val, seed=seed, record=record)

        poisoned = self.steps[0].digest if self.cell.pool in ("poison", "mislabelled") else ""
        return self._cached("original" + poisoned, seed, make)

    def gold(self, k: int, step: int = 0) -> tuple[Unlearned, Cost]:
        """Gold number k of a step: never the original's seed."""
        split, seed = self.steps[step], 1000 * self.cell.seed + 100 + k

        def make(record: TrainRecord) -> nn.Module:
            result = Retrain().unlearn(self.blank(seed), self.task, split, seed=seed)
            for name in ("curve", "best_epoch", "converged"):
                setattr(record, name, result.record[name])
            return result.model

        history = "".join(each.digest for each in self.steps[: step + 1])
        model, cost = self._cached("gold" + history, seed, make)
        return Unlearned(model, split.retain, {}), cost

    def _cached(self, role: str, seed: int, make: Callable[[TrainRecord], nn.Module]) -> tuple[nn.Module, Cost]:
        cell = self.cell
        key = [
            role,
            seed,
            cell.dataset,
            cell.model,
            cell.task,
            cell.seed,
            asdict(RECIPES[cell.task]),
            WIDTHS[cell.task],
        ]
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
        path = self.cache / f"{cell.dataset}-{cell.model}-{role[:8]}-{cell.seed}-{name}.safetensors"
        model = self.blank(seed)
        if path.exists() and path.with_suffix(".json").exists():
            model.load_state_dict(load_file(path, device=self.device))
            kept = json.loads(path.with_suffix(".json").read_text())
            return model.eval(), Cost(kept["seconds"], kept["peak_mib"], kept["flops"])
        record = TrainRecord()
        with measure(count_flops=True) as cost:
            model = make(record)
        self.cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.partial")
        save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, part)
        os.replace(part, path)
        note = {"key": key, **asdict(cost), "curve": record.curve, "converged": record.converged}
        part.write_text(json.dumps(note | {"best_epoch": record.best_epoch}))
        os.replace(part, path.with_suffix(".json"))
        return model.eval(), cost
