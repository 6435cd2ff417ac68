"""Load the data sets of the linear models by name, checked against their counts, and split them.

Files are used in place where they are found (see :mod:`graphforget.folders`); ``breast_cancer`` needs none. Every row
has length 1: bounded rows are what certificates of linear models assume.
"""

from __future__ import annotations

import csv
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphforget.errors import unknown
from graphforget.folders import BadFile, in_place, reading
from graphforget.idx import read_idx
from graphforget.influence.cards import DATASETS, Card
from graphforget.samples import Samples, split_rows
from graphforget.splits import Splits

__all__ = ["DATASETS", "Card", "load_splits"]

Array = npt.NDArray[np.float64]
NUMBERS = (0, 2, 4, 10, 11, 12)  # columns of Adult that hold numbers; the last is the label
TRAIN, TEST = 1600, 292  # rows of 3 against 8


def load_splits(
    name: str = "breast_cancer", root: str | PathLike[str] | None = None, *, seed: int = 0
) -> Splits[Samples]:
    """Load a data set of two classes and split it.

    Args:
        name: a key of :data:`DATASETS`.
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.
        seed: of the split.

    Returns:
        Views of the same rows: x [N, F] float32, y [N] int64 in {0, 1}.

    Raises:
        InputError: unknown name, a file missing or broken, or counts other than the card's.

    Example:
        >>> parts = load_splits("breast_cancer")
        >>> [part.size for part in parts], parts.train.y.unique().tolist()
        ([398, 57, 114], [0, 1])
    """
    if name not in DATASETS:
        raise unknown("data set", name, tuple(DATASETS))
    card = DATASETS[name]
    if card.layout == "bundled":
        from sklearn.datasets import load_breast_cancer

        bundled = load_breast_cancer()
        x = (bundled.data - bundled.data.mean(0)) / bundled.data.std(0)
        return split_rows(_samples(x, bundled.target), seed=seed)
    paths = in_place(card.title, card.folder, card.files, card.source, root)
    if card.layout == "digits":
        x, y = _digits(card, paths)
        held = len(y) - TRAIN - TEST
        return split_rows(_samples(x, y), val=held / len(y), test=TEST / len(y), seed=seed)
    return _adult(card, paths, seed)


def _digits(card: Card, paths: list[Path]) -> tuple[Array, npt.NDArray[np.int64]]:
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if images.shape != (10_000, 28, 28) or len(labels) != len(images):
        raise BadFile(paths[0], f"must hold 10,000 images of 28 x 28 (got {images.shape}, {len(labels):,} labels)")
    kept = (labels == 3) | (labels == 8)
    x = images[kept] / 255 - 0.5
    if card.inputs == 196:
        x = x.reshape(-1, 14, 2, 14, 2).mean((2, 4))
    if len(x) != card.rows:
        raise BadFile(paths[1], f"must hold {card.rows:,} threes and eights (got {len(x):,})")
    return x.reshape(len(x), -1), (labels[kept] == 8).astype(np.int64)


def _adult(card: Card, paths: list[Path], seed: int) -> Splits[Samples]:
    tables = [_table(path) for path in paths]
    rows, count = tables[0] + tables[1], len(tables[0])
    columns: list[Array] = []
    for column in range(14):
        values = np.array([row[column] for row in rows])
        if column in NUMBERS:
            number = values.astype(np.float64)
            columns.append(((number - number[:count].mean()) / number[:count].std())[:, None])
        else:
            columns.append((values[:, None] == np.unique(values)[None]).astype(np.float64))
    x = np.concatenate(columns, axis=1)
    if x.shape != (card.rows, card.inputs):
        raise BadFile(paths[0], f"must have (rows, columns) = {(card.rows, card.inputs)} (got {x.shape})")
    data = _samples(x, np.array([row[14].startswith(">50K") for row in rows]).astype(np.int64))
    order = torch.from_numpy(np.random.default_rng(seed).permutation(count))
    masks = torch.zeros(3, len(rows), dtype=torch.bool)
    masks[0, order[count // 10 :]] = True
    masks[1, order[: count // 10]] = True
    masks[2, count:] = True
    return Splits(*(data.view(mask) for mask in masks))


def _table(path: Path) -> list[list[str]]:
    with reading(path), path.open(encoding="utf-8", newline="") as file:
        found = [row for row in csv.reader(file, skipinitialspace=True) if row]
    if any(len(row) != 15 for row in found):
        raise BadFile(path, "must have 15 columns in every row")
    return found


def _samples(x: Any, y: Any) -> Samples:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return Samples(
        torch.from_numpy(np.ascontiguousarray(x / np.maximum(length, 1e-12))).float(), torch.from_numpy(y).long()
    )
