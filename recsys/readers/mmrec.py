"""MMRec's layout."""

from __future__ import annotations

import numpy as np

from graphforget.errors import InputError
from recsys.cards import Interactions, Vocabulary
from recsys.readers.tables import (
    Folder,
    existing,
    matrix,
    raw_ids,
    read_column,
    read_table,
)

MMREC_HEADER = "userID\titemID[\trating][\ttimestamp]\tx_label"
NO_PART = 9  # the x_label of a row that only keeps the numbers of users and items


def read_mmrec(folder: Folder) -> Interactions:
    r"""Read MMRec's layout: one ``.inter`` file with ``x_label``, and a ``MODALITY_feat.npy`` for each modality.

    A row of the x_label 9 is of no part: :func:`recsys.writers.write_mmrec` keeps the numbers of users and items by it.
    Without id mappings there are as many users and items as the largest id says. ``user_graph_dict.npy`` is not read:
    it is a pickle of what the interactions say.

    Args:
        folder: that holds the ``.inter`` file.

    Raises:
        InputError: no or several ``.inter`` files, no header, a broken line, or features that do not fit the items.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "tiny.inter").write_text("userID\titemID\tx_label\n0\t1\t0\n1\t0\t2\n")
        ...     read_mmrec(folder).part.tolist()
        [0, 2]
    """
    base = existing(folder)
    found = sorted(base.glob("*.inter"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise InputError(f"{base} must hold one .inter file (got {names}); name the folder of one data set")
    table = read_table(found[0], "\t", ("userID", "itemID", "x_label"), MMREC_HEADER)
    user = table.row_ids("userID", listed=(base / "u_id_mapping.csv").is_file())
    item = table.row_ids("itemID", listed=(base / "i_id_mapping.csv").is_file())
    part = table.ids("x_label")
    wrong = (part > 2) & (part != NO_PART)
    if wrong.any():
        raise table.bad(int(wrong.argmax()), "x_label", "0 (train), 1 (valid) or 2 (test)")
    users = raw_ids(base / "u_id_mapping.csv", "userID", "\t", user, table.path)
    items = raw_ids(base / "i_id_mapping.csv", "itemID", "\t", item, table.path)
    features = {}
    for path in sorted(base.glob("*_feat.npy")):
        remedy = f"one for each item of {found[0].name}; or list all items in i_id_mapping.csv"
        features[path.name.removesuffix("_feat.npy")] = matrix(path, len(items), remedy)
    time, rating = read_column([table], "timestamp", np.float64), read_column([table], "rating", np.float32)
    rows = part != NO_PART
    time, rating = (None if column is None else column[rows] for column in (time, rating))
    return Interactions(user[rows], item[rows], Vocabulary(users, items), part[rows], time, rating, features)
