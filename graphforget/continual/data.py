"""Load the gestures of the TinyOL comparison: letters drawn in the air with an accelerometer in hand."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import numpy as np
import torch

from graphforget.errors import InputError
from graphforget.folders import BadFile, in_place, reading
from graphforget.samples import Samples

FILES: Mapping[str, str] = {"letters_accel.npz": "3b039a1041866db9867a846aa82995b33741aeffbcba61aacf9aa2bb658b9897"}
SOURCE = "https://github.com/AlessandroAvi/Master_Thesis (no licence: ask before you redistribute), packed as NumPy"
LETTERS = "AEIOUBMR"  # vowels first; a label is a place in it
VOWELS = 5
COUNTS = {"A": 530, "E": 530, "I": 530, "O": 530, "U": 530, "B": 760, "M": 858, "R": 758}
STEPS, AXES = 200, 3  # 2 s at 100 Hz, in thousandths of g


def load_letters(root: str | PathLike[str] | None = None) -> Samples:
    """Load all gestures.

    Args:
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.

    Returns:
        x [5026, 600] float32 (200 steps of the x axis, then y, then z), y [5026] places in :data:`LETTERS`, groups
        [5026] the recording session.

    Raises:
        InputError: the file is missing or broken, or its counts are not the published ones.
    """
    path = in_place("Letters (accelerometer)", "letters_accel", FILES, SOURCE, root)[0]
    with reading(path), np.load(path, allow_pickle=False) as packed:
        x, names, logs = packed["X"], packed["y"], packed["source"]
    found = {str(name): int(count) for name, count in zip(*np.unique(names, return_counts=True), strict=True)}
    if found != COUNTS or x.shape != (sum(COUNTS.values()), STEPS * AXES):
        raise BadFile(path, f"expected gestures {COUNTS} of {STEPS * AXES} values (got {found}, {list(x.shape)})")
    labels = torch.tensor([LETTERS.index(name) for name in names.tolist()])
    _, sessions = np.unique(logs, return_inverse=True)
    return Samples(torch.from_numpy(x).float(), labels, torch.from_numpy(sessions).long())


def taken(data: Samples, each: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut gestures into those an encoder is trained on and those that come in a stream.

    Args:
        data: of :func:`load_letters`, or rows of your own with vowels as the labels 0 to 4.
        each: gestures of each vowel for the encoder.
        seed: of the choice and of the stream's order.

    Returns:
        ([5 * each] rows, [n] the other rows in random order).

    Raises:
        InputError: a vowel has fewer gestures.

    Example:
        >>> rows = Samples(torch.zeros(20, 3), torch.arange(20) % 6)
        >>> [len(part) for part in taken(rows, 2)]
        [10, 10]
    """
    order = data.rows()[torch.from_numpy(np.random.default_rng(seed).permutation(data.size))]
    first = []
    for label in range(VOWELS):
        own = order[data.y[order] == label]
        if len(own) < each:
            raise InputError(
                f"{each} gestures of each vowel are needed (got {len(own)} of label {label}); ask for fewer"
            )
        first.append(own[:each])
    chosen = torch.cat(first)
    return chosen, order[~torch.isin(order, chosen)]
