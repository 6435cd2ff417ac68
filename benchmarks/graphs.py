"""The graph half of the benchmarks: GNNs that predict links or classify nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from benchmarks import requests
from benchmarks.cell import Cell
from benchmarks.domains import Domain, Drawn
from graphforget.gnn import data
from graphforget.gnn.models import MODELS, build
from graphforget.graph import Graph
from graphforget.splits import Splits
from graphforget.train import Recipe

WIDTHS = {"link": (128, 64), "node": (64, None)}


def load(cell: Cell, root: Path | None) -> Splits[Graph]:
    """Load the cell's graph, split by its seed."""
    return data.load_splits(cell.dataset, root=root, task=cell.task, seed=cell.seed)


def draw(cell: Cell, splits: Splits[Graph]) -> Drawn:
    """Draw the cell's request."""
    return Drawn(*requests.draw(splits, cell.kind, cell.pool, cell.ratio, cell.count, cell.seed))


def blank(cell: Cell, splits: Splits[Graph], root: Path | None) -> nn.Module:
    """Build a never-trained GNN, as wide as its task asks."""
    graph = splits.train
    hidden, out = WIDTHS[cell.task]
    width = graph.x.shape[1] if "x" in graph.features else None
    classes = int(max(part.y.max() for part in splits if part.y is not None)) + 1 if graph.y is not None else 2
    return build(cell.model, width, hidden or 64, out or classes, graph.num_nodes)


def shape(cell: Cell) -> Any:
    """The widths of the cell's GNN."""
    return WIDTHS[cell.task]


GRAPHS = Domain(
    subject="a GNN",
    tasks={"link": "edge", "node": "node"},
    kinds=("edge", "node", "feature", "label", "node_class", "edge_class"),
    pools=requests.POOLS,
    models=tuple(MODELS),
    model="gcn",
    methods=("retrain", "finetune", "gradient_ascent", "utu", "gnndelete", "gif", "d2dgn", "d2dgn_calibrated"),
    ratio=2.5,
    recipes={"link": Recipe(lr=5e-3), "node": Recipe(lr=1e-2, weight_decay=5e-4, eval_every=1)},
    load=load,
    draw=draw,
    build=blank,
    shape=shape,
)
