"""What a generator of tables is: it learns from a table and then draws rows that are like it.

Every generator is a frozen dataclass of settings with ``fit(table, *, seed) -> Sampler``; a sampler is a function of
(rows, seed). What it has learned is all it keeps: a generator that was fitted on the retained rows alone is gold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from graphforget.errors import InputError
from graphforget.tabular.table import FloatArray, Table

Draw = Callable[[int, int], FloatArray]


@dataclass(frozen=True, eq=False)
class Sampler:
    """A fitted generator.

    Args:
        like: an empty shell of the table: names and categories, one row that is of no consequence.
        draw: (rows, seed) -> [rows, d].
        whole: [d] bool, columns that hold whole numbers.
    """

    like: Table
    draw: Draw
    whole: np.typing.NDArray[np.bool_]

    def sample(self, count: int, *, seed: int = 0) -> Table:
        """Draw rows.

        Args:
            count: at least 1.
            seed: of the draw.
        """
        if count < 1:
            raise InputError(f"count must be at least 1 (got {count})")
        values = self.draw(count, seed)
        return self.like.like(np.where(self.whole, np.rint(values), values))


class Generator(Protocol):
    """A generator's settings."""

    def fit(self, table: Table, *, seed: int = 0) -> Sampler:
        """Learn from a table."""


def sampler(table: Table, draw: Draw) -> Sampler:
    """Wrap a draw; the shell holds zeros instead of a row of the table."""
    return Sampler(table.like(np.zeros((1, len(table.names)))), draw, (table.values == np.rint(table.values)).all(0))


def check(table: Table) -> None:
    """Refuse a table that no generator can learn from.

    Raises:
        InputError: fewer than ten rows, or a constant column.
    """
    if table.size < 10:
        raise InputError(f"a generator needs at least 10 rows (got {table.size})")
    if constant := table.constant():
        raise InputError(f"column {constant[0]!r} is constant: nothing can be learned of it; leave it out")
