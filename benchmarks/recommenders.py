"""The recommender half of the benchmarks: models that rank items for users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.cell import Cell
from benchmarks.domains import Asked, Domain, Drawn
from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.report import Row
from graphforget.splits import Splits
from graphforget.unlearner import Unlearned
from recsys import data, selectors
from recsys.modality import noise_shift
from recsys.models import MODELS, build, defaults
from recsys.task import RECIPE, Recommendation


def load(cell: Cell, root: Path | None) -> Splits[Graph]:
    """Load the cell's interactions."""
    return data.load_splits(cell.dataset, root=root, seed=cell.seed)


def draw(cell: Cell, splits: Splits[Graph]) -> Drawn:
    """Draw the cell's request, or plant its users.

    Planted users push the least popular item (drawn among equals), each with as many interactions as the median user.

    Raises:
        InputError: planted users of another kind than ``user``, or as in :func:`recsys.selectors.draw`.
    """
    if cell.pool == "poison":
        if cell.kind != "user":
            raise InputError(f"the pool poison plants users (got --kind {cell.kind}); use --kind user")
        users = cell.count if cell.count is not None else max(1, round((cell.ratio or 0) * splits.train.size[0] / 100))
        each = int(torch.bincount(splits.train.edge_index[0]).median())
        target = int(selectors.draw(splits, "item", count=1, pool="tail", seed=cell.seed).parts["item"])
        return Drawn(*selectors.poison(splits, users=users, items_each=each, target=target, seed=cell.seed), target)
    request = selectors.draw(
        splits, cell.kind, ratio=cell.ratio, count=cell.count, seed=cell.seed, pool=cell.pool, modality=cell.modality
    )
    return Drawn(splits, request)


def blank(cell: Cell, splits: Splits[Graph], root: Path | None) -> nn.Module:
    """Build a never-trained recommender."""
    return build(cell.model, splits.train)


def shape(cell: Cell) -> Any:
    """The model's own settings, and how many users a look at the held-out data ranks for."""
    return defaults(cell.model) | ({} if cell.max_users is None else {"max_users": cell.max_users})


def options(cell: Cell, root: Path | None) -> dict[str, Any]:
    """Bound the evaluation where the cell asks for it."""
    return {} if cell.max_users is None else {"max_users": cell.max_users}


def more(asked: Asked, result: Unlearned) -> Row:
    """What a request is about beyond recall.

    Of planted users: how many of the others are shown the item that was pushed, and the share of all items that stand
    below it; of a modality: what noise in its place moves.
    """
    if not isinstance(asked.task, Recommendation):
        return {}
    if any(kind.startswith("modality:") for kind in asked.request.parts):
        return {("all", "noise_shift"): noise_shift(result, asked.split, asked.request)}
    if asked.target is None:
        return {}
    profile = asked.task.profile(result.model, result.context, asked.split, asked.test)
    ranked = profile.parts["test"].ranked
    users = profile.user[torch.from_numpy(ranked.users)]
    below = users @ profile.item.T < users @ profile.item[asked.target, :, None]
    return {
        ("test", "target_hit@20"): float((ranked.items[:, :20] == asked.target).any(1).mean()),
        ("test", "target_percentile"): float(below.double().mean()),
    }


RECOMMENDERS = Domain(
    subject="a recommender",
    tasks={"recommend": "user"},
    kinds=selectors.KINDS,
    pools=(*selectors.POOLS, "poison"),
    models=tuple(MODELS),
    model="lightgcn",
    methods=(
        "retrain",
        "row_reset",
        "finetune",
        "mmrecun",
        "mmrecun_calibrated",
        "rrl",
        "scif",
        "receraser",
        "amnesiac",
        "d2dgn",
    ),
    ratio=5.0,
    recipes={"recommend": RECIPE},
    load=load,
    draw=draw,
    build=blank,
    shape=shape,
    fields={
        "finetune": {"lr": 1e-3, "epochs": 10},
        "d2dgn": {"epochs": 10},
        "d2dgn_calibrated": {"lr": 1e-3, "scope": "full"},
    },
    flags=("modality", "max_users"),
    counts={"preference": 1},
    options=options,
    flops=False,  # counting makes BPR's small steps two to three times slower, and seconds are what is compared
    more=more,
)
