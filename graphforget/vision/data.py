"""Load image data sets by name, checked against their published counts, and split them.

Files are used in place where they are found (see :mod:`graphforget.download`); ``digits_images`` needs none. Pixels are
float32 in [0, 1]; nothing is normalised or augmented.
"""

from __future__ import annotations

import io
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from graphforget import download
from graphforget.errors import missing_extra, unknown
from graphforget.folders import BadFile, reading
from graphforget.idx import read_idx
from graphforget.samples import Samples, split_rows
from graphforget.splits import Splits
from graphforget.vision.cards import DATASETS, ImageCard

__all__ = ["DATASETS", "ImageCard", "load", "load_splits"]

Root = str | PathLike[str] | None
Bytes = npt.NDArray[np.uint8]


def load(name: str = "digits_images", root: Root = None) -> Samples:
    """Load all images of a data set, those of a training file first.

    Args:
        name: a key of :data:`DATASETS`.
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.

    Returns:
        Samples: x [N, C, H, W] float32 in [0, 1], y [N].

    Raises:
        InputError: unknown name, files missing and not to be had, a broken file, or counts other than published.
        MissingExtra: ``cifar10`` without Pillow.

    Example:
        >>> data = load("digits_images")
        >>> list(data.x.shape), data.size
        ([1797, 1, 8, 8], 1797)
    """
    if name not in DATASETS:
        raise unknown("image data set", name, tuple(DATASETS))
    card = DATASETS[name]
    if card.layout == "sklearn":
        pixels, labels = _sklearn()
        return _samples(card, pixels, labels, Path(card.layout))
    found = download.obtain(card, root)
    try:
        return _read(card, found)
    except BadFile as bad:
        return _read(card, download.again(card, bad, root))


def load_splits(name: str = "digits_images", root: Root = None, *, seed: int = 0) -> Splits[Samples]:
    """Load a data set and split it.

    Where the source has test images (``cifar10``), half of them are validation by the seed and training keeps all of
    its own; else 70 / 10 / 20 % at random.

    Args:
        name: a key of :data:`DATASETS`.
        root: as in :func:`load`.
        seed: of the split.

    Example:
        >>> [part.size for part in load_splits("digits_images")]
        [1258, 180, 359]
    """
    data = load(name, root)
    images = DATASETS[name].images
    if len(images) == 1:
        return split_rows(data, seed=seed)
    own = torch.arange(len(data.x)) < images[0]
    rest = split_rows(data.view(~own), val=0.5, test=0.5, seed=seed)
    return Splits(data.view(own), rest.val, rest.test)


def _read(card: ImageCard, found: dict[str, Path]) -> Samples:
    paths = list(found.values())
    if card.layout == "jpeg":
        parts = [_jpegs(path, card) for path in paths]
        pixels, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    else:
        pixels, labels = read_idx(paths[0], 3)[:, None], read_idx(paths[1], 1)
    return _samples(card, pixels, labels, paths[0])


def _samples(card: ImageCard, pixels: Bytes, labels: Bytes, path: Path) -> Samples:
    """Check the counts of the card and make the rows."""
    shape, count = (sum(card.images), *card.shape), len(labels)
    if pixels.shape != shape or count != shape[0]:
        raise BadFile(path, f"expected images {list(shape)} with a label each (got {list(pixels.shape)}, {count})")
    if int(labels.max()) >= card.classes:
        raise BadFile(path, f"labels must lie in [0, {card.classes}) (got {int(labels.max())})")
    each = tuple(np.bincount(labels, minlength=card.classes).tolist())
    if each != card.per_class:
        raise BadFile(path, f"expected {list(card.per_class)} images of the classes (got {list(each)})")
    top = 16 if card.layout == "sklearn" else 255
    return Samples(torch.from_numpy(pixels).float() / top, torch.from_numpy(labels).long())


def _jpegs(path: Path, card: ImageCard) -> tuple[Bytes, Bytes]:
    """Decode an archive of JPEG strings: ``jpeg`` bytes one after the other, ``offsets``, ``y``."""
    try:
        from PIL import Image
    except ImportError as error:
        raise missing_extra("PIL", "vision") from error
    with reading(path), np.load(path, allow_pickle=False) as packed:
        data, ends, labels = packed["jpeg"], packed["offsets"], packed["y"]
        images = []
        for start, end in pairwise(ends):
            image = np.asarray(Image.open(io.BytesIO(data[start:end].tobytes())).convert("RGB"))
            images.append(image.transpose(2, 0, 1))
        return np.stack(images), labels


def _sklearn() -> tuple[Bytes, Bytes]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images[:, None].astype(np.uint8), digits.target.astype(np.uint8)
