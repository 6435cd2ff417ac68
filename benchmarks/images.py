"""The image third of the benchmarks: classifiers of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.cell import Cell
from benchmarks.domains import Asked, Domain, Drawn
from graphforget.methods.d2dgn_calibrated import LABELLED_ROWS
from graphforget.report import Row
from graphforget.samples import Samples
from graphforget.splits import Splits
from graphforget.unlearner import Unlearned
from graphforget.vision import data, selectors
from graphforget.vision.metrics import class_figures
from graphforget.vision.models import MODELS, build
from graphforget.vision.task import RECIPE


def load(cell: Cell, root: Path | None) -> Splits[Samples]:
    """Load the cell's images, split by its seed."""
    return data.load_splits(cell.dataset, root=root, seed=cell.seed)


def draw(cell: Cell, splits: Splits[Samples]) -> Drawn:
    """Draw the cell's request; labels that are wrong on purpose are planted."""
    return Drawn(*selectors.draw(splits, cell.kind, ratio=cell.ratio, count=cell.count, seed=cell.seed))


def blank(cell: Cell, splits: Splits[Samples], root: Path | None) -> nn.Module:
    """Build a never-trained network for the images' shape."""
    card = data.DATASETS[cell.dataset]
    return build(cell.model, card.shape, card.classes)


def shape(cell: Cell) -> Any:
    """Nothing but its name decides a network."""
    return None


def more(asked: Asked, result: Unlearned) -> Row:
    """AUS and the two accuracies behind it."""
    return class_figures(asked.task, asked.split, asked.test, asked.original(), result)


IMAGES = Domain(
    subject="an image classifier",
    tasks={"image": "sample"},
    kinds=selectors.KINDS,
    pools=("random",),
    models=tuple(MODELS),
    model="mlp",
    methods=(
        "retrain",
        "finetune",
        "gradient_ascent",
        "l1_sparse",
        "ssd",
        "jit",
        "pgu",
        "duck",
        "unsir",
        "salun",
        "bad_teaching",
        "scrub",
        "dmm",
        "del",
        "d2dgn",
        "d2dgn_calibrated",
    ),
    ratio=10.0,
    recipes={"image": RECIPE},
    load=load,
    draw=draw,
    build=blank,
    shape=shape,
    fields={
        "finetune": {"lr": 1e-3, "epochs": 5},
        "gradient_ascent": {"keep": 0.99, "epochs": 5},
        "d2dgn": {"epochs": 10},
        "d2dgn_calibrated": LABELLED_ROWS,
    },
    counts={"class": 1, "subclass": 1},
    flops=False,
    more=more,
)
