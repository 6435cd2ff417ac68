"""A cell made ready: data, request, task, and its original and golds, trained once and cached."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks import domains
from benchmarks.cell import Cell
from benchmarks.domains import Asked, Domain, Drawn
from graphforget import catalog
from graphforget.cost import Cost, measure
from graphforget.folders import BadFile
from graphforget.forget import ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.report import Row
from graphforget.splits import Splits
from graphforget.task import Task
from graphforget.train import Recipe, TrainRecord, seeded
from graphforget.unlearner import Unlearned
from graphforget.whole import whole

CURVE = 60  # points of a learning curve that the rows keep, up to twice as many
OTHERS = 500_000  # seeds of further originals lie above those of all golds
PLANTED = {"poison", "mislabelled", "label_noise", "backdoor"}  # they change the data: originals of their own


@dataclass(frozen=True, eq=False)
class Bench:
    """A cell made ready.

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
    def domain(self) -> Domain:
        """What the cell's domain knows."""
        return domains.of(self.cell.dataset)

    @cached_property
    def recipe(self) -> Recipe:
        """How the cell's models are trained."""
        return self.cell.recipe(self.domain.recipes[self.cell.task])

    @cached_property
    def _drawn(self) -> Drawn:
        splits = Splits(*(part.to(self.device) for part in self.domain.load(self.cell, self.root)))
        return self.domain.draw(self.cell, splits)

    @property
    def splits(self) -> Splits[Any]:
        """Train, validation and test."""
        return self._drawn.splits

    @cached_property
    def steps(self) -> list[ForgetSplit[Any]]:
        """The request, or the sequence of requests, resolved."""
        splits, request, _ = self._drawn
        requests = request.batches(self.batches) if self.batches > 1 else [request]
        found = [ForgetSplit.of(splits.train, requests[0], splits.val)]
        for request in requests[1:]:
            found.append(found[-1].then(request))
        return found

    @cached_property
    def whole(self) -> ForgetSplit[Any]:
        """The whole request on all the data, even when it is served as a sequence."""
        if self.batches == 1:
            return self.steps[0]
        return ForgetSplit.of(self.splits.train, self._drawn.request, self.splits.val)

    @cached_property
    def task(self) -> Task[Any]:
        """How the models run."""
        options = {**self.domain.task_with, **self.domain.options(self.cell, self.root)}
        made: Task[Any] = catalog.task(self.cell.task)(recipe=self.recipe, **options)
        return made

    def more(self, result: Unlearned) -> Row:
        """Figures of a model that only the cell's domain has."""
        _, request, target = self._drawn
        models = (lambda: self.original()[0]), (lambda: self.gold(0, len(self.steps) - 1)[0].model)
        return self.domain.more(Asked(self.task, self.whole, self.splits.test, request, target, *models), result)

    def blank(self, seed: int) -> nn.Module:
        """A never-trained model of the cell."""
        with seeded(seed):
            return self.domain.build(self.cell, self.splits, self.root).to(self.device)

    def original(self, k: int = 0) -> tuple[nn.Module, Cost]:
        """The original, trained on everything, and what it cost; above 0 one of another seed."""
        train, val = self.splits.train, self.splits.val
        seed = 1000 * self.cell.seed + (OTHERS + k if k else 0)

        def make(record: TrainRecord) -> nn.Module:
            return self.task.fit(self.blank(seed), train, val, seed=seed, record=record)

        return self._cached(self._first, seed, make)

    @property
    def _first(self) -> str:
        return "original" + (self.steps[0].digest if PLANTED & {self.cell.pool, self.cell.kind} else "")

    def record(self) -> Mapping[str, Any]:
        """What the original's training left for requests; {} where a domain's leaves nothing."""
        if self.domain.recall is None:
            return {}
        return self.domain.recall(_notes(self.path(self._first, 1000 * self.cell.seed)))

    def gold(self, k: int, step: int = 0) -> tuple[Unlearned, Cost]:
        """Gold number k of a step: never the original's seed."""
        split, seed = self.steps[step], self._gold_seed(k)

        def make(record: TrainRecord) -> nn.Module:
            result = Retrain().unlearn(self.blank(seed), self.task, split, seed=seed)
            for name in ("curve", "best_epoch", "converged"):
                setattr(record, name, result.record[name])
            return result.model

        model, cost = self._cached(self._role(step), seed, make)
        return Unlearned(model, split.retain, {}), cost

    def curve(self, k: int, step: int = 0) -> dict[str, Any]:
        """How gold number k was trained: best_epoch, converged, and its [epoch, held-out score] thinned."""
        path = self.path(self._role(step), self._gold_seed(k)).with_suffix(".json")
        note = json.loads(path.read_text(encoding="utf-8"))
        best, curve = note["best_epoch"], note["curve"]
        stride = max(len(curve) // CURVE, 1)
        thin = [[epoch, score] for n, (epoch, _, score) in enumerate(curve) if n % stride == 0 or epoch == best]
        return {"best_epoch": best, "converged": note["converged"], "curve": thin}

    def _gold_seed(self, k: int) -> int:
        return 1000 * self.cell.seed + 100 + k

    def _role(self, step: int) -> str:
        return "gold" + "".join(each.digest for each in self.steps[: step + 1])

    def key(self, role: str, seed: int) -> list[Any]:
        """Everything that decides a trained model's weights."""
        cell = self.cell
        shape = self.domain.shape(cell)
        return [role, seed, cell.dataset, cell.model, cell.task, cell.seed, asdict(self.recipe), shape]

    def path(self, role: str, seed: int) -> Path:
        """Where a trained model is kept."""
        name = hashlib.sha256(json.dumps(self.key(role, seed)).encode()).hexdigest()[:24]
        return self.cache / f"{self.cell.dataset}-{self.cell.model}-{role[:8]}-{self.cell.seed}-{name}.safetensors"

    def _cached(self, role: str, seed: int, make: Callable[[TrainRecord], nn.Module]) -> tuple[nn.Module, Cost]:
        path, model = self.path(role, seed), self.blank(seed)
        if path.exists() and path.with_suffix(".json").exists():
            try:
                model.load_state_dict(load_file(path, device=self.device))
            except RuntimeError as error:
                raise BadFile(path, "it holds a model of other shapes (older data or code)", "delete it") from error
            kept = json.loads(path.with_suffix(".json").read_text())
            fields = ("seconds", "peak_mib", "flops", "cpu_s")
            return model.eval(), Cost(**{name: kept[name] for name in fields if name in kept})
        record = TrainRecord()
        with measure(count_flops=self.domain.flops) as cost:
            model = make(record)
        self.cache.mkdir(parents=True, exist_ok=True)
        weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        with whole(path) as part:
            save_file({name: value.clone() for name, value in weights.items()}, part)  # tied weights are stored twice
        if self.domain.recall is not None and role == self._first:
            for kept in record.notes.values():
                kept.save(_notes(path))
        note = {"key": self.key(role, seed), **asdict(cost), "curve": record.curve, "converged": record.converged}
        with whole(path.with_suffix(".json")) as part:
            part.write_text(json.dumps(note | {"best_epoch": record.best_epoch}))
        return model.eval(), cost


def _notes(path: Path) -> Path:
    """Where a training's notes are kept, beside its model."""
    return path.with_suffix(".notes.safetensors")
