"""Data-OOB: how often the models of a bagging ensemble that did not see a row are right about it.

v_i = the mean, over the bags without i, of 1[the bag's model says y_i]. One ensemble values all rows. Standard, given
from general knowledge; trees are our default.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from graphforget.errors import InputError
from graphforget.valuation.utility import Values, rows


def data_oob(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    bags: int = 200,
    model: Callable[[int], Any] | None = None,
    seed: int = 0,
) -> Values:
    """Value rows by out-of-bag correctness, between 0 and 1.

    Args:
        x: [n, F].
        y: [n] labels.
        bags: bootstrap samples.
        model: seed -> an estimator with ``fit`` and ``predict``; None is a decision tree.
        seed: of bags and models.

    Raises:
        InputError: a row is in every bag.

    Example:
        >>> x = np.repeat([[0.0], [1.0]], 10, axis=0)
        >>> data_oob(x, [0] * 10 + [1] * 9 + [0], bags=50).values.argmin().item()
        19
    """
    train, labels = rows(x, y, "x")
    make = model or _tree
    start, rng = time.perf_counter(), np.random.default_rng(seed)
    right, out = np.zeros(len(train)), np.zeros(len(train))
    for bag in range(bags):
        drawn = rng.integers(len(train), size=len(train))
        left = np.ones(len(train), dtype=bool)
        left[drawn] = False
        if left.any():
            said = make(seed + bag).fit(train[drawn], labels[drawn]).predict(train[left])
            right[left] += said == labels[left]
            out[left] += 1
    if not out.all():
        raise InputError(f"row {int(np.argmin(out))} is in every one of the {bags} bags; draw more bags")
    return Values(right / out, "data_oob", bags, time.perf_counter() - start)


def _tree(seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=seed)
