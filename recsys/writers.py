"""Write interactions in MMRec's layout and as RecBole's atomic files; :mod:`recsys.readers` describes both.

Everything is checked before anything is written, and a file appears under its name only once it is whole. Numbers are
written with as many digits as bring the same float32 and float64 back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.graph import Graph
from graphforget.splits import Splits
from graphforget.whole import whole
from recsys.cards import Array, Vocabulary
from recsys.readers import PARTS, SUFFIXES
from recsys.readers.mmrec import NO_PART

Files = dict[str, list[str] | Array]

FIELDS = {"image": ("vid", "vis_emb"), "text": ("tid", "txt_emb")}  # RecBole users' names; others: NAME_id, NAME_emb


def write_mmrec(
    splits: Splits[Graph],
    folder: str | PathLike[str],
    name: str,
    *,
    features: Sequence[str] | None = None,
    vocabulary: Vocabulary | None = None,
) -> Path:
    """Write MMRec's layout: ``NAME.inter``, ``MODALITY_feat.npy``, ``u_id_mapping.csv`` and ``i_id_mapping.csv``.

    MMRec counts users and items by the largest ids it reads. Where the last ones have no interaction, a row of the
    x_label 9, which belongs to no part, keeps the numbers.

    Args:
        splits: bipartite, of the same size; ``rating`` and ``time`` are written where every part has them.
        folder: made where it is not there; MMRec expects it to be called ``name``.
        name: of the data set.
        features: modalities to write; None writes all.
        vocabulary: raw ids for the mappings; None writes the row numbers.

    Returns:
        The folder.

    Raises:
        InputError: the splits do not fit together, an unknown modality, or a folder with other files; nothing is
            written.

    Example:
        >>> import tempfile
        >>> from recsys.readers import read_mmrec
        >>> view = Graph(torch.tensor([[0, 1], [1, 0]]), (2, 3), bipartite=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_mmrec(write_mmrec(Splits(view, view, view), folder, "tiny")).size
        (2, 3)
    """
    names = _checked(splits, name, vocabulary)
    files: Files = {}
    for modality in splits.train.features if features is None else features:
        if modality not in splits.train.features:
            raise unknown("modality", modality, splits.train.features)
        files[f"{modality}_feat.npy"] = splits.train.features[modality].cpu().numpy()
    for file, ours, raw in (("u", "userID", names.users), ("i", "itemID", names.items)):
        files[f"{file}_id_mapping.csv"] = [f"{ours}\traw_id", *(f"{row}\t{each}" for row, each in enumerate(raw))]
    titles, attrs = _shared(splits, {"rating": "rating", "time": "timestamp"})
    lines = ["\t".join(["userID", "itemID", *titles, "x_label"])]
    for part, view in enumerate(splits):
        lines += ["\t".join([*cells, str(part)]) for cells in _cells(view, attrs)]
    last = [int(torch.cat([view.edge_index[side] for view in splits]).max()) for side in (0, 1)]
    if (last[0] + 1, last[1] + 1) != splits.train.size:
        ends = [str(count - 1) for count in splits.train.size]
        lines.append("\t".join([*ends, *("0" for _ in titles), str(NO_PART)]))
    files[f"{name}.inter"] = lines
    return _written(Path(folder), files, ("*.inter", "*_feat.npy"))


def write_atomic(
    splits: Splits[Graph], folder: str | PathLike[str], name: str, vocabulary: Vocabulary | None = None
) -> Path:
    """Write RecBole's atomic files: pre-split ``.inter``, ``.user``, ``.item`` and a file for each modality.

    In RecBole set ``benchmark_filename: [train, valid, test]``; a modality is read with ``additional_feat_suffix`` and
    ``preload_weight``.

    Args:
        splits: bipartite, of the same size; ``rating`` and ``time`` are written where every part has them.
        folder: made where it is not there; RecBole expects it to be called ``name``.
        name: of the data set.
        vocabulary: raw ids, titles and genres; None writes the row numbers.

    Returns:
        The folder.

    Raises:
        InputError: the splits do not fit together, a name cannot stand in such a file, or a folder with other files;
            nothing is written.

    Example:
        >>> import tempfile
        >>> from recsys.readers import read_atomic
        >>> view = Graph(torch.tensor([[0, 1], [1, 0]]), (2, 3), bipartite=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_atomic(write_atomic(Splits(view, view, view), folder, "tiny")).item.tolist()
        [1, 0, 1, 0, 1, 0]
    """
    names = _checked(splits, name, vocabulary)
    spaced = [genre for genres in names.genres or () for genre in genres if genre.split() != [genre]]
    if spaced:
        raise InputError(f"a genre must be one word (got {spaced[0]!r}): RecBole cuts a token_seq at blanks; rename it")
    files: Files = {f"{name}.user": ["user_id:token", *names.users]}
    columns: list[Sequence[str]] = [("item_id:token", *names.items)]
    if names.titles is not None:
        columns.append(("movie_title:token_seq", *names.titles))
    if names.genres is not None:
        columns.append(("class:token_seq", *map(" ".join, names.genres)))
    files[f"{name}.item"] = list(map("\t".join, zip(*columns, strict=True)))
    for modality, values in splits.train.features.items():
        token, column = FIELDS.get(modality, (f"{modality}_id", f"{modality}_emb"))
        rows = zip(names.items, values.cpu().numpy(), strict=True)
        lines = [f"{item}\t{' '.join(map(str, row))}" for item, row in rows]
        files[f"{name}.{SUFFIXES.get(modality, f'item{modality}')}"] = [f"{token}:token\t{column}:float_seq", *lines]
    titles, attrs = _shared(splits, {"rating": "rating:float", "time": "timestamp:float"})
    for part, view in zip(PARTS, splits, strict=True):
        cells = _cells(view, attrs)
        lines = ["\t".join([names.users[int(user)], names.items[int(item)], *more]) for user, item, *more in cells]
        files[f"{name}.{part}.inter"] = ["\t".join(["user_id:token", "item_id:token", *titles]), *lines]
    return _written(Path(folder), files, (f"{name}.*inter", f"{name}.item*"))


def _checked(splits: Splits[Graph], name: str, vocabulary: Vocabulary | None) -> Vocabulary:
    """Check what is to be written and return the names of its rows."""
    size = splits.train.size
    if not name or name != Path(name).name or set(name) & set(".*?["):
        raise InputError(f"name must be a plain file name without a dot (got {name!r}); choose another")
    for view in splits:
        if not view.validate().bipartite or view.size != size:
            raise InputError(f"the parts must be bipartite and of one size (got {[each.size for each in splits]})")
    for modality, values in splits.train.features.items():
        if values.dim() != 2:
            raise InputError(f"features[{modality!r}] must have shape [{size[1]}, F] (got {list(values.shape)})")
    users, items = (tuple(map(str, range(count))) for count in size)
    names = vocabulary or Vocabulary(users, items)
    for kind, count, texts in (
        ("users", size[0], names.users),
        ("items", size[1], names.items),
        ("titles", size[1], names.titles),
        ("genres", size[1], None if names.genres is None else tuple(map(" ".join, names.genres))),
    ):
        if texts is None:
            continue
        if len(texts) != count:
            raise InputError(f"the vocabulary must name {count:,} {kind} (got {len(texts):,})")
        if broken := [text for text in texts if "\t" in text or len(text.splitlines()) > 1]:
            raise InputError(f"{kind} must hold no tab and no end of line (got {broken[0]!r}); replace it")
        if kind in ("users", "items") and (len(set(texts)) != count or "" in texts):
            raise InputError(f"raw ids of {kind} must be unique and not empty (got {len(set(texts))} of {count} rows)")
    return names


def _shared(splits: Splits[Graph], attrs: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the columns and the names of the attributes that every part has."""
    kept = [attr for attr in attrs if all(attr in view.edge_attrs for view in splits)]
    return [attrs[attr] for attr in kept], kept


def _cells(view: Graph, attrs: Sequence[str]) -> list[list[str]]:
    """Return user row, item row and the attributes of each interaction, as text."""
    columns = [view.edge_index[0], view.edge_index[1], *(view.edge_attrs[attr] for attr in attrs)]
    return [list(row) for row in zip(*map(_printed, columns), strict=True)]


def _printed(values: Tensor) -> list[str]:
    """Print numbers so that reading gives them back: whole ones without a point."""
    array = values.cpu().numpy()
    if values.is_floating_point() and bool((values == torch.floor(values)).all()):
        array = array.astype(np.int64)
    return [str(value) for value in array]


def _written(folder: Path, files: Files, read: Sequence[str]) -> Path:
    """Write all files, each beside its place, and move it there once it is whole.

    Args:
        folder: made where it is not there.
        files: name -> lines, or the array of a ``.npy``.
        read: patterns of what a reader would take for a part of the same data set: none but ours may be there.
    """
    if stale := sorted({path.name for pattern in read for path in folder.glob(pattern)} - set(files)):
        raise InputError(f"{folder} holds {stale[0]}, which would be read with what is written; take another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with whole(folder / name) as part, part.open("wb") as file:
            if isinstance(content, np.ndarray):
                np.save(file, content, allow_pickle=False)
            else:
                file.write(("\n".join(content) + "\n").encode())
    return folder
