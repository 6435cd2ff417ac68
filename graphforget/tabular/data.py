"""Load tables by name, checked against their published counts.

Files are used in place where they are found (see :mod:`graphforget.folders`); ``iris``, ``breast_cancer`` and
``digits`` come with scikit-learn. A missing value of Adult ("?") is a category of its own.
"""

from __future__ import annotations

import csv
from os import PathLike
from pathlib import Path

import numpy as np

from graphforget.errors import unknown
from graphforget.folders import BadFile, in_place, reading
from graphforget.tabular.cards import DATASETS, Card
from graphforget.tabular.table import Table

__all__ = ["DATASETS", "Card", "load_table"]


def load_table(name: str = "iris", root: str | PathLike[str] | None = None) -> Table:
    """Load a table with all its rows in the order of the file.

    Args:
        name: a key of :data:`DATASETS`.
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.

    Raises:
        InputError: unknown name, a file missing or broken, or counts other than the card's.

    Example:
        >>> table = load_table("iris")
        >>> table.values.shape, table.target, sorted(table.categorical)
        ((150, 5), 'target', ['target'])
    """
    if name not in DATASETS:
        raise unknown("table", name, tuple(DATASETS))
    card = DATASETS[name]
    if not card.files:
        return _bundled(name)
    paths = in_place(card.title, "tabular", card.files, card.source, root)
    rows = [row for path in paths for row in _read(path, card)]
    if len(rows) != card.rows:
        raise BadFile(paths[0], f"must give {card.rows:,} rows in all (got {len(rows):,})")
    columns = dict(zip(card.columns, zip(*rows, strict=True), strict=True))
    categorical = set(card.categorical)
    with reading(paths[0]):
        typed = {n: v if n in categorical else np.array(v, dtype=np.float64) for n, v in columns.items()}
    if card.numbered:
        typed = {n: np.array(v, dtype=np.float64) for n, v in typed.items()}
    return Table.of(typed, categorical=categorical, target=card.columns[-1], target_type=card.target_type)


def _read(path: Path, card: Card) -> list[list[str]]:
    with reading(path), path.open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.reader(file, skipinitialspace=True) if row]
    found = found[card.header :]
    if any(len(row) != len(card.columns) for row in found):
        raise BadFile(path, f"must have {len(card.columns)} columns in every row")
    return [[cell.strip().rstrip(".") if last else cell for cell, last in _ends(row)] for row in found]


def _ends(row: list[str]) -> list[tuple[str, bool]]:
    """Each cell, and whether it is a text at the end of a row: Adult's test labels end with a full stop."""
    return [(cell, place == len(row) - 1 and not cell[:1].isdigit()) for place, cell in enumerate(row)]


def _bundled(name: str) -> Table:
    from sklearn.datasets import load_breast_cancer, load_digits, load_iris

    found = {"iris": load_iris, "breast_cancer": load_breast_cancer, "digits": load_digits}[name]()
    columns = {str(each): found.data[:, place] for place, each in enumerate(found.feature_names)}
    return Table.of({**columns, "target": found.target}, categorical=["target"], target="target")
