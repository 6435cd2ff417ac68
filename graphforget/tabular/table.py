"""A table of numbers and categories: what generators learn from and scores compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from graphforget.errors import InputError, unknown

FloatArray = npt.NDArray[np.float64]
TARGETS = ("class", "regr")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of numbers; a category is a number that only names.

    Args:
        values: [n, d] float64.
        names: of the d columns.
        categorical: names of those that hold categories.
        target: the column that models predict.
        target_type: ``class`` or ``regr``.
        levels: column -> the texts that its numbers 0, 1, ... stand for.

    Raises:
        InputError: no rows, names that repeat or are unknown, or a value that is missing.

    Example:
        >>> table = Table.of({"age": [30, 41, 35], "sex": ["f", "m", "f"]}, categorical=["sex"], target="sex")
        >>> table.values.tolist(), table.levels["sex"]
        ([[30.0, 0.0], [41.0, 1.0], [35.0, 0.0]], ('f', 'm'))
    """

    values: FloatArray
    names: tuple[str, ...]
    categorical: frozenset[str]
    target: str
    target_type: str = "class"
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.values.shape
        if self.values.ndim != 2 or not self.values.size or shape[1] != len(self.names):
            raise InputError(f"a table needs rows [n, {len(self.names)}], a column a name (got {list(shape)})")
        if len(set(self.names)) < len(self.names):
            raise InputError(f"the names of columns must be unique (got {sorted(self.names)})")
        for name in (self.target, *self.categorical):
            if name not in self.names:
                raise unknown("column", name, self.names)
        if self.target_type not in TARGETS:
            raise unknown("target type", self.target_type, TARGETS)
        missing = ~np.isfinite(self.values)
        for place, name in enumerate(self.names):
            if missing[:, place].all():
                raise InputError(f"column {name!r} holds no value at all; leave it out")
            if missing[:, place].any():
                count = int(missing[:, place].sum())
                raise InputError(f"column {name!r} holds {count} missing or infinite values; fill or drop such rows")

    @classmethod
    def of(
        cls,
        columns: Mapping[str, Any],
        *,
        categorical: Iterable[str] = (),
        target: str | None = None,
        target_type: str = "class",
    ) -> Table:
        """Build a table from columns by name: a dict of arrays, or a pandas data frame.

        Args:
            columns: name -> [n] numbers or texts; texts are coded in sorted order and are categories.
            categorical: names of the columns of numbers that only name.
            target: what models predict; None is the last column.
            target_type: ``class`` or ``regr``.
        """
        names = [str(name) for name in columns.keys()]  # noqa: SIM118 - of a data frame too
        if not names:
            raise InputError("a table needs columns (got none)")
        arrays, levels, named = [], {}, set(categorical)
        for name, column in columns.items():
            array = np.asarray(column)
            lost = _missing(array)
            if lost.any():
                count = f"{int(lost.sum())} missing values; fill or drop such rows"
                raise InputError(f"column {name!r} holds {'no value at all; leave it out' if lost.all() else count}")
            if array.dtype.kind in "OUS" and not _numeric(array):
                found, codes = np.unique(array.astype(str), return_inverse=True)
                levels[str(name)] = tuple(found.tolist())
                named.add(str(name))
                array = codes
            arrays.append(np.asarray(array, dtype=np.float64))
        if len({len(array) for array in arrays}) > 1:
            raise InputError(f"columns must be of one length (got {sorted({len(array) for array in arrays})})")
        values = np.stack(arrays, axis=1)
        return cls(values, tuple(names), frozenset(named), target or names[-1], target_type, levels)

    @property
    def size(self) -> int:
        """N."""
        return len(self.values)

    @property
    def is_categorical(self) -> npt.NDArray[np.bool_]:
        """[d] which columns hold categories."""
        return np.array([name in self.categorical for name in self.names])

    def column(self, name: str) -> FloatArray:
        """[n] the values of a column."""
        if name not in self.names:
            raise unknown("column", name, self.names)
        return self.values[:, self.names.index(name)]

    def rows(self, which: npt.NDArray[Any]) -> Table:
        """Some of the rows: [n] bool, or ids."""
        return self.like(self.values[which])

    def like(self, values: FloatArray) -> Table:
        """Other rows [m, d] with the same columns."""
        return Table(values, self.names, self.categorical, self.target, self.target_type, self.levels)

    def joined(self, other: Table) -> Table:
        """The rows of both.

        Raises:
            InputError: other columns.
        """
        same_columns(self, other)
        return self.like(np.concatenate([self.values, other.values]))

    def constant(self) -> list[str]:
        """Names of the columns that hold one value alone."""
        return [name for name, column in zip(self.names, self.values.T, strict=True) if (column == column[0]).all()]

    def halves(self, seed: int) -> tuple[Table, Table]:
        """Two halves of the rows at random, of equal size; an odd row is left out."""
        order = np.random.default_rng(seed).permutation(self.size)
        half = self.size // 2
        return self.rows(order[:half]), self.rows(order[half : 2 * half])


def same_columns(real: Table, other: Table) -> None:
    """Check that two tables can be compared.

    Raises:
        InputError: other names, categories or target.
    """
    for what in ("names", "categorical", "target", "target_type"):
        own, their = getattr(real, what), getattr(other, what)
        if own != their:
            raise InputError(f"two tables must have the same {what} (got {_told(own)} and {_told(their)})")


def one_hot(table: Table, levels: Mapping[str, FloatArray], *, scale: bool = True) -> FloatArray:
    """[n, F] numbers between 0 and 1 by the reference's range, and a column a category of ``levels``.

    Args:
        table: of rows.
        levels: column -> the values that count; of numbers the smallest and the largest.
        scale: numbers by their range; else as they are.
    """
    parts = []
    for name, column in zip(table.names, table.values.T, strict=True):
        known = levels[name]
        if name in table.categorical:
            parts.append((column[:, None] == known[None]).astype(np.float64))
        elif scale:
            parts.append(((column - known[0]) / (known[-1] - known[0] or 1.0))[:, None])
        else:
            parts.append(column[:, None])
    return np.concatenate(parts, axis=1)


def levels_of(table: Table) -> dict[str, FloatArray]:
    """{column: its sorted categories, or of numbers (smallest, largest)}."""
    return {
        name: np.unique(column) if name in table.categorical else np.array([column.min(), column.max()])
        for name, column in zip(table.names, table.values.T, strict=True)
    }


def _missing(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """[n] which values are None, NaN, NaT or pandas' NA, which is neither equal to itself nor not."""
    if array.dtype.kind in "mM":
        return np.asarray(np.isnat(array), dtype=bool)
    if array.dtype.kind != "O":
        return np.zeros(len(array), dtype=bool)  # numbers: the table itself looks
    return np.array([_absent(value) for value in array.tolist()], dtype=bool)


def _absent(value: Any) -> bool:
    try:
        return value is None or not bool(value == value)
    except TypeError:
        return True


def _numeric(array: npt.NDArray[Any]) -> bool:
    return array.dtype.kind == "O" and all(
        isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in array.tolist()
    )


def _told(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else list(value) if isinstance(value, Sequence) else value
