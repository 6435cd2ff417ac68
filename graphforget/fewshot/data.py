"""Load texts with an intent each: CLINC150 and BANKING77, checked against their published counts."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.folders import BadFile, in_place, reading


@dataclass(frozen=True)
class TextCard:
    """The facts of one data set.

    Args:
        title: as papers write it.
        source: where it comes from.
        licence: as stated there.
        classes: number of intents.
        texts: number of training texts.
        files: name -> SHA-256 of the copy whose counts these are.
        cut: classes for meta-training, validation and test; our default.
    """

    title: str
    source: str
    licence: str
    classes: int
    texts: int
    files: Mapping[str, str]
    cut: tuple[int, int, int]


FOLDER = "fewshot_text"
DATASETS: dict[str, TextCard] = {
    "clinc150": TextCard(
        "CLINC150",
        "https://github.com/clinc/oos-eval (data/data_full.json), Larson et al., 2019",
        "CC BY 3.0",
        150,
        15_000,
        {"clinc150_data_full.json": "36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0"},
        (90, 20, 40),
    ),
    "banking77": TextCard(
        "BANKING77",
        "https://github.com/PolyAI-LDN/task-specific-datasets (banking_data/train.csv), Casanueva et al., 2020",
        "CC BY 4.0",
        77,
        10_003,
        {"banking77_train.csv": "b06e26ac675513959a63135f11b94ea7786ed02da65db93a5650d8838cbc664b"},
        (40, 12, 25),
    ),
}


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts with a class each.

    Args:
        texts: N texts.
        y: [N] int64 classes.
        names: of the classes.

    Raises:
        InputError: lengths that do not match, a class without a name, or an empty text.

    Example:
        >>> Texts(("pay my bill", "book a table"), torch.tensor([0, 1]), ("pay_bill", "restaurant")).of(1)
        ['book a table']
    """

    texts: tuple[str, ...]
    y: Tensor
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.y.shape != (len(self.texts),):
            raise InputError(f"y must have a class for each of {len(self.texts)} texts (got {list(self.y.shape)})")
        if len(self.y) and not 0 <= int(self.y.min()) <= int(self.y.max()) < len(self.names):
            raise InputError(f"classes must lie in [0, {len(self.names)}) (got {int(self.y.max())}); name them all")
        for number, text in enumerate(self.texts):
            if not text.strip():
                raise InputError(f"text {number} is empty; leave it out")

    def of(self, label: int) -> list[str]:
        """The texts of a class."""
        return [self.texts[row] for row in (self.y == label).nonzero().flatten().tolist()]

    def only(self, labels: Tensor) -> Texts:
        """The texts of some classes [n]; classes keep their numbers."""
        rows = torch.isin(self.y, labels).nonzero().flatten()
        return Texts(tuple(self.texts[row] for row in rows.tolist()), self.y[rows], self.names)


def load(name: str = "clinc150", root: str | PathLike[str] | None = None) -> Texts:
    """Load the training texts of a data set.

    Args:
        name: a key of :data:`DATASETS`.
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.

    Raises:
        InputError: an unknown name, a file missing or broken, or other counts than published.
    """
    if name not in DATASETS:
        raise unknown("text data set", name, tuple(DATASETS))
    card = DATASETS[name]
    path = in_place(card.title, FOLDER, card.files, card.source, root)[0]
    with reading(path):
        rows = _json(path) if path.suffix == ".json" else _csv(path)
    names = tuple(sorted({label for _, label in rows}))
    if (len(rows), len(names)) != (card.texts, card.classes):
        raise BadFile(path, f"expected {card.texts} texts of {card.classes} classes (got {len(rows)} of {len(names)})")
    place = {each: number for number, each in enumerate(names)}
    return Texts(tuple(text for text, _ in rows), torch.tensor([place[label] for _, label in rows]), names)


def cut(data: Texts, sizes: tuple[int, int, int], seed: int = 0) -> tuple[Texts, Texts, Texts]:
    """Split classes, not texts: those for meta-training, for validation and for tests.

    Raises:
        InputError: more classes than there are.

    Example:
        >>> data = Texts(("a", "b", "c", "d"), torch.arange(4), ("A", "B", "C", "D"))
        >>> [len(part.texts) for part in cut(data, (2, 1, 1))]
        [2, 1, 1]
    """
    known = data.y.unique()
    if sum(sizes) > len(known) or min(sizes) < 1:
        raise InputError(f"the classes must be cut into three parts of at most {len(known)} in all (got {sizes})")
    order = known[torch.from_numpy(np.random.default_rng(seed).permutation(len(known)))]
    first, second = sizes[0], sizes[0] + sizes[1]
    return data.only(order[:first]), data.only(order[first:second]), data.only(order[second : sum(sizes)])


def _json(path: Path) -> list[tuple[str, str]]:
    return [(text, label) for text, label in json.loads(path.read_text(encoding="utf-8"))["train"]]


def _csv(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"].strip(), row["category"]) for row in csv.DictReader(file)]
