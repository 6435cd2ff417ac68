"""Load regression data sets by name, checked against their counts, and split them.

Files are used in place where they are found (see :mod:`graphforget.folders`); ``diabetes`` and ``digits_angle`` need
none. Features of tables and series are standardised with the statistics of the training rows, of which a request may
forget some: two numbers a column, the same in original, gold and unlearned. Targets stay in their own unit.
"""

from __future__ import annotations

import csv
import itertools
import re
import zlib
from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.errors import unknown
from graphforget.folders import BadFile, in_place, reading
from graphforget.regression.cards import DATASETS, Card
from graphforget.samples import Samples, split_rows
from graphforget.splits import Splits

__all__ = ["DATASETS", "Card", "load_splits", "standardise", "tokens", "windows"]

Root = str | PathLike[str] | None

WORDS = 1 << 14  # hash buckets of words; 0 pads; our default
LENGTH = 32  # words of a sentence; 37 of 14,498 sentences are longer and are cut
TURN = 60.0  # degrees that a digit is turned by, at most; our default
PAST, AHEAD, STRIDE = 48, 24, 3  # hours of a window, of its target, and between two windows; our default
MONTH = 30 * 24  # hours; train, validation and test are 12, 4 and 4 months, as is usual for this series


def load_splits(name: str = "diabetes", root: Root = None, *, seed: int = 0) -> Splits[Samples]:
    """Load a data set and split it.

    Tables are split at random, 10 % for validation and 20 % for test; ``stsb`` and ``ett`` have splits of their own.

    Args:
        name: a key of :data:`DATASETS`.
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.
        seed: of the split of a table.

    Returns:
        Views of the same rows: x [N, F] float32 of a table, [N, 2, T] int64 hashed words of pairs, [N, T, F] float32 of
        a series, [N, 1, 8, 8] of images; y [N, D] float32.

    Raises:
        InputError: unknown name, a file missing or broken, or counts other than the card's.

    Example:
        >>> [part.size for part in load_splits("diabetes")]
        [310, 44, 88]
    """
    if name not in DATASETS:
        raise unknown("data set", name, tuple(DATASETS))
    card = DATASETS[name]
    if card.layout == "bundled":
        from sklearn.datasets import load_diabetes

        bundled = load_diabetes(scaled=False)
        return standardise(split_rows(_samples(bundled.data, bundled.target[:, None]), seed=seed))
    if card.layout == "images":
        return split_rows(_turned(), seed=seed)
    paths = in_place(card.title, card.folder, card.files, card.source, root)
    if card.layout == "pairs":
        return _pairs(card, paths)
    if card.layout == "series":
        return _series(card, paths[0])
    table = _numbers(paths[0], None, 0)
    _check(paths[0], table.shape, (card.rows, card.inputs + 1))
    return standardise(split_rows(_samples(table[:, :-1], table[:, -1:]), seed=seed))


def standardise(splits: Splits[Samples]) -> Splits[Samples]:
    """Give every input column mean 0 and deviation 1 over the training rows; constant columns become 0.

    Example:
        >>> data = Samples(torch.tensor([[1.0], [3.0], [9.0]]), torch.zeros(3, 1))
        >>> parts = Splits(*(data.view(torch.tensor(rows)) for rows in ([True, True, False], [False] * 3, [False] * 3)))
        >>> standardise(parts).train.x.flatten().tolist()
        [-1.0, 1.0, 7.0]
    """
    train = splits.train
    seen = train.x[train.rows()].double().flatten(0, -2)
    mean, deviation = seen.mean(0), seen.std(0, correction=0)
    x = (train.x.double() - mean) / torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    x = (x * (deviation > 0)).float()
    return Splits(*(replace(part, x=x) for part in splits))


def tokens(text: str, length: int = LENGTH) -> list[int]:
    """[length] hashed words of a sentence, in lower case, padded with 0: no vocabulary that a sentence could be in.

    Example:
        >>> tokens("A man, a man.", 6)
        [8497, 15977, 8497, 15977, 0, 0]
    """
    words = re.findall(r"\w+", text.lower())[:length]
    found = [zlib.crc32(word.encode()) % (WORDS - 1) + 1 for word in words]
    return found + [0] * (length - len(found))


def windows(values: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Cut [T, F] hours into ([n, PAST, F] inputs, [n, AHEAD] targets of the last column) whose targets lie in a part.

    Args:
        values: the whole series.
        start: first hour of the part.
        stop: the hour after its last.

    Example:
        >>> x, y = windows(torch.arange(100.0)[:, None], 48, 75)
        >>> list(x.shape), list(y.shape), y[1, 0].item()
        ([2, 48, 1], [2, 24], 51.0)
    """
    first = torch.arange(max(start, PAST), stop - AHEAD + 1, STRIDE)
    x = values[first[:, None] + torch.arange(-PAST, 0)]
    return x, values[first[:, None] + torch.arange(AHEAD), -1]


def _turned() -> Samples:
    """Digits [1797, 1, 8, 8], each turned about its middle, and by how many degrees."""
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().images).float()[:, None] / 16
    degrees = torch.from_numpy(np.random.default_rng(0).uniform(-TURN, TURN, len(images))).float()
    angle = degrees.deg2rad()
    rows = [torch.stack(row, 1) for row in ((angle.cos(), -angle.sin()), (angle.sin(), angle.cos()))]
    turn = torch.cat([torch.stack(rows, 1), torch.zeros(len(angle), 2, 1)], dim=2)
    grid = F.affine_grid(turn, list(images.shape), align_corners=False)
    return Samples(F.grid_sample(images, grid, align_corners=False), degrees[:, None])


def _pairs(card: Card, paths: list[Path]) -> Splits[Samples]:
    x, y, sizes = [], [], []
    for path in paths:
        with reading(path), path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
            x += [[tokens(row["sentence1"]), tokens(row["sentence2"])] for row in rows]
            y += [[float(row["score"])] for row in rows]
        sizes.append(len(rows))
    _check(paths[0], (len(y),), (card.rows,))
    return _in_order(Samples(torch.tensor(x), torch.tensor(y)), sizes)


def _series(card: Card, path: Path) -> Splits[Samples]:
    values = torch.from_numpy(_numbers(path, ",", 1, range(1, card.inputs + 1))).float()
    _check(path, tuple(values.shape), (card.rows, card.inputs))
    bounds = (0, 12 * MONTH, 16 * MONTH, 20 * MONTH)
    parts = [windows(values, start, stop) for start, stop in itertools.pairwise(bounds)]
    data = Samples(torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts]))
    return standardise(_in_order(data, [len(y) for _, y in parts]))


def _numbers(
    path: Path, delimiter: str | None, skip: int, columns: range | None = None
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    with reading(path):
        found: np.ndarray[tuple[int, int], np.dtype[np.float64]] = np.loadtxt(
            path, delimiter=delimiter, skiprows=skip, usecols=columns, ndmin=2
        )
    return found


def _check(path: Path, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise BadFile(path, f"must have (rows, columns) = {expected} (got {found})")


def _samples(
    x: np.ndarray[tuple[int, int], np.dtype[np.float64]], y: np.ndarray[tuple[int, int], np.dtype[np.float64]]
) -> Samples:
    return Samples(torch.from_numpy(np.ascontiguousarray(x)).float(), torch.from_numpy(np.ascontiguousarray(y)).float())


def _in_order(data: Samples, sizes: list[int]) -> Splits[Samples]:
    """Views of the first rows, the next and the last."""
    part = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    return Splits(*(data.view(part == number) for number in range(3)))
