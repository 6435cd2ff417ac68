"""Which images are forgotten: random ones, classes, sub-classes, or mislabelled ones that are planted first."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest
from graphforget.samples import Samples
from graphforget.splits import Splits

KINDS = ("sample", "class", "subclass", "label_noise")
GROUPS = 4  # sub-classes that k-means finds in each class where the data has none; our default


def draw(
    splits: Splits[Samples],
    kind: str = "sample",
    *,
    ratio: float | None = None,
    count: int | None = None,
    seed: int = 0,
) -> tuple[Splits[Samples], ForgetRequest]:
    """Draw a request.

    Args:
        splits: of a data set.
        kind: ``sample``, ``class``, ``subclass`` (found by k-means where the data has no groups) or ``label_noise``
            (training labels are replaced by other classes, and the rows concerned are to be forgotten).
        ratio: per cent of the training rows, of ``sample`` and ``label_noise``; or
        count: number of rows, classes or sub-classes.
        seed: of the draw.

    Returns:
        The splits, with what was planted or grouped, and the request.

    Raises:
        InputError: an unknown kind, both sizes or none, or more than there is.

    Example:
        >>> from graphforget.vision.data import load_splits
        >>> _, request = draw(load_splits("digits_images"), "class", count=2, seed=1)
        >>> request.kinds, len(request.parts["class"])
        (('class',), 2)
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    rng = np.random.default_rng(seed)
    if kind == "subclass" and splits.train.groups is None:
        splits = with_groups(splits)
    known = _known(splits.train, kind)
    wanted = _wanted(len(known), ratio, count, kind)
    chosen = known[torch.from_numpy(rng.permutation(len(known))[:wanted])]
    if kind != "label_noise":
        return splits, ForgetRequest.of(kind, chosen)
    y = splits.train.y.clone()
    classes = y[y >= 0].unique()
    place = torch.searchsorted(classes, y[chosen])
    y[chosen] = classes[(place + torch.from_numpy(rng.integers(1, len(classes), wanted))) % len(classes)]
    return splits._replace(train=replace(splits.train, y=y)), ForgetRequest.of("sample", chosen)


def with_groups(splits: Splits[Samples], per_class: int = GROUPS) -> Splits[Samples]:
    """Find sub-classes: k-means within each class on its pixels; group ids are class * per_class + cluster."""
    from sklearn.cluster import KMeans

    x, y = splits.train.x, splits.train.y
    groups = torch.full_like(y, -1)
    for label in y[y >= 0].unique().tolist():
        rows = (y == label).nonzero().flatten()
        model = KMeans(per_class, n_init=1, random_state=0)
        found = model.fit_predict(x[rows].flatten(1).cpu().numpy())
        groups[rows] = label * per_class + torch.from_numpy(found).to(groups)
    return Splits(*(replace(part, groups=groups) for part in splits))


def _known(train: Samples, kind: str) -> Tensor:
    """What can be drawn: ids of rows, labels or groups."""
    rows = train.rows()
    values = train.y if kind == "class" else train.groups if kind == "subclass" else None
    found: Tensor = rows if values is None else values[rows].unique()
    return found


def _wanted(total: int, ratio: float | None, count: int | None, kind: str) -> int:
    if (ratio is None) == (count is None):
        raise InputError(f"give either a ratio in per cent or a count (got ratio={ratio}, count={count})")
    if ratio is not None and kind in ("class", "subclass"):
        raise InputError(f"the kind {kind} is drawn by count (got ratio={ratio}); use count=1")
    wanted = int((ratio or 0) * total / 100 + 1e-9) if ratio is not None else int(count or 0)
    if not 1 <= wanted < total:
        raise InputError(f"between 1 and {total - 1} of {total} can be forgotten as {kind} (got {wanted})")
    return wanted
