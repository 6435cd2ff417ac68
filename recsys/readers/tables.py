"""Delimited files and feature matrices, read so that a broken line or row can be named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from graphforget.errors import InputError
from recsys.cards import Array

Folder = str | PathLike[str]
LEAST_ROWS = 1_000  # row numbers that any file may name, however short it is


@dataclass(frozen=True, eq=False)
class Table:
    """The cells of one delimited file, and what is needed to blame a line of it."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    types: dict[str, str]  # of atomic files: column -> token, token_seq, float or float_seq

    def cells(self, name: str) -> list[str]:
        """One column as text."""
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def ids(self, name: str) -> Array:
        """[n] int64 >= 0."""
        values = self._numbers(name, np.int64, "a whole number, 0 or more")
        if len(values) and int(values.min()) < 0:
            raise self.bad(int((values < 0).argmax()), name, "a whole number, 0 or more")
        return values

    def row_ids(self, name: str, *, listed: bool) -> Array:
        """[n] ids that number rows from 0; without a list of them, one far above the others is a slip of the pen."""
        values = self.ids(name)
        if not listed and (wild := gap(values)) is not None:
            raise self.bad(int((values >= wild).argmax()), name, f"a row number, from 0 without gaps, below {wild:,}")
        return values

    def floats(self, name: str, dtype: type[np.floating[Any]]) -> Array:
        """[n] finite numbers."""
        values = self._numbers(name, dtype, "a finite number")
        if not np.isfinite(values).all():
            raise self.bad(int((~np.isfinite(values)).argmax()), name, "a finite number")
        return values

    def bad(self, row: int, name: str, expected: str) -> InputError:
        """An error that names the file, the line and the text of a cell."""
        got = self.rows[row][self.header.index(name)][:80]
        return InputError(f"{self.path}: line {row + 2}: {name} must be {expected} (got {got!r}); mend the line")

    def _numbers(self, name: str, dtype: type[np.generic], expected: str) -> Array:
        cells = self.cells(name)
        if grouped := [row for row, cell in enumerate(cells) if "_" in cell]:  # Python would read 1_0 as ten
            raise self.bad(grouped[0], name, expected)
        try:
            return np.array(cells, dtype=dtype)
        except (ValueError, OverflowError):
            for row, cell in enumerate(cells):
                try:
                    np.array([cell], dtype=dtype)
                except (ValueError, OverflowError) as error:
                    raise self.bad(row, name, expected) from error
            raise


def gap(ids: Array) -> int | None:
    """From where on ids are no row numbers any more: as many rows would be needed as no such file has.

    Example:
        >>> gap(np.array([0, 5, 4_000_000_000])), gap(np.array([0, 5]))
        (1300, None)
    """
    most = LEAST_ROWS + 100 * len(ids)
    return most if int(ids.max(initial=-1)) >= most else None


def existing(folder: Folder) -> Path:
    """The folder as a path; raises where there is none."""
    if not Path(folder).is_dir():
        raise InputError(f"the data folder must exist (got {str(folder)!r}); check the path")
    return Path(folder)


def read_lines(path: Path) -> list[str]:
    """Return the lines without their ends; empty lines at the end are no lines."""
    if not path.is_file():
        raise InputError(f"{path} is missing; get it from where its neighbours come from")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text (got {error.reason} at byte {error.start}); convert it") from error
    return text.rstrip("\n").split("\n") if text.strip() else []


def bad_line(path: Path, number: int, expected: str, line: str) -> InputError:
    """An error that names the file, the line and its text."""
    shown = line if len(line) <= 80 else line[:77] + "..."
    return InputError(f"{path}: line {number} must be {expected!r} (got {shown!r}); mend the line")


def read_table(path: Path, separator: str, required: tuple[str, ...], expected: str) -> Table:
    """Read a delimited file with a header; every line has as many cells as the header."""
    lines = read_lines(path)
    header = lines[0].split(separator) if lines else []
    types: dict[str, str] = {}
    if ":" in expected:  # atomic: each cell of the header is field:type
        types = dict(cell.rpartition(":")[::2] for cell in header)
        known = ("token", "token_seq", "float", "float_seq")
        header = list(types) if len(types) == len(header) and set(types.values()) <= set(known) else []
    if not header or not set(required) <= set(header) or len(set(header)) != len(header):
        raise InputError(
            f"{path}: line 1 must be the header {expected!r} (got {(lines or [''])[0][:80]!r}); put the header first"
        )
    rows = [line.split(separator) for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            counts = f"{len(header)} cells, as the header has"
            raise InputError(f"{path}: line {number} must have {counts} (got {len(row)}: {lines[number - 1][:80]!r})")
    return Table(path, header, rows, types)


def read_column(tables: Sequence[Table], name: str, dtype: type[np.floating[Any]]) -> Array | None:
    """[n] numbers of a column over all tables; None where a table does not have it."""
    if any(name not in table.header for table in tables):
        return None
    return np.concatenate([table.floats(name, dtype) for table in tables])


def raw_ids(path: Path, column: str, separator: str, ids: Array, blame: Path) -> tuple[str, ...]:
    """Return the raw id of each row from a file of two columns; without one, the numbers up to the largest of ``ids``.

    Args:
        path: with a header; ``column`` holds our rows, the other column the raw ids.
        column: as above.
        separator: of the cells.
        ids: the rows that interactions name.
        blame: the file they come from.
    """
    largest = int(ids.max(initial=-1))
    if not path.is_file():
        return tuple(map(str, range(largest + 1)))
    table = read_table(path, separator, (column,), f"{column}{separator}raw id")
    others = [each for each in table.header if each != column]
    if len(others) != 1:
        raise bad_line(path, 1, f"{column}{separator}raw id", separator.join(table.header))
    order = table.ids(column)
    if not np.array_equal(np.sort(order), np.arange(len(order))):
        raise InputError(f"{path}: {column} must number the rows 0 to {len(order) - 1} once each; write it again")
    if largest >= len(order):
        unknown = np.unique(ids[ids >= len(order)]).tolist()
        raise InputError(
            f"{blame}: {column} {some(unknown)} not among the {len(order):,} of {path.name}; add them there"
        )
    raw = table.cells(others[0])
    return tuple(raw[row] for row in np.argsort(order))


def some(values: Sequence[object]) -> str:
    """The first five values, and how many more there are."""
    more = f" and {len(values) - 5:,} more" if len(values) > 5 else ""
    return ", ".join(map(str, values[:5])) + more


def matrix(path: Path, rows: int, remedy: str) -> Array:
    """[rows, F] finite float32."""
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError, BadZipFile) as error:
        raise InputError(
            f"{path}: cannot be read as a numeric array ({error}); save it again with numpy.save"
        ) from error
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path}: must hold one array (got an archive of several); save the one with numpy.save")
    if values.ndim != 2 or values.dtype.kind not in "fiu" or not values.shape[1]:
        raise InputError(f"{path}: must be a numeric matrix [items, F] (got {values.dtype} {list(values.shape)})")
    if len(values) != rows:
        raise InputError(f"{path}: must have {rows:,} rows (got {len(values):,}), {remedy}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is named as infinity
        return finite(path, values.astype(np.float32, copy=False))  # float16 overflows in sums


def finite(path: Path, values: Array) -> Array:
    """The values; raises naming the rows that hold NaN or infinity."""
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist()
    if broken:
        raise InputError(f"{path}: rows {some(broken)} hold NaN or infinity; clean or impute them")
    return values
