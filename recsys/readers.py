"""Read recommender data in four published layouts: MMRec's, RecBole's atomic files, LightGCN's and CURE4Rec's.

========  =========================================================================================================
MMRec     ``NAME.inter``, tab-separated, header ``userID itemID [rating timestamp] x_label`` (0 train, 1 valid, 2 test);
          ``MODALITY_feat.npy``, row = itemID; ``u_id_mapping.csv`` and ``i_id_mapping.csv`` (raw ids) where there
RecBole   ``NAME.inter`` or ``NAME.{train,valid,test}.inter``, tab-separated, a header of ``field:type``; ``NAME.user``,
          ``NAME.item``; ``NAME.itemvis``, ``NAME.itemtxt``: one token and one float_seq a line
LightGCN  ``train.txt``, ``test.txt``: one user a line, ``user item item ...``
CURE4Rec  ``train.csv``, ``test.csv``, ``ratings.csv``: comma-separated, header ``uid,iid,val[,tag]``; tag is the time
========  =========================================================================================================

A reader checks what a file says of itself, names the file and the line of what is broken, and changes nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from graphforget.errors import InputError
from recsys.cards import Array, Interactions, Vocabulary

__all__ = [
    "Interactions",
    "Vocabulary",
    "read_atomic",
    "read_cure4rec",
    "read_lightgcn",
    "read_mmrec",
    "read_movies",
    "read_users",
]

Folder = str | PathLike[str]

MMREC_HEADER = "userID\titemID[\trating][\ttimestamp]\tx_label"
ATOMIC_HEADER = "user_id:token\titem_id:token[\trating:float][\ttimestamp:float]"
SUFFIXES = {"image": "itemvis", "text": "itemtxt", "audio": "itemaud"}  # other modalities: item + their name
PARTS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class _Table:
    """The cells of one delimited file, and what is needed to blame a line of it."""

    path: Path
    header: list[str]
    rows: list[list[str]]
    types: dict[str, str]  # of atomic files: column -> token, token_seq, float or float_seq

    def cells(self, name: str) -> list[str]:
        at = self.header.index(name)
        return [row[at] for row in self.rows]

    def ids(self, name: str) -> Array:
        """[n] int64 >= 0."""
        values = self._numbers(name, np.int64, "a whole number, 0 or more")
        if len(values) and int(values.min()) < 0:
            raise self.bad(int((values < 0).argmax()), name, "a whole number, 0 or more")
        return values

    def floats(self, name: str, dtype: type[np.floating[Any]]) -> Array:
        """[n] finite numbers."""
        values = self._numbers(name, dtype, "a finite number")
        if not np.isfinite(values).all():
            raise self.bad(int((~np.isfinite(values)).argmax()), name, "a finite number")
        return values

    def bad(self, row: int, name: str, expected: str) -> InputError:
        got = self.rows[row][self.header.index(name)][:80]
        return InputError(f"{self.path}: line {row + 2}: {name} must be {expected} (got {got!r}); mend the line")

    def _numbers(self, name: str, dtype: type[np.generic], expected: str) -> Array:
        cells = self.cells(name)
        try:
            return np.array(cells, dtype=dtype)
        except (ValueError, OverflowError):
            for row, cell in enumerate(cells):
                try:
                    np.array([cell], dtype=dtype)
                except (ValueError, OverflowError) as error:
                    raise self.bad(row, name, expected) from error
            raise


def read_mmrec(folder: Folder) -> Interactions:
    r"""Read MMRec's layout: one ``.inter`` file with ``x_label``, and a ``MODALITY_feat.npy`` for each modality.

    Without id mappings there are as many users and items as the largest id says. ``user_graph_dict.npy`` is not read:
    it is a pickle of what the interactions say.

    Args:
        folder: that holds the ``.inter`` file.

    Raises:
        InputError: no or several ``.inter`` files, no header, a broken line, or features that do not fit the items.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "tiny.inter").write_text("userID\titemID\tx_label\n0\t1\t0\n1\t0\t2\n")
        ...     read_mmrec(folder).part.tolist()
        [0, 2]
    """
    base = _existing(folder)
    found = sorted(base.glob("*.inter"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{base} must hold one .inter file (got {names}); name the folder of one data set")
    table = _table(found[0], "\t", ("userID", "itemID", "x_label"), MMREC_HEADER)
    user, item, part = table.ids("userID"), table.ids("itemID"), table.ids("x_label")
    if (part > 2).any():
        raise table.bad(int((part > 2).argmax()), "x_label", "0 (train), 1 (valid) or 2 (test)")
    users = _raw_ids(base / "u_id_mapping.csv", "userID", "\t", user, table.path)
    items = _raw_ids(base / "i_id_mapping.csv", "itemID", "\t", item, table.path)
    features = {}
    for path in sorted(base.glob("*_feat.npy")):
        remedy = f"one for each item of {found[0].name}; or list all items in i_id_mapping.csv"
        features[path.name.removesuffix("_feat.npy")] = _matrix(path, len(items), remedy)
    time, rating = _column([table], "timestamp", np.float64), _column([table], "rating", np.float32)
    return Interactions(user, item, Vocabulary(users, items), part, time, rating, features)


def read_lightgcn(folder: Folder) -> Interactions:
    r"""Read LightGCN's text files: one user a line, ``user item item ...``, in ``train.txt`` and ``test.txt``.

    Args:
        folder: that holds both; ``user_list.txt`` and ``item_list.txt`` (raw ids) are read where they are there.

    Raises:
        InputError: a file is missing or a line holds something else than whole numbers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "train.txt").write_text("0 0 1\n1 2\n")
        ...     _ = (Path(folder) / "test.txt").write_text("0 2\n1\n")
        ...     read_lightgcn(folder).size
        (2, 3)
    """
    base = _existing(folder)
    users, items, parts = [], [], []
    for part, name in ((0, "train.txt"), (2, "test.txt")):
        path = base / name
        for number, line in enumerate(_lines(path), start=1):
            try:
                ids = np.array(line.split(), dtype=np.int64)
            except (ValueError, OverflowError) as error:
                raise _bad_line(path, number, "user item item ...", line) from error
            if not len(ids) or int(ids.min()) < 0:
                raise _bad_line(path, number, "user item item ...", line)
            users.append(np.full(len(ids) - 1, ids[0]))
            items.append(ids[1:])
            parts.append(np.full(len(ids) - 1, part))
    if not users:
        raise InputError(f"{base}: train.txt and test.txt hold no line; get them again")
    user, item = np.concatenate(users), np.concatenate(items)
    names = [
        _raw_ids(base / f"{kind}_list.txt", "remap_id", " ", ids, base / "train.txt")
        for kind, ids in (("user", user), ("item", item))
    ]
    return Interactions(user, item, Vocabulary(names[0], names[1]), np.concatenate(parts))


def read_cure4rec(folder: Folder) -> Interactions:
    r"""Read CURE4Rec's csv files; ``train.csv`` and ``test.csv`` say who has what, ``ratings.csv`` the value and time.

    Args:
        folder: that holds ``train.csv`` and ``test.csv``; without ``ratings.csv`` time and rating are None.

    Raises:
        InputError: a file is missing, has no header or a broken line, or a pair has no rating.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("train", "test"):
        ...         _ = (Path(folder) / f"{name}.csv").write_text("uid,iid,val\n0,1,1\n")
        ...     read_cure4rec(folder).part.tolist()
        [0, 2]
    """
    base = _existing(folder)
    tables = [
        _table(base / f"{name}.csv", ",", ("uid", "iid", "val"), "uid,iid,val[,tag]") for name in ("train", "test")
    ]
    user = np.concatenate([table.ids("uid") for table in tables])
    item = np.concatenate([table.ids("iid") for table in tables])
    part = np.repeat([0, 2], [len(table.rows) for table in tables])
    width = int(item.max(initial=-1)) + 1
    time = rating = None
    if (base / "ratings.csv").is_file():
        known = _table(base / "ratings.csv", ",", ("uid", "iid", "val", "tag"), "uid,iid,val,tag")
        pairs = zip(known.ids("uid").tolist(), known.ids("iid").tolist(), strict=True)
        where = {pair: row for row, pair in enumerate(pairs)}
        wanted = list(zip(user.tolist(), item.tolist(), strict=True))
        if missing := [pair for pair in wanted if pair not in where]:
            raise InputError(f"{known.path}: has no rating of {_some(missing)} as (user, item); get the file again")
        place = np.array([where[pair] for pair in wanted], dtype=np.int64)
        time, rating = known.floats("tag", np.float64)[place], known.floats("val", np.float32)[place]
        width = max(width, int(known.ids("iid").max(initial=-1)) + 1)
    users, items = (tuple(map(str, range(count))) for count in (int(user.max(initial=-1)) + 1, width))
    return Interactions(user, item, Vocabulary(users, items), part, time, rating)


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
    base = _existing(folder)
    stem = _name(base) if name is None else name
    split = [(part, base / f"{stem}.{word}.inter") for part, word in enumerate(PARTS)]
    there = [(part, path) for part, path in split if path.is_file()]
    files = there or [(0, base / f"{stem}.inter")]
    tables = [_table(path, "\t", ("user_id", "item_id"), ATOMIC_HEADER) for _, path in files]
    users, items = (
        _tokens(base / f"{stem}.{kind}", f"{kind}_id", [table.cells(f"{kind}_id") for table in tables])
        for kind in ("user", "item")
    )
    user = np.concatenate([_rows_of(table, "user_id", users, base / f"{stem}.user") for table in tables])
    item = np.concatenate([_rows_of(table, "item_id", items, base / f"{stem}.item") for table in tables])
    part = np.repeat([part for part, _ in files], [len(table.rows) for table in tables]) if there else None
    time = _column(tables, "timestamp", np.float64)
    rating = _column(tables, "rating", np.float32)
    titles, genres, features = None, None, {}
    if (base / f"{stem}.item").is_file():
        about = _table(base / f"{stem}.item", "\t", ("item_id",), "item_id:token[\tfield:type ...]")
        titles, genres = _titles(about), _genres(about)
        for column in about.header:
            if about.types[column] == "float_seq":
                features[column] = _sequences(about, "item_id", column, items)
    beside = [path for path in base.iterdir() if path.stem == stem and path.suffix[:5] == ".item" != path.suffix]
    for path in sorted(beside):
        modality = {suffix: known for known, suffix in SUFFIXES.items()}.get(path.suffix[1:], path.suffix[5:])
        table = _table(path, "\t", (), "vid:token\tvis_emb:float_seq")
        if sorted(table.types.values()) != ["float_seq", "token"]:
            raise _bad_line(path, 1, "vid:token\tvis_emb:float_seq", "\t".join(map(":".join, table.types.items())))
        token, values = sorted(table.header, key=lambda column: table.types[column], reverse=True)
        features[modality] = _sequences(table, token, values, items)
    return Interactions(
        user, item, Vocabulary(tuple(users), tuple(items), titles, genres), part, time, rating, features
    )


def _existing(folder: Folder) -> Path:
    if not Path(folder).is_dir():
        raise InputError(f"the data folder must exist (got {str(folder)!r}); check the path")
    return Path(folder)


def _lines(path: Path) -> list[str]:
    """Return the lines without their ends; empty lines at the end are no lines."""
    if not path.is_file():
        raise InputError(f"{path} is missing; get it from where its neighbours come from")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text (got {error.reason} at byte {error.start}); convert it") from error
    return text.rstrip("\n").split("\n") if text.strip() else []


def _bad_line(path: Path, number: int, expected: str, line: str) -> InputError:
    shown = line if len(line) <= 80 else line[:77] + "..."
    return InputError(f"{path}: line {number} must be {expected!r} (got {shown!r}); mend the line")


def _table(path: Path, separator: str, required: tuple[str, ...], expected: str) -> _Table:
    """Read a delimited file with a header; every line has as many cells as the header."""
    lines = _lines(path)
    header = lines[0].split(separator) if lines else []
    types: dict[str, str] = {}
    if ":" in expected:  # atomic: each cell of the header is field:type
        types = dict(cell.rpartition(":")[::2] for cell in header)
        known = ("token", "token_seq", "float", "float_seq")
        header = list(types) if len(types) == len(header) and set(types.values()) <= set(known) else []
    if not header or not set(required) <= set(header):
        raise InputError(
            f"{path}: line 1 must be the header {expected!r} (got {(lines or [''])[0][:80]!r}); put the header first"
        )
    rows = [line.split(separator) for line in lines[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            counts = f"{len(header)} cells, as the header has"
            raise InputError(f"{path}: line {number} must have {counts} (got {len(row)}: {lines[number - 1][:80]!r})")
    return _Table(path, header, rows, types)


def _column(tables: Sequence[_Table], name: str, dtype: type[np.floating[Any]]) -> Array | None:
    """[n] numbers of a column over all tables; None where a table does not have it."""
    if any(name not in table.header for table in tables):
        return None
    return np.concatenate([table.floats(name, dtype) for table in tables])


def _raw_ids(path: Path, column: str, separator: str, ids: Array, blame: Path) -> tuple[str, ...]:
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
    table = _table(path, separator, (column,), f"{column}{separator}raw id")
    others = [each for each in table.header if each != column]
    if len(others) != 1:
        raise _bad_line(path, 1, f"{column}{separator}raw id", separator.join(table.header))
    order = table.ids(column)
    if not np.array_equal(np.sort(order), np.arange(len(order))):
        raise InputError(f"{path}: {column} must number the rows 0 to {len(order) - 1} once each; write it again")
    if largest >= len(order):
        unknown = np.unique(ids[ids >= len(order)]).tolist()
        raise InputError(
            f"{blame}: {column} {_some(unknown)} not among the {len(order):,} of {path.name}; add them there"
        )
    raw = table.cells(others[0])
    return tuple(raw[row] for row in np.argsort(order))


def _some(values: Sequence[object]) -> str:
    more = f" and {len(values) - 5:,} more" if len(values) > 5 else ""
    return ", ".join(map(str, values[:5])) + more


def _matrix(path: Path, rows: int, remedy: str) -> Array:
    """[rows, F] finite float32."""
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{path}: cannot be read as a numeric array ({error}); save it again with numpy.save"
        ) from error
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: must be a numeric matrix [items, F] (got {values.dtype} {list(values.shape)})")
    if len(values) != rows:
        raise InputError(f"{path}: must have {rows:,} rows (got {len(values):,}), {remedy}")
    return _finite(path, values.astype(np.float32, copy=False))  # float16 overflows in sums


def _finite(path: Path, values: Array) -> Array:
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1)).tolist()
    if broken:
        raise InputError(f"{path}: rows {_some(broken)} hold NaN or infinity; clean or impute them")
    return values


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
        table = _table(path, "\t", (column,), f"{column}:token[\tfield:type ...]")
        tokens = table.cells(column)
        place = {token: row for row, token in enumerate(tokens)}
        if len(place) != len(tokens):
            twice = [token for row, token in enumerate(tokens) if place[token] != row]
            raise InputError(f"{path}: {column} must be unique (got {_some(twice)} more than once); keep one line each")
        return place
    first = dict.fromkeys(token for cells in seen for token in cells)
    ordered = sorted(first, key=int) if all(token.isdecimal() for token in first) else list(first)
    return {token: row for row, token in enumerate(ordered)}


def _rows_of(table: _Table, column: str, rows: Mapping[str, int], known: Path) -> Array:
    """[n] int64 rows of the tokens in a column."""
    tokens = table.cells(column)
    if missing := [token for token in dict.fromkeys(tokens) if token not in rows]:
        line = tokens.index(missing[0]) + 2
        raise InputError(
            f"{table.path}: line {line}: unknown {column} {_some(missing)}: not in {known.name}; add them there"
        )
    return np.array([rows[token] for token in tokens], dtype=np.int64)


def _sequences(table: _Table, token: str, column: str, items: Mapping[str, int]) -> Array:
    """[num_items, F] float32 from a column of numbers with blanks between them, in the order of the items."""
    place = _rows_of(table, token, items, table.path.with_suffix(".item"))
    given = set(place.tolist())
    if len(place) != len(items) or len(given) != len(items):
        lost = [name for name, row in items.items() if row not in given]
        without = f"no row for {_some(lost)}" if lost else "an item has two rows"
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


def _titles(table: _Table) -> tuple[str, ...] | None:
    named = [column for column in ("movie_title", "title") if column in table.header]
    if not named:
        return None
    titles = table.cells(named[0])
    if "release_year" not in table.header:
        return tuple(titles)
    years = table.cells("release_year")
    return tuple(f"{title} ({year})" if year.isdecimal() else title for title, year in zip(titles, years, strict=True))


def _genres(table: _Table) -> tuple[tuple[str, ...], ...] | None:
    named = [column for column in ("class", "genres", "genre") if column in table.header]
    return tuple(tuple(cell.split()) for cell in table.cells(named[0])) if named else None


def read_movies(path: Path, ids: Sequence[str]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    r"""Read titles and genres from a MovieLens ``movies.csv``.

    Args:
        path: with the header ``movieId,title,genres``, genres with | between them.
        ids: raw ids of the items wanted, in row order.

    Raises:
        InputError: it cannot be read or an item is not in it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "movies.csv"
        ...     _ = path.write_text('movieId,title,genres\n7,"Heat, The (1995)",Crime|Drama\n')
        ...     read_movies(path, ["7"])
        (('Heat, The (1995)',), (('Crime', 'Drama'),))
    """
    rows = list(csv.reader(_lines(path)))
    if not rows or rows[0] != ["movieId", "title", "genres"]:
        raise _bad_line(path, 1, "movieId,title,genres", ",".join(rows[0]) if rows else "")
    known = {row[0]: row for row in rows[1:] if len(row) == 3}
    if missing := [name for name in ids if name not in known]:
        raise InputError(f"{path}: has no line for the items {_some(missing)}; get the file again")
    return tuple(known[name][1] for name in ids), tuple(tuple(known[name][2].split("|")) for name in ids)


def read_users(path: Path, num_users: int) -> Array:
    r"""Read the user column of a CURE4Rec forget set: [n] int64 user rows, one a line of the file.

    Args:
        path: with the header ``uid,iid,val,tag``.
        num_users: number of users of the data set.

    Raises:
        InputError: the file is missing or broken, or names a user that the data set does not have.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "edge_data_5%.csv"
        ...     _ = path.write_text("uid,iid,val,tag\n3,0,5,1\n3,1,4,2\n")
        ...     read_users(path, 4).tolist()
        [3, 3]
    """
    table = _table(path, ",", ("uid",), "uid,iid,val,tag")
    users = table.ids("uid")
    if (users >= num_users).any():
        raise table.bad(int((users >= num_users).argmax()), "uid", f"one of the {num_users:,} users")
    return users
