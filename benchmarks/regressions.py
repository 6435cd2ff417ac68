"""The regression half of the benchmarks: tables, pairs of sentences, a series, images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks.cell import Cell
from benchmarks.domains import Asked, Domain, Drawn
from graphforget.regression import data, selectors
from graphforget.regression.attack import svc_attack
from graphforget.regression.models import MODELS, build
from graphforget.report import Row
from graphforget.samples import Samples
from graphforget.splits import Splits
from graphforget.train import Recipe
from graphforget.unlearner import Unlearned


def load(cell: Cell, root: Path | None) -> Splits[Samples]:
    """Load the cell's rows, split by its seed where the source has no split."""
    return data.load_splits(cell.dataset, root=root, seed=cell.seed)


def draw(cell: Cell, splits: Splits[Samples]) -> Drawn:
    """Draw the cell's request; of a range the validation rows go as well."""
    return Drawn(*selectors.draw(splits, cell.pool, ratio=cell.ratio, count=cell.count, seed=cell.seed))


def blank(cell: Cell, splits: Splits[Samples], root: Path | None) -> nn.Module:
    """Build a never-trained regressor."""
    return build(cell.model, splits.train)


def more(asked: Asked, result: Unlearned) -> Row:
    """The regression membership attack; where a range went, the error on test rows inside and outside of it."""
    task = asked.task
    losses = {
        part: task.criterion(
            task.teacher(result.model, result.context)(task.elements(result.context, view)),
            task.elements(result.context, view),
        )
        for part, view in (("forget", asked.split.forget), ("retain", asked.split.untouched), ("test", asked.test))
    }
    found = {("forget", "mia_svc"): svc_attack(losses["retain"], losses["test"], losses["forget"])}
    gone, kept = (_levels(part) for part in (asked.split.forget, asked.split.untouched))
    below, above = float(gone.max()) <= float(kept.min()), float(gone.min()) >= float(kept.max())
    if below or above:
        level = _levels(asked.test)
        inside = level < kept.min() if below else level > kept.max()
        for name, rows in (("inside", inside), ("outside", ~inside)):
            if bool(rows.any()):
                found["test", f"error_{name}"] = float(losses["test"][rows.to(losses["test"].device)].mean())
    return found


def _levels(part: Samples) -> Tensor:
    """[n] mean target of each row of a view."""
    return part.y.cpu()[part.rows()].mean(1)


FIELDS: dict[str, dict[str, Any]] = {
    "finetune": {"epochs": 5, "lr": 1e-3},
    "d2dgn": {"epochs": 5},
    "d2dgn_calibrated": {"refresh": 10, "epochs": 10, "forget_weight": 5.0},  # on Kin8nm, seeds 11 and 12
}


def _domain(
    model: str,
    recipe: Recipe,
    *,
    pools: tuple[str, ...] = ("random", "low", "high"),
    error: str = "l1",
    fields: dict[str, dict[str, Any]] = FIELDS,
) -> Domain:
    return Domain(
        subject="a regressor",
        tasks={"regression": "sample"},
        kinds=("sample",),
        pools=pools,
        models=tuple(MODELS),
        model=model,
        methods=(
            "retrain", "finetune", "gradient_ascent", "d2dgn", "d2dgn_calibrated", "blindspot", "gaussian_amnesiac",
        ),
        ratio=30.0,
        recipes={"regression": recipe},
        load=load,
        draw=draw,
        build=blank,
        shape=lambda cell: {"error": error},
        fields=fields,
        options=lambda cell, root: {"error": error},
        flops=False,  # counting makes small steps two to three times slower, and seconds are what is compared
        more=more,
    )  # fmt: skip


PAPER = {"blindspot": {"blind_epochs": 10, "epochs": 5}, "gaussian_amnesiac": {"epochs": 5}}  # of sentence pairs
TABLES = _domain("mlp", Recipe(epochs=200, patience=20, lr=1e-2, batch_size=256, eval_every=1))
PAIRS = _domain(
    "bag",
    Recipe(epochs=100, patience=10, lr=1e-3, batch_size=256, eval_every=1),
    pools=selectors.POOLS,
    error="mse",
    fields=FIELDS | PAPER,
)
SERIES = _domain("mlp", Recipe(epochs=100, patience=10, lr=1e-3, batch_size=256, eval_every=1))
IMAGES = _domain("cnn", Recipe(epochs=100, patience=10, lr=3e-3, batch_size=64, eval_every=1))
LAYOUTS = {"table": TABLES, "bundled": TABLES, "pairs": PAIRS, "series": SERIES, "images": IMAGES}
REGRESSIONS = {name: LAYOUTS[card.layout] for name, card in data.DATASETS.items()}
