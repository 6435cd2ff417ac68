"""Item features in RecBole: float_seq columns of the items' files, as modalities of a graph.

No model of RecBole reads them. They come as further atomic files, ``NAME.itemvis`` with one token and one float_seq
column, named in the config by ``additional_feat_suffix``, ``alias_of_item_id`` and ``preload_weight``; or as columns of
``NAME.item``. A modality is called as :func:`recsys.readers.read_atomic` calls it: ``itemvis`` is ``image``,
``itemtxt`` is ``text``, ``itemX`` is ``X``, and a column of ``NAME.item`` has its own name.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphforget.errors import InputError
from recsys.readers import PARTS, SUFFIXES

NAMES = {suffix: modality for modality, suffix in SUFFIXES.items()}


def features_of(dataset: Any) -> dict[str, Tensor]:
    """Return {modality: [item_num, F] float32} of a built dataset; the padding row 0 is zero.

    Args:
        dataset: of RecBole.
    """
    found: dict[str, Tensor] = {}
    for token, column in (dataset.config["preload_weight"] or {}).items():
        values = torch.as_tensor(dataset._preloaded_weight.get(token, 0.0))
        if token in dataset.alias["item_id"] and values.dim() == 2:
            found[_name(dataset, column)] = _of_items(values, torch.arange(len(values)), dataset)
    for feat_name in dataset.feat_name_list:
        feat = getattr(dataset, feat_name)
        keys = [field for field in dataset.alias["item_id"] if field in feat]
        if feat_name in ("inter_feat", "user_feat") or not keys:
            continue
        for column in feat:
            if dataset.field2type[column].value == "float_seq" and _name(dataset, column) not in found:
                found[_name(dataset, column)] = _of_items(feat[column], feat[keys[0]], dataset)
    return found


def blank(dataset: Any, modality: str, items: Tensor) -> None:
    """Set the rows of some items to zero in what a data set holds of one modality; its tensors must be its own.

    Args:
        dataset: a copy whose feature columns may be changed.
        modality: a key of :func:`features_of`.
        items: [n] ids.
    """
    for token, column in (dataset.config["preload_weight"] or {}).items():
        if token in dataset._preloaded_weight and _name(dataset, column) == modality:
            dataset._preloaded_weight[token][items.numpy()] = 0
    for feat_name in dataset.feat_name_list:
        feat = getattr(dataset, feat_name)
        keys = [field for field in dataset.alias["item_id"] if field in feat]
        if feat_name in ("inter_feat", "user_feat") or not keys:
            continue
        for column in feat:
            if dataset.field2type[column].value == "float_seq" and _name(dataset, column) == modality:
                feat[column][torch.isin(feat[keys[0]], items)] = 0


def settings_for(folder: str | PathLike[str]) -> dict[str, Any]:
    r"""Return what RecBole's Config needs to read a folder of atomic files with all its modalities.

    Args:
        folder: called like the data set, as :func:`recsys.writers.write_atomic` leaves it.

    Returns:
        ``data_path``, ``load_col``, ``benchmark_filename`` where the files are split, and for the modalities
        ``additional_feat_suffix``, ``alias_of_item_id`` and ``preload_weight``.

    Raises:
        InputError: no interactions in the folder, or a file of a modality that has not one token and one float_seq.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     folder = Path(place) / "tiny"
        ...     folder.mkdir()
        ...     _ = (folder / "tiny.inter").write_text("user_id:token\titem_id:token\n")
        ...     _ = (folder / "tiny.itemvis").write_text("vid:token\tvis_emb:float_seq\n")
        ...     found = settings_for(folder)
        >>> found["load_col"]["itemvis"], found["preload_weight"]
        (['vid', 'vis_emb'], {'vid': 'vis_emb'})
    """
    base = Path(folder).absolute()
    parts = [part for part in PARTS if (base / f"{base.name}.{part}.inter").is_file()]
    first = base / (f"{base.name}.{parts[0]}.inter" if parts else f"{base.name}.inter")
    if not first.is_file():
        raise InputError(f"there is no {first.name} in {str(base)!r}; name the folder of a data set, called like it")
    columns, weights = {"inter": [name for name, _ in _header(first)]}, {}
    for path in sorted(base.glob(f"{base.name}.item?*")):
        header = _header(path)
        if sorted(kind for _, kind in header) != ["float_seq", "token"]:
            raise InputError(f"{path} must have one token and one float_seq column (got {header}); see read_atomic")
        token, values = (name for name, _ in sorted(header, key=lambda each: each[1], reverse=True))
        columns[path.suffix[1:]] = [token, values]
        weights[token] = values
    found: dict[str, Any] = {"data_path": str(base.parent), "load_col": columns}
    if parts:
        found["benchmark_filename"] = parts
    if weights:
        suffixes = [suffix for suffix in columns if suffix != "inter"]
        found |= {"additional_feat_suffix": suffixes, "alias_of_item_id": [*weights], "preload_weight": weights}
    return found


def _header(path: Path) -> list[tuple[str, str]]:
    with path.open(encoding="utf-8") as file:
        cells = [cell.partition(":") for cell in file.readline().rstrip("\n").split("\t")]
    if not all(name and kind for name, _, kind in cells):
        raise InputError(f"{path}: line 1: expected a header of field:type, tab-separated; add it")
    return [(name, kind) for name, _, kind in cells]


def _name(dataset: Any, column: str) -> str:
    source = dataset.field2source[column]  # the suffix of a further file, or RecBole's own word for NAME.item
    suffix = source if isinstance(source, str) else str(source.value)
    return NAMES.get(suffix, suffix.removeprefix("item") if suffix.startswith("item") and suffix != "item" else column)


def _of_items(values: Tensor, ids: Tensor, dataset: Any) -> Tensor:
    table = torch.zeros(int(dataset.item_num), values.shape[1])
    known = (ids > 0) & (ids < len(table))
    table[ids[known]] = values[known].float()
    return table
