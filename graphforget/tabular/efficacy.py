"""TabSynDex's third component: are models that learn from the synthetic table as good as those of the real one.

Four estimators each, scored on both tables without a hold-out, as released. Every number is scaled by R's range.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from graphforget.errors import InputError
from graphforget.tabular.table import FloatArray, Table


def efficacy(real: Table, fake: Table, *, compat: bool) -> float:
    """1 - the mean relative difference of eight scores.

    Args:
        real: R.
        fake: F.
        compat: one-hot the target too and predict the last column; else predict the target itself.

    Raises:
        InputError: with ``compat``, tables whose columns do not match once they are encoded.
    """
    low = real.values.min(0)
    span = real.values.max(0) - low
    span[span == 0] = 1.0
    if compat:
        tables = [_released((table.values - low) / span, table) for table in (real, fake)]
        if tables[0].shape[1] != tables[1].shape[1]:
            raise InputError(
                f"one-hot encoded tables must have the same columns, as released (got {tables[0].shape[1]} and"
                f" {tables[1].shape[1]}: a category is missing on one side); compat=False takes such tables"
            )
        pairs = [(table[:, :-1], table[:, -1]) for table in tables]
    else:
        pairs = _corrected(real, fake, low, span)
    scores = []
    for estimator in _estimators(real.target_type):
        fitted = [_fit(estimator, x, y) for x, y in pairs]
        scores += [[_score(model, x, y, real.target_type) for model in fitted] for x, y in pairs]
    found = np.array(scores)
    return 1 - float((np.abs(found[:, 0] - found[:, 1]) / np.abs(found[:, 0] + 1e-6)).clip(0, 1).mean())


def _released(values: FloatArray, table: Table) -> FloatArray:
    """Categories one-hot by their own levels; two levels become 0 and 1 in the order they come, one level 0."""
    parts = []
    for name, column in zip(table.names, values.T, strict=True):
        if name not in table.categorical:
            parts.append(column[:, None])
            continue
        levels, first = np.unique(column, return_index=True)
        if len(levels) <= 2:
            parts.append((column != column[first.min()]).astype(np.float64)[:, None])
        else:
            parts.append((column[:, None] == levels[None]).astype(np.float64))
    return np.concatenate(parts, axis=1)


def _corrected(real: Table, fake: Table, low: FloatArray, span: FloatArray) -> list[tuple[FloatArray, Any]]:
    """[(x, y)] of both tables: the target by its name, the other categories by R's levels and "other"."""
    place = real.names.index(real.target)
    found: list[tuple[FloatArray, Any]] = []
    unseen = {
        int(j): bool((~np.isin(fake.values[:, j], real.values[:, j])).any())
        for j in np.flatnonzero(real.is_categorical)
    }
    for table in (real, fake):
        parts = []
        for j, name in enumerate(real.names):
            column = table.values[:, j]
            if j == place:
                continue
            if name not in real.categorical:
                parts.append(((column - low[j]) / span[j])[:, None])
                continue
            levels, first = np.unique(real.values[:, j], return_index=True)
            if len(levels) <= 2:
                parts.append((column != real.values[first.min(), j]).astype(np.float64)[:, None])
            else:
                parts.append((column[:, None] == levels[None]).astype(np.float64))
            if unseen[j]:
                parts.append(~np.isin(column, levels)[:, None])
        target = table.values[:, place]
        regression = real.target_type == "regr"
        y = (target - low[place]) / span[place] if regression else np.searchsorted(_known(real, fake, place), target)
        found.append((np.concatenate(parts, axis=1, dtype=np.float64), y))
    return found


def _known(real: Table, fake: Table, place: int) -> FloatArray:
    return np.union1d(real.values[:, place], fake.values[:, place])


def _estimators(target_type: str) -> list[Any]:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier
    from sklearn.tree import DecisionTreeClassifier

    if target_type == "regr":
        return [
            RandomForestRegressor(n_estimators=20, max_depth=5, random_state=42),
            Lasso(random_state=42, max_iter=5000),
            Ridge(alpha=1.0, random_state=42),
            ElasticNet(max_iter=5000, random_state=42),
        ]
    return [
        LogisticRegression(max_iter=5000, random_state=42),
        RandomForestClassifier(n_estimators=10, random_state=42),
        DecisionTreeClassifier(random_state=42),
        MLPClassifier([50, 50], solver="adam", activation="relu", learning_rate="adaptive", random_state=42),
    ]


def _fit(estimator: Any, x: FloatArray, y: Any) -> Any:
    """A fitted copy; labels of one kind alone are answered as such."""
    from sklearn.base import clone
    from sklearn.dummy import DummyClassifier

    if y.dtype.kind == "i" and len(np.unique(y)) == 1:
        return DummyClassifier().fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 200 epochs of the network are as released
        return clone(estimator).fit(x, y)


def _score(model: Any, x: FloatArray, y: Any, target_type: str) -> float:
    """RMSE, or the micro-averaged F1, which is the accuracy."""
    said = model.predict(x)
    return float(np.sqrt(((said - y) ** 2).mean())) if target_type == "regr" else float((said == y).mean())
