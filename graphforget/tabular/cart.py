"""CART: column after column, each drawn from the leaf of a tree on the columns before it, as synthpop does.

A leaf holds real values, which are handed out again: near to the real table, and near to its rows. A baseline; the
smallest leaf is our default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from graphforget.errors import InputError
from graphforget.tabular.generator import Sampler, check, sampler
from graphforget.tabular.table import FloatArray, Table, levels_of, one_hot


@dataclass(frozen=True)
class Cart:
    """Fit a tree a column.

    Args:
        smallest: rows of a leaf, at least.

    Example:
        >>> from graphforget.tabular.data import load_table
        >>> Cart().fit(load_table("iris")).sample(20).size
        20
    """

    smallest: int = 5

    def fit(self, table: Table, *, seed: int = 0) -> Sampler:
        """Learn from a table; ``seed`` breaks ties between splits."""
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        check(table)
        if self.smallest < 1:
            raise InputError(f"smallest must be at least 1 (got {self.smallest})")
        levels = levels_of(table)
        steps: list[tuple[Any, dict[int, FloatArray]]] = []
        for j, name in enumerate(table.names[1:], 1):
            kind = DecisionTreeClassifier if name in table.categorical else DecisionTreeRegressor
            tree = kind(min_samples_leaf=self.smallest, random_state=seed)
            leaf = tree.fit(_before(table, j, levels), table.values[:, j]).apply(_before(table, j, levels))
            order = np.argsort(leaf, kind="stable")
            names, start = np.unique(leaf[order], return_index=True)
            held = np.split(table.values[order, j], start[1:])
            steps.append((tree, dict(zip(names.tolist(), held, strict=True))))
        first = table.values[:, 0].copy()

        def draw(count: int, seed: int) -> FloatArray:
            rng = np.random.default_rng(seed)
            found = np.zeros((count, len(table.names)))
            found[:, 0] = rng.choice(first, count)
            for j, (tree, held) in enumerate(steps, 1):
                leaf = tree.apply(_before(shell.like(found), j, levels))
                for name in np.unique(leaf):
                    rows = np.flatnonzero(leaf == name)
                    found[rows, j] = rng.choice(held[int(name)], len(rows))
            return found

        made = sampler(table, draw)
        shell = made.like
        return made


def _before(table: Table, j: int, levels: dict[str, FloatArray]) -> FloatArray:
    """[n, F] the first j columns as numbers."""
    names = table.names[:j]
    part = Table(table.values[:, :j], names, table.categorical & set(names), names[0])
    return one_hot(part, levels, scale=False)
