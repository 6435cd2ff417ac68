"""LightGCN's text files and CURE4Rec's tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphforget.errors import InputError
from recsys.cards import Array, Interactions, Vocabulary
from recsys.readers.tables import (
    Folder,
    bad_line,
    existing,
    gap,
    raw_ids,
    read_lines,
    read_table,
    some,
)


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
    base = existing(folder)
    users, items, parts = [], [], []
    for part, name in ((0, "train.txt"), (2, "test.txt")):
        path = base / name
        for number, line in enumerate(read_lines(path), start=1):
            try:
                ids = np.array(line.split(), dtype=np.int64)
            except (ValueError, OverflowError) as error:
                raise bad_line(path, number, "user item item ...", line) from error
            if not len(ids) or int(ids.min()) < 0:
                raise bad_line(path, number, "user item item ...", line)
            users.append(np.full(len(ids) - 1, ids[0]))
            items.append(ids[1:])
            parts.append(np.full(len(ids) - 1, part))
    if not users:
        raise InputError(f"{base}: train.txt and test.txt hold no line; get them again")
    user, item = np.concatenate(users), np.concatenate(items)
    for kind, ids in (("user", user), ("item", item)):
        wild = gap(ids)
        if wild is not None and not (base / f"{kind}_list.txt").is_file():
            raise InputError(
                f"{base}: {kind}s must be numbered from 0 without gaps (got {int(ids.max())} among {len(ids):,} pairs);"
                f" mend train.txt or test.txt, or list all in {kind}_list.txt"
            )
    names = [
        raw_ids(base / f"{kind}_list.txt", "remap_id", " ", ids, base / "train.txt")
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
    base = existing(folder)
    tables = [
        read_table(base / f"{name}.csv", ",", ("uid", "iid", "val"), "uid,iid,val[,tag]") for name in ("train", "test")
    ]
    user = np.concatenate([table.row_ids("uid", listed=False) for table in tables])
    item = np.concatenate([table.row_ids("iid", listed=False) for table in tables])
    part = np.repeat([0, 2], [len(table.rows) for table in tables])
    width = int(item.max(initial=-1)) + 1
    time = rating = None
    if (base / "ratings.csv").is_file():
        known = read_table(base / "ratings.csv", ",", ("uid", "iid", "val", "tag"), "uid,iid,val,tag")
        pairs = zip(known.ids("uid").tolist(), known.ids("iid").tolist(), strict=True)
        where = {pair: row for row, pair in enumerate(pairs)}
        wanted = list(zip(user.tolist(), item.tolist(), strict=True))
        if missing := [pair for pair in wanted if pair not in where]:
            raise InputError(f"{known.path}: has no rating of {some(missing)} as (user, item); get the file again")
        place = np.array([where[pair] for pair in wanted], dtype=np.int64)
        time, rating = known.floats("tag", np.float64)[place], known.floats("val", np.float32)[place]
        width = max(width, int(known.row_ids("iid", listed=False).max(initial=-1)) + 1)
    users, items = (tuple(map(str, range(count))) for count in (int(user.max(initial=-1)) + 1, width))
    return Interactions(user, item, Vocabulary(users, items), part, time, rating)


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
    table = read_table(path, ",", ("uid",), "uid,iid,val,tag")
    users = table.ids("uid")
    if (users >= num_users).any():
        raise table.bad(int((users >= num_users).argmax()), "uid", f"one of the {num_users:,} users")
    return users
