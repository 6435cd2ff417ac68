"""RecBole's atomic files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from graphforget.errors import InputError
from recsys.cards import Array, Interactions, Vocabulary
from recsys.readers.tables import (
    Folder,
    Table,
    bad_line,
    existing,
    read_column,
    read_table,
    some,
)

ATOMIC_HEADER = "user_id:token\titem_id:token[\trating:float][\ttimestamp:float]"
SUFFIXES = {"image": "itemvis", "text": "itemtxt", "audio": "itemaud"}  # other modalities: item + their name
PARTS = ("train", "valid", "test")


def read_atomic(folder: Folder, name: str | None = None) -> Interactions:
    r"""Read RecBole's atomic files; pre-split ``.train.inter``, ``.valid.inter`` and ``.test.inter`` before ``.inter``.

    Rows follow the order of ``NAME.user`` and ``NAME.item`` where these are there; else the numbers, when all tokens
    are whole numbers; else the order in which the tokens first occur. A file ``NAME.itemX`` of one token and one
    float_seq column is a modality, and so is a float_seq column of ``NAME.item``. A title is followed by its
    release_year in brackets, as in MovieLens.

    Args:
        folder: that holds the files.
        name: before the first dot of their names; None where the folder holds one data set only.

    Raises:
        InputError: no such data set, no header, a broken line, or users, items or features that do not fit together.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "tiny.inter").write_text("user_id:token\titem_id:token\nann\tx\nbob\ty\n")
        ...     read_atomic(folder).vocabulary.users
        ('ann', 'bob')
    """
    base = existing(folder)
    stem = _name(base) if name is None else name
    split = [(part, base / f"{stem}.{word}.inter") for part, word in enumerate(PARTS)]
    there = [(part, path) for part, path in split if path.is_file()]
    files = there or [(0, base / f"{stem}.inter")]
    tables = [read_table(path, "\t", ("user_id", "item_id"), ATOMIC_HEADER) for _, path in files]
    users, items = (
        _tokens(base / f"{stem}.{kind}", f"{kind}_id", [table.cells(f"{kind}_id") for table in tables])
        for kind in ("user", "item")
    )
    user = np.concatenate([_rows_of(table, "user_id", users, base / f"{stem}.user") for table in tables])
    item = np.concatenate([_rows_of(table, "item_id", items, base / f"{stem}.item") for table in tables])
    part = np.repeat([part for part, _ in files], [len(table.rows) for table in tables]) if there else None
    time = read_column(tables, "timestamp", np.float64)
    rating = read_column(tables, "rating", np.float32)
    titles, genres, features = None, None, {}
    if (base / f"{stem}.item").is_file():
        about = read_table(base / f"{stem}.item", "\t", ("item_id",), "item_id:token[\tfield:type ...]")
        titles, genres = _titles(about), _genres(about)
        for column in about.header:
            if about.types[column] == "float_seq":
                features[column] = _sequences(about, "item_id", column, items)
    beside = [path for path in base.iterdir() if path.stem == stem and path.suffix[:5] == ".item" != path.suffix]
    for path in sorted(beside):
        modality = {suffix: known for known, suffix in SUFFIXES.items()}.get(path.suffix[1:], path.suffix[5:])
        table = read_table(path, "\t", (), "vid:token\tvis_emb:float_seq")
        if sorted(table.types.values()) != ["float_seq", "token"]:
            raise bad_line(path, 1, "vid:token\tvis_emb:float_seq", "\t".join(map(":".join, table.types.items())))
        token, values = sorted(table.header, key=lambda column: table.types[column], reverse=True)
        features[modality] = _sequences(table, token, values, items)
    return Interactions(
        user, item, Vocabulary(tuple(users), tuple(items), titles, genres), part, time, rating, features
    )


def _name(folder: Path) -> str:
    names = {path.name.removesuffix(".inter") for path in folder.glob("*.inter")}
    stems = {name.rpartition(".")[0] if name.rpartition(".")[2] in PARTS else name for name in names}
    if len(stems) != 1:
        found = ", ".join(sorted(stems)) or "none"
        raise InputError(f"{folder} must hold the .inter files of one data set (got {found}); name it with name=")
    return stems.pop()


def _tokens(path: Path, column: str, seen: Iterable[list[str]]) -> dict[str, int]:
    """Return token -> row: in the order of ``path`` where it is there, else of numbers, else of first occurrence."""
    if path.is_file():
        table = read_table(path, "\t", (column,), f"{column}:token[\tfield:type ...]")
        tokens = table.cells(column)
        place = {token: row for row, token in enumerate(tokens)}
        if len(place) != len(tokens):
            twice = [token for row, token in enumerate(tokens) if place[token] != row]
            raise InputError(f"{path}: {column} must be unique (got {some(twice)} more than once); keep one line each")
        return place
    first = dict.fromkeys(token for cells in seen for token in cells)
    ordered = sorted(first, key=int) if all(token.isdecimal() for token in first) else list(first)
    return {token: row for row, token in enumerate(ordered)}


def _rows_of(table: Table, column: str, rows: Mapping[str, int], known: Path) -> Array:
    """[n] int64 rows of the tokens in a column."""
    tokens = table.cells(column)
    if "" in tokens:
        raise table.bad(tokens.index(""), column, "a token")
    if missing := [token for token in dict.fromkeys(tokens) if token not in rows]:
        line = tokens.index(missing[0]) + 2
        where = f"not in {known.name}; add them there" if known.is_file() else "no interaction names them; remove them"
        raise InputError(f"{table.path}: line {line}: unknown {column} {some(missing)}: {where}")
    return np.array([rows[token] for token in tokens], dtype=np.int64)


def _sequences(table: Table, token: str, column: str, items: Mapping[str, int]) -> Array:
    """[num_items, F] float32 from a column of numbers with blanks between them, in the order of the items."""
    place = _rows_of(table, token, items, table.path.with_suffix(".item"))
    given = set(place.tolist())
    if len(place) != len(items) or len(given) != len(items):
        lost = [name for name, row in items.items() if row not in given]
        without = f"no row for {some(lost)}" if lost else "an item has two rows"
        raise InputError(
            f"{table.path}: must have {len(items):,} rows (got {len(place):,}), one for each item; {without}"
        )
    cells = [cell.split() for cell in table.cells(column)]
    values = np.empty((len(items), len(cells[0]) if cells else 0), dtype=np.float32)
    for row, cell in enumerate(cells):
        try:
            values[place[row]] = np.array(cell, dtype=np.float32).reshape(values.shape[1])
        except ValueError as error:
            raise table.bad(row, column, f"{values.shape[1]} numbers with blanks between them") from error
        if not np.isfinite(values[place[row]]).all():
            raise table.bad(row, column, "finite numbers")
    return values


def _titles(table: Table) -> tuple[str, ...] | None:
    named = [column for column in ("movie_title", "title") if column in table.header]
    if not named:
        return None
    titles = table.cells(named[0])
    if "release_year" not in table.header:
        return tuple(titles)
    years = table.cells("release_year")
    return tuple(f"{title} ({year})" if year.isdecimal() else title for title, year in zip(titles, years, strict=True))


def _genres(table: Table) -> tuple[tuple[str, ...], ...] | None:
    named = [column for column in ("class", "genres", "genre") if column in table.header]
    return tuple(tuple(cell.split()) for cell in table.cells(named[0])) if named else None
