"""Checkpoints of RecBole: read without running anything in them, written as RecBole writes them.

A checkpoint is a pickle of RecBole's Config among plain data. It is read through :mod:`graphforget.unpickle`: classes
of RecBole become inert stubs, and of the Config only its plain dictionary is kept. The Config is then put together
without its constructor, which passes every string to ``eval``. Pickled data sets and data loaders that the config
names are not opened; the data is read from its text files and split again by the seed of the config.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.train import seeded
from graphforget.unpickle import Kept, load_torch
from recsys.recbole import folder
from recsys.recbole.bridge import Result, rebuilt
from recsys.recbole.compat import compatible
from recsys.recbole.convert import dataset_of, without_rows
from recsys.recbole.loaders import loaders_of, quiet_trainer
from recsys.recbole.models import general_recommenders, name_of
from recsys.recbole.own import NAMES, model_class

STUBS = ("recbole", "recsys.recbole.own", "yaml")
CONFIG = "recbole.config.configurator.Config"
KEYS = ("config", "epoch", "cur_step", "best_valid_score", "state_dict", "other_parameter", "optimizer")
ALONE = {  # what a config may not say here: files that are pickles, servers, processes
    "dataset_save_path": None,
    "dataloaders_save_path": None,
    "save_dataset": False,
    "save_dataloaders": False,
    "log_wandb": False,
    "worker": 0,
    "single_spec": True,
    "local_rank": 0,
    "transform": None,
}


class Loaded(NamedTuple):
    """A checkpoint with the data it was trained on.

    Args:
        model: with its weights, in eval mode, nothing cached.
        config: RecBole's Config.
        train_data: the data loaders, split as the checkpoint's run split them.
        valid_data: likewise.
        test_data: likewise.
    """

    model: nn.Module
    config: Any
    train_data: Any
    valid_data: Any
    test_data: Any


def load(checkpoint: str | PathLike[str], dataset_folder: str | PathLike[str] | None = None) -> Loaded:
    """Load a checkpoint of RecBole and its data without executing code of the file.

    Args:
        checkpoint: the .pth that RecBole's trainer or :func:`save` wrote.
        dataset_folder: with the NAME.inter of the run; None takes the ``data_path`` in the checkpoint.

    Raises:
        InputError: no checkpoint of RecBole, a model that is not supported, or data of another data set.
    """
    name = fspath(checkpoint)
    if not Path(name).is_file():
        raise InputError(f"there is no checkpoint {name!r}; give the path of a .pth file")
    found = load_torch(name, stubs=STUBS, keep=(CONFIG,))
    values = _values(found, name)
    model_class = _class_of(values, name)
    values.update(ALONE, data_path=str(_folder(values, dataset_folder)), checkpoint_dir=str(Path(name).parent))
    with compatible(), seeded(int(values["seed"])):
        config = config_of(values, model_class)
        data = loaders_of(config, folder.read(config).build())
        state = {key: value for key, value in found["state_dict"].items() if isinstance(value, torch.Tensor)}
        model = _fitting(model_class, config, dataset_of(data[0]), state, name)
    return Loaded(model.eval(), config, *data)


def save(result: Result, path: str | PathLike[str], data_folder: str | PathLike[str] | None = None) -> Path:
    """Write a result of :func:`recsys.recbole.unlearn` as a checkpoint and a folder of data without the forgotten.

    Args:
        result: what to write.
        path: of the new .pth, with RecBole's seven keys, a fresh optimiser and empty caches.
        data_folder: for the data, new or empty; None makes ``NAME`` beside the checkpoint, in a folder named like it.

    Returns:
        The folder of data; the checkpoint's config points to it.

    Raises:
        InputError: the checkpoint is there already, or the folder is not empty.
    """
    target = writable(path)
    name = str(result.config["dataset"])
    data = Path(data_folder).absolute() if data_folder else target.parent / f"{target.stem}-data" / name
    train, valid = dataset_of(result.train_data), dataset_of(result.valid_data)
    test = without_rows(train) if result.test_data is None else dataset_of(result.test_data)
    values = copy.deepcopy(dict(result.config.final_config_dict))
    values.update(ALONE, **_files(train, name, data, target.parent))
    with compatible():
        config = config_of(values, type(result.model))
        folder.write(data, name, (train, valid, test), config)
        target.parent.mkdir(parents=True, exist_ok=True)
        trainer = quiet_trainer(config, result.model)
        trainer._save_checkpoint(-1, verbose=False, saved_model_file=str(target))
    return data


def writable(path: str | PathLike[str]) -> Path:
    """The absolute path of a checkpoint that does not exist yet.

    Raises:
        InputError: there is such a file.

    Example:
        >>> writable("/dev/null")
        Traceback (most recent call last):
        graphforget.errors.InputError: there is a file '/dev/null' already; name a new one
    """
    target = Path(path).absolute()
    if target.exists():
        raise InputError(f"there is a file {str(target)!r} already; name a new one")
    return target


def config_of(values: Mapping[str, Any], model_class: Any) -> Any:
    """Put a Config together from its final values, without the constructor that evaluates strings."""
    from recbole.config import Config, configurator
    from recbole.evaluator import metric_types
    from recbole.utils import argument_list

    config = Config.__new__(Config)
    categories = {"General": "general", "Training": "training", "Evaluation": "evaluation", "Dataset": "dataset"}
    config.parameters = {
        title: list(getattr(argument_list, f"{prefix}_arguments")) for title, prefix in categories.items()
    }
    config.yaml_loader = configurator.yaml.FullLoader
    config.file_config_dict, config.variable_config_dict, config.cmd_config_dict = {}, {}, {}
    config.external_config_dict, config.internal_config_dict = {}, {}
    config.model, config.model_class, config.dataset = model_class.__name__, model_class, values["dataset"]
    device = torch.device("cuda" if values.get("use_gpu") and torch.cuda.is_available() else "cpu")
    own = {
        "MODEL_TYPE": model_class.type,
        "MODEL_INPUT_TYPE": model_class.input_type,
        "eval_type": metric_types[str(values["metrics"][0]).lower()],
        "device": device,
    }
    config.final_config_dict = {**values, **own}
    return config


def _files(train: Any, name: str, data: Path, checkpoints: Path) -> dict[str, Any]:
    """The part of a config that says where the data is and that it is filtered, scaled and split already."""
    columns = folder.columns_of(train)
    return {
        "data_path": str(data),
        "dataset_save_path": str(data / f"{name}-Dataset.pth"),
        "checkpoint_dir": str(checkpoints),
        "benchmark_filename": list(folder.PARTS),
        "load_col": columns,
        "filter_inter_by_user_or_item": False,
        "normalize_all": False,
        **dict.fromkeys(
            (
                *("unload_col", "unused_col", "threshold", "normalize_field", "val_interval", "rm_dup_inter"),
                *("user_inter_num_interval", "item_inter_num_interval", "seq_len"),
            )
        ),
    }


def _values(found: Any, name: str) -> dict[str, Any]:
    """The plain dictionary of the checkpoint's config, checked."""
    if not isinstance(found, dict) or not {"config", "state_dict"} <= found.keys():
        raise InputError(f"{name} is no checkpoint of RecBole (expected the keys {', '.join(KEYS)}); give its .pth")
    config = found["config"]
    state = config.state if isinstance(config, Kept) else None
    values = state.get("final_config_dict") if isinstance(state, dict) else None
    if not isinstance(values, dict) or not isinstance(found["state_dict"], dict):
        raise InputError(f"{name} holds no config of RecBole; only checkpoints of its trainers can be loaded")
    plain = {key: value for key, value in values.items() if isinstance(key, str) and _plain(value)}
    for key in ("model", "dataset", "seed", "data_path", "metrics", "USER_ID_FIELD", "ITEM_ID_FIELD"):
        if not plain.get(key) and plain.get(key) != 0:
            raise InputError(f"{name} has no {key!r} in its config; only checkpoints of RecBole 1.2 can be loaded")
    if Path(str(plain["dataset"])).name != plain["dataset"]:
        raise InputError(f"{name} names its data set by a path (got {plain['dataset']!r}); expected a name")
    return plain


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_plain(key) and _plain(each) for key, each in value.items())
    if isinstance(value, list | tuple | set):
        return all(_plain(each) for each in value)
    return value is None or isinstance(value, str | int | float)


def _class_of(values: Mapping[str, Any], name: str) -> Any:
    classes = general_recommenders()
    model = str(values["model"])
    if model in NAMES:
        return model_class(NAMES[model])
    if model not in classes:
        raise InputError(f"{name} holds a model that is no general recommender of RecBole (got {model!r})")
    name_of(classes[model])
    if values.get("train_stage", "actor_pretrain") != "actor_pretrain":
        raise InputError(f"{name} was fine-tuned from another checkpoint (got train_stage={values['train_stage']!r})")
    return classes[model]


def _folder(values: Mapping[str, Any], given: str | PathLike[str] | None) -> Path:
    name = str(values["dataset"])
    path = Path(str(values["data_path"])) if given is None else Path(given)
    if not path.is_dir() and given is None and name == "ml-100k":  # it lies in whichever RecBole is installed
        import recbole

        path = Path(recbole.__path__[0]) / "dataset_example" / name
    if not path.is_dir():
        raise InputError(f"there is no data folder {str(path)!r}; pass dataset_folder, the folder with {name}.inter")
    return path / name if given is not None and (path / name).is_dir() else path


def _fitting(model_class: type[nn.Module], config: Any, dataset: Any, state: Mapping[str, Any], name: str) -> nn.Module:
    try:
        return rebuilt(model_class, config, dataset, state, int(config["seed"]))
    except RuntimeError as error:
        if "size mismatch" not in str(error) and "state_dict" not in str(error):
            raise
        raise InputError(
            f"{name} was trained on another data set: its weights do not fit {int(dataset.user_num)} users and "
            f"{int(dataset.item_num)} items with padding; pass dataset_folder, the folder of the run ({error})"
        ) from error
