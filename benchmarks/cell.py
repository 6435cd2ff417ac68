"""One cell of a benchmark: one line of its plan, and the columns that tell its rows from all others."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from graphforget.report import Report
from graphforget.train import Recipe

SCHEDULE = ("epochs", "batch_size", "patience", "eval_every", "lr")  # fields of a recipe that flags may set
OPTIONAL = ("modality", "max_users", "partition", "clients", *SCHEDULE)  # columns only where they were asked for


@dataclass(frozen=True)
class Cell:
    """What is run.

    Args:
        dataset: key of the data set.
        model: key of the model.
        task: catalog key of the task.
        kind: what is forgotten.
        ratio: per cent of the elements; or
        count: number of them.
        pool: where they are drawn.
        seed: of split, request and models.
        modality: which one is forgotten, of the kind ``modality``.
        max_users: recommenders rank for at most so many users of a part.
        partition: how clients come by their data.
        clients: how many there are.
        epochs: of the recipe, where it is not the task's own; so are the rest.
        batch_size: elements a step.
        patience: epochs without a better held-out score.
        eval_every: epochs between two looks at the held-out data.
        lr: learning rate.
    """

    dataset: str
    model: str
    task: str
    kind: str
    ratio: float | None
    count: int | None
    pool: str
    seed: int
    modality: str | None = None
    max_users: int | None = None
    partition: str | None = None
    clients: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    patience: int | None = None
    eval_every: int | None = None
    lr: float | None = None

    @property
    def keys(self) -> dict[str, Any]:
        """Columns of the JSON lines."""
        return {name: value for name, value in asdict(self).items() if name not in OPTIONAL or value is not None}

    def recipe(self, usual: Recipe) -> Recipe:
        """How the cell's models are trained."""
        given = {name: getattr(self, name) for name in SCHEDULE if getattr(self, name) is not None}
        return replace(usual, **given)


def plan(dataset: str, flags: Any) -> Iterator[Cell]:
    """The cells that the flags ask for."""
    sizes = [(ratio, None) for ratio in flags.ratio or []] + [(None, count) for count in flags.count or []]
    rest = {name: getattr(flags, name) for name in OPTIONAL}
    for model, (ratio, count), pool, seed in itertools.product(flags.model, sizes, flags.pool, flags.seeds):
        yield Cell(dataset, model, flags.task, flags.kind, ratio, count, pool, seed, **rest)


def rows_of(report: Report, keys: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows whose keys are exactly these: a column that neither has counts as equal, one that only one has does not."""
    names = {*keys, *OPTIONAL}
    return [row for row in report.rows if all(row.get(name) == keys.get(name) for name in names)]
