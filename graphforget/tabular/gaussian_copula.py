"""Gaussian copula: columns by their own distribution, tied together by the correlation of their normal scores.

A category is a stretch of (0, 1) as long as it is frequent, and a row a random point in it. Standard; a baseline.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from graphforget.tabular.generator import Sampler, check, sampler
from graphforget.tabular.table import FloatArray, Table


@dataclass(frozen=True)
class GaussianCopula:
    """Fit marginals and one correlation matrix.

    Example:
        >>> from graphforget.tabular.data import load_table
        >>> made = GaussianCopula().fit(load_table("iris")).sample(50)
        >>> made.size, sorted(set(made.column("target").tolist()))
        (50, [0.0, 1.0, 2.0])
    """

    def fit(self, table: Table, *, seed: int = 0) -> Sampler:
        """Learn from a table; ``seed`` places the rows of a category in its stretch."""
        check(table)
        rng, n = np.random.default_rng(seed), table.size
        nominal = table.is_categorical
        marginals: list[tuple[FloatArray, FloatArray]] = []
        scores = np.empty_like(table.values)
        for j, column in enumerate(table.values.T):
            if nominal[j]:
                levels, code, count = np.unique(column, return_inverse=True, return_counts=True)
                upper = np.cumsum(count) / n
                u = (upper - count / n)[code] + rng.random(n) * (count / n)[code]
                marginals.append((levels, upper))
            else:
                order = np.argsort(np.argsort(column + rng.random(n) * 1e-12 * np.ptp(column)))
                u = (order + 0.5) / n
                marginals.append((np.sort(column), (np.arange(n) + 0.5) / n))
            scores[:, j] = ndtri(u.clip(0.5 / n, 1 - 0.5 / n))
        correlation = np.corrcoef(scores.T).reshape(len(table.names), -1)
        root = np.linalg.cholesky(correlation + 1e-9 * np.eye(len(correlation)))

        def draw(count: int, seed: int) -> FloatArray:
            normal = np.random.default_rng(seed).standard_normal((count, len(root))) @ root.T
            u = ndtr(normal)
            found = np.empty_like(u)
            for j, (values, upper) in enumerate(marginals):
                if nominal[j]:
                    found[:, j] = values[np.searchsorted(upper, u[:, j]).clip(max=len(values) - 1)]
                else:
                    found[:, j] = np.interp(u[:, j], upper, values)
            return found

        return sampler(table, draw)
