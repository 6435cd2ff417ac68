"""MovieLens' titles and genres."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from graphforget.errors import InputError
from recsys.readers.tables import (
    bad_line,
    read_lines,
    some,
)


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
    rows = list(csv.reader(read_lines(path)))
    if not rows or rows[0] != ["movieId", "title", "genres"]:
        raise bad_line(path, 1, "movieId,title,genres", ",".join(rows[0]) if rows else "")
    known = {row[0]: row for row in rows[1:] if len(row) == 3}
    if missing := [name for name in ids if name not in known]:
        raise InputError(f"{path}: has no line for the items {some(missing)}; get the file again")
    return tuple(known[name][1] for name in ids), tuple(tuple(known[name][2].split("|")) for name in ids)
