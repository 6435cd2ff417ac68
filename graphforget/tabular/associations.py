r"""How strongly two columns go together: Pearson, correlation ratio, Theil's U.

Pearson r                                                                   two columns of numbers       (1)
eta = sqrt(sum_c n_c (mean_c - mean)^2 / sum (x - mean)^2)                   numbers by categories       (2)
U(x|y) = (H(x) - H(x|y)) / H(x), asymmetric                                 two columns of categories    (3)
"""

from __future__ import annotations

import numpy as np

from graphforget.tabular.table import FloatArray, Table


def associations(table: Table) -> FloatArray:
    """[d, d] associations: (3) at row x, column y; 1 on the diagonal; NaN where one is not defined.

    A constant column has none with any other.

    Example:
        >>> table = Table.of({"a": [1, 2, 3, 4], "b": [2, 4, 6, 8], "c": [0, 0, 1, 1]}, categorical=["c"])
        >>> associations(table).round(3).tolist()
        [[1.0, 1.0, 0.894], [1.0, 1.0, 0.894], [0.894, 0.894, 1.0]]
    """
    nominal, d = table.is_categorical, len(table.names)
    found = np.eye(d)
    codes = {j: np.unique(table.values[:, j], return_inverse=True)[1] for j in range(d) if nominal[j]}
    constant = [bool((column == column[0]).all()) for column in table.values.T]
    for i in range(d):
        for j in range(d):
            if i == j:
                continue
            if constant[i] or constant[j]:
                found[i, j] = np.nan
            elif nominal[i] and nominal[j]:
                found[i, j] = theils_u(codes[i], codes[j])
            elif nominal[i] or nominal[j]:
                number, category = (j, i) if nominal[i] else (i, j)
                found[i, j] = correlation_ratio(table.values[:, number], codes[category])
            else:
                found[i, j] = pearson(table.values[:, i], table.values[:, j])
    return found


def pearson(x: FloatArray, y: FloatArray) -> float:
    """(1) of two columns that are not constant."""
    a, b = x - x.mean(), y - y.mean()
    return float(np.clip((a / np.linalg.norm(a)) @ (b / np.linalg.norm(b)), -1, 1))


def correlation_ratio(x: FloatArray, codes: np.typing.NDArray[np.int64]) -> float:
    """(2) of numbers [n] by categories [n] in 0 .. C - 1."""
    count = np.bincount(codes)
    mean = np.bincount(codes, weights=x) / count
    between = (count * (mean - x.mean()) ** 2).sum()
    return float(np.sqrt(between / ((x - x.mean()) ** 2).sum()))


def theils_u(x: np.typing.NDArray[np.int64], y: np.typing.NDArray[np.int64]) -> float:
    """(3) of categories [n] in 0 .. C - 1, x not constant."""
    table = np.zeros((x.max() + 1, y.max() + 1))
    np.add.at(table, (x, y), 1)
    p = table / table.sum()
    own, given = p.sum(1), p.sum(0)
    entropy = -(own * np.log(own)).sum()
    share = np.divide(p, given, out=np.ones_like(p), where=p > 0)
    return float((entropy + (p * np.log(share)).sum()) / entropy)
