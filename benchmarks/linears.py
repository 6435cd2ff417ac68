"""Linear models in the benchmarks: two classes by logistic regression, fitted to their one optimum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.cell import Cell
from benchmarks.domains import Asked, Domain, Drawn
from graphforget import catalog
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest
from graphforget.influence import data
from graphforget.influence.models import Logistic
from graphforget.report import Row
from graphforget.samples import Samples
from graphforget.splits import Splits
from graphforget.train import Recipe
from graphforget.unlearner import Unlearned


def load(cell: Cell, root: Path | None) -> Splits[Samples]:
    """Load the cell's rows, split by its seed."""
    return data.load_splits(cell.dataset, root=root, seed=cell.seed)


def draw(cell: Cell, splits: Splits[Samples]) -> Drawn:
    """Draw training rows, or columns of x, by the cell's seed."""
    pool = splits.train.rows().numpy() if cell.kind == "sample" else np.arange(splits.train.x.shape[1])
    wanted = cell.count if cell.count is not None else int((cell.ratio or 0) * len(pool) / 100)
    if not 1 <= wanted < len(pool):
        raise InputError(f"the request must take some and leave some (got {wanted} of {len(pool):,}); see --count")
    chosen = np.sort(np.random.default_rng(cell.seed).permutation(pool)[:wanted])
    return Drawn(splits, ForgetRequest.of(cell.kind, torch.from_numpy(chosen)))


def blank(cell: Cell, splits: Splits[Samples], root: Path | None) -> nn.Module:
    """Build a never-trained linear model."""
    return Logistic(splits.train.x.shape[1])


def shape(cell: Cell) -> Any:
    """The weights of the task's penalties."""
    task = catalog.task(cell.task)()
    return {"l1": task.l1, "l2": task.l2}


def more(asked: Asked, result: Unlearned) -> Row:
    """Distance of the weights to gold's as a share of the original's, and the overlap of what is not 0 with gold's."""
    theta, gold, original = (_weights(each) for each in (result.model, asked.gold(), asked.original()))
    found = {("all", "relative_distance"): float((theta - gold).norm() / (original - gold).norm())}
    if asked.task.l1:  # type: ignore[attr-defined]
        both, either = (theta != 0) & (gold != 0), (theta != 0) | (gold != 0)
        found["all", "support_overlap"] = int(both.sum()) / max(int(either.sum()), 1)
    return found


def _weights(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().double().flatten().cpu() for p in model.parameters()])


LINEARS = Domain(
    subject="a linear model",
    tasks={"linear": "sample", "sparse": "sample"},
    kinds=("sample", "feature"),
    pools=("random",),
    models=("logistic",),
    model="logistic",
    methods=("retrain", "finetune", "gradient_ascent", "features_labels", "ij", "prox_ij"),
    ratio=12.0,
    recipes={"linear": Recipe(), "sparse": Recipe()},  # the task fits to the optimum; finetune takes full batches
    load=load,
    draw=draw,
    build=blank,
    shape=shape,
    fields={"finetune": {"epochs": 100, "lr": 1e-2}},
    flops=False,
    more=more,
)
