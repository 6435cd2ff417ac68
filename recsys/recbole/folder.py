"""A folder of data in RecBole's text format whose ids do not shift when rows are gone.

RecBole numbers tokens in their order of appearance, so a file with fewer rows gives other ids, and a checkpoint no
longer fits. Side files cannot mend that: interactions are always numbered first. What does keep the ids is

* for RecBole: the saved data set ``NAME-Dataset.pth``, which ``dataset_save_path`` of the config names and
  ``create_dataset`` takes as long as the config is unchanged (a pickle, written here and never read here);
* for us: ``NAME.ids.json``, the tokens of every column in the order of their ids.

The three parts are files of their own (``benchmark_filename``), so the split stays as it was, too.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from graphforget.errors import InputError
from recsys.readers.atomic import ATOMIC_HEADER
from recsys.readers.tables import read_table

PARTS = ("train", "valid", "test")


def write(folder: Path, name: str, parts: Sequence[Any], config: Any) -> None:
    """Write three split data sets as text, their id maps, and the data set that RecBole's own loader takes.

    Args:
        folder: a new or empty one.
        name: of the data set: the files are NAME.train.inter and so on.
        parts: (train, valid, test) with shared id maps.
        config: the config that goes into the checkpoint; its ``data_path`` is the folder.

    Raises:
        InputError: the folder holds files, or a column that RecBole's text format cannot carry back.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"the folder for the filtered data must be empty (got {str(folder)!r}); name another one")
    if parts[0].config["numerical_features"]:
        raise InputError("discretised numerical_features cannot be written back; leave them out of the config")
    folder.mkdir(parents=True, exist_ok=True)
    first = parts[0]
    for part, data in zip(PARTS, parts, strict=True):
        _write_feat(folder / f"{name}.{part}.inter", first, data.inter_feat, config)
    for feat_name in first.feat_name_list:
        if feat_name != "inter_feat":
            suffix = feat_name.removesuffix("_feat")
            _write_feat(folder / f"{name}.{suffix}", first, getattr(first, feat_name), config)
    tokens = {field: [str(token) for token in names[1:]] for field, names in first.field2id_token.items()}
    (folder / f"{name}.ids.json").write_text(json.dumps(tokens), encoding="utf-8")
    with open(config["dataset_save_path"], "wb") as file:
        pickle.dump(read(config), file)


def read(config: Any) -> Any:
    """Build RecBole's data set from text files; where ``NAME.ids.json`` lies beside them, with those ids.

    Raises:
        InputError: a file is missing, has no header or a broken line, or the id file is not what :func:`write` wrote.
    """
    from recbole.data.dataset import Dataset

    folder, name = Path(config["data_path"]), str(config["dataset"])
    stems = [f"{name}.{part}.inter" for part in config["benchmark_filename"] or ()] or [f"{name}.inter"]
    for stem in stems:
        if not (folder / stem).is_file():
            raise InputError(
                f"there is no {stem} in {str(folder)!r}; pass dataset_folder, the folder with the files of {name!r}"
            )
        ids = (str(config["USER_ID_FIELD"]), str(config["ITEM_ID_FIELD"]))  # RecBole would not name a broken line
        read_table(folder / stem, str(config["field_separator"]), ids, ATOMIC_HEADER)
    listed = folder / f"{name}.ids.json"
    if not listed.is_file():
        return Dataset(config)
    tokens = _tokens(listed)

    class Pinned(Dataset):  # type: ignore[misc]
        def _remap(self, remap_list: list[tuple[Any, str, Any]]) -> None:
            import pandas as pd
            from recbole.utils import FeatureType

            if remap_list and (field := remap_list[0][1]) in tokens:  # numbered first, so their ids are their places
                remap_list = [(pd.DataFrame({field: tokens[field]}), field, FeatureType.TOKEN), *remap_list]
            super()._remap(remap_list)

    dataset = Pinned(config)
    for field, names in tokens.items():
        if field in dataset.field2id_token and len(dataset.field2id_token[field]) != len(names) + 1:
            raise InputError(f"{str(listed)!r} does not list every token of {field!r}; get the folder again")
    dataset.__class__ = Dataset
    return dataset


def columns_of(dataset: Any) -> dict[str, list[str]]:
    """Return {suffix of a file: its columns}, as ``load_col`` of the config wants them."""
    found = {}
    for feat_name in dataset.feat_name_list:
        found[feat_name.removesuffix("_feat")] = list(getattr(dataset, feat_name))
    return found


def _tokens(path: Path) -> dict[str, list[str]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no JSON ({error}); get the folder again") from error
    if not isinstance(found, dict) or not all(
        isinstance(names, list) and all(isinstance(each, str) for each in names) for names in found.values()
    ):
        raise InputError(f"{str(path)!r} must hold a list of tokens for each column; get the folder again")
    return found


def _write_feat(path: Path, dataset: Any, feat: Any, config: Any) -> None:
    separator, inner = config["field_separator"], config["seq_separator"]
    fields = list(feat)
    head = separator.join(f"{field}:{dataset.field2type[field].value}" for field in fields)
    columns = [_column(dataset, field, feat[field].tolist(), inner) for field in fields]
    start = 0 if path.suffix == ".inter" or not _padded(dataset, feat) else 1  # row 0 of side features is padding
    with path.open("w", encoding=config["encoding"], newline="\n") as file:
        file.write(f"{head}\n")
        for row in list(zip(*columns, strict=True))[start:]:
            file.write(f"{separator.join(row)}\n")


def _padded(dataset: Any, feat: Any) -> bool:
    fields = list(feat)
    key = next((field for field in (dataset.uid_field, dataset.iid_field) if field in fields), fields[0])
    return len(feat) > 0 and dataset.field2type[key].value == "token" and int(feat[key][0]) == 0


def _column(dataset: Any, field: str, values: Iterable[Any], inner: str) -> list[str]:
    kind = dataset.field2type[field].value
    if kind == "token":
        return [_token(dataset.field2id_token[field], value) for value in values]
    if kind == "token_seq":
        names = dataset.field2id_token[field]
        return [inner.join(_token(names, each) for each in value if each) for value in values]
    if kind == "float_seq":
        return [inner.join(repr(float(each)) for each in value) for value in values]
    return [repr(float(value)) for value in values]


def _token(names: Sequence[str] | Mapping[int, str], number: int) -> str:
    return str(names[number]) if number else ""
