"""What ``benchmarks.valuation`` values: rows with wrong labels among them, and games whose values are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphforget.errors import InputError
from graphforget.tabular.data import load_table
from graphforget.tabular.table import levels_of, one_hot
from graphforget.valuation.games import additive, airport
from graphforget.valuation.knn_shapley import knn_shapley, knn_utility
from graphforget.valuation.utility import FloatArray, Utility, logistic, rows_utility

TABLES = ("iris", "breast_cancer", "digits", "german", "adult")
GAMES = ("airport", "additive", "knn")
FLIPPED = 0.1
SHARES = np.round(np.arange(0, 1, 0.05), 2)
ORDERS = 5  # random orders behind the floor


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to value, and others that say what they are worth.

    Args:
        x: [n, F] standardised.
        y: [n] labels, a tenth of them wrong.
        wrong: [n] bool which.
        x_val: [v, F] what u is measured on.
        y_val: [v].
        x_test: [t, F] what curves are measured on.
        y_test: [t].
        x_new: [n / 4, F] rows that are valued only together with the others.
        y_new: their labels.
        seed: of the draw.
    """

    x: FloatArray
    y: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.bool_]
    x_val: FloatArray
    y_val: npt.NDArray[np.int64]
    x_test: FloatArray
    y_test: npt.NDArray[np.int64]
    x_new: FloatArray
    y_new: npt.NDArray[np.int64]
    seed: int

    @cached_property
    def floor(self) -> dict[str, FloatArray]:
        """The curves of random orders."""
        return random_curves(self, self.seed)

    def utility(self) -> Utility:
        """The mean log-likelihood of a logistic regression on the validation rows."""
        return rows_utility(self.x, self.y, self.x_val, self.y_val, score="log_loss")

    def with_new(self) -> tuple[FloatArray, npt.NDArray[np.int64], Utility]:
        """(x, y, u) of the rows and the new ones together."""
        x, y = np.concatenate([self.x, self.x_new]), np.concatenate([self.y, self.y_new])
        return x, y, rows_utility(x, y, self.x_val, self.y_val, score="log_loss")


@dataclass(frozen=True, eq=False)
class KnownGame:
    """A game, where its players lie, and what they are worth.

    Args:
        utility: makes a new one, that has trained nothing.
        x: [n, F].
        y: [n] labels or None.
        shapley: [n].
    """

    utility: Callable[[], Utility]
    x: FloatArray
    y: npt.NDArray[np.int64] | None
    shapley: FloatArray


def rows_of(dataset: str, count: int, seed: int, root: Path | None) -> Rows:
    """Draw rows of a table: ``count`` to value, as many for validation, up to 1,000 for the test.

    Raises:
        InputError: the table has too few rows.
    """
    table = load_table(dataset, root)
    y = np.unique(table.column(table.target), return_inverse=True)[1].astype(np.int64)
    keep = [name for name in table.names if name != table.target]
    levels = levels_of(table)
    x = one_hot(table, levels, scale=False)[:, : -len(levels[table.target])]  # the target is the last column
    new = count // 4
    if 2 * count + new + 20 > len(x) or not keep:
        raise InputError(f"--rows must leave rows for validation and test (got {count} of {len(x)} in {dataset})")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    train, val, fresh, test = np.split(order, [count, 2 * count, 2 * count + new])
    mean, deviation = x[train].mean(0), x[train].std(0)
    x = (x - mean) / np.where(deviation > 0, deviation, 1)
    wrong, labels = rng.permutation(count) < FLIPPED * count, y[train].copy()
    classes = int(y.max()) + 1
    labels[wrong] = (labels[wrong] + rng.integers(1, classes, int(wrong.sum()))) % classes
    test = test[:1000]
    return Rows(x[train], labels, wrong, x[val], y[val], x[test], y[test], x[fresh], y[fresh], seed)


def game_of(name: str, count: int, seed: int, root: Path | None) -> KnownGame:
    """Build a game of ``count`` players whose Shapley values are known in closed form."""
    rng = np.random.default_rng(seed)
    if name == "knn":
        rows = rows_of("iris", count, seed, root)
        values = knn_shapley(rows.x, rows.y, rows.x_val, rows.y_val).values
        return KnownGame(lambda: knn_utility(rows.x, rows.y, rows.x_val, rows.y_val), rows.x, rows.y, values)
    worth = rng.integers(0, 6, count) + rng.normal(0, 0.2, count)
    if name == "airport":
        worth = np.abs(worth)
    make = airport if name == "airport" else additive
    return KnownGame(lambda: make(worth.tolist()).utility, worth[:, None], None, make(worth.tolist()).shapley)


def curves(rows: Rows, values: FloatArray) -> dict[str, FloatArray]:
    """{"drop_high", "drop_low", "add_high", "add_low": [S] test accuracy} at the shares dropped or added."""
    high = np.argsort(-values, kind="stable")
    return {
        "drop_high": curve(rows, high, drop=True),
        "drop_low": curve(rows, high[::-1], drop=True),
        "add_high": curve(rows, high, drop=False),
        "add_low": curve(rows, high[::-1], drop=False),
    }


def random_curves(rows: Rows, seed: int) -> dict[str, FloatArray]:
    """{"drop", "add"}: the means over random orders."""
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(rows.x)) for _ in range(ORDERS)]
    return {name: np.mean([curve(rows, order, drop=name == "drop") for order in orders], 0) for name in ("drop", "add")}


def shares(name: str) -> FloatArray:
    """[S] what of the rows is dropped, from none on, or added, up to all of them."""
    return SHARES if name.startswith("drop") else np.round(SHARES + SHARES[1], 2)


def curve(rows: Rows, order: npt.NDArray[np.int64], *, drop: bool) -> FloatArray:
    """[S] test accuracy without the first of an order, or with a twentieth and then more of it alone."""
    utility = rows_utility(rows.x, rows.y, rows.x_test, rows.y_test, model=logistic)
    found = []
    for share in shares("drop" if drop else "add"):
        members = np.zeros(len(order), dtype=bool)
        members[order[: round(share * len(order))]] = True
        found.append(utility(~members if drop else members))
    return np.array(found)
