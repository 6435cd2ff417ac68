"""RecBole's data loaders and trainer around data sets that are already split, without files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from torch import nn

from graphforget.errors import InputError
from recsys.recbole.compat import put


def loaders_of(config: Any, parts: Sequence[Any]) -> tuple[Any, Any, Any]:
    """Return the (train, valid, test) data loaders of three split data sets, with new samplers.

    ``data_preparation`` would look for pickled loaders of an earlier run and load them.

    Raises:
        InputError: nothing is left to train on.
    """
    from recbole.data.utils import create_samplers, get_dataloader

    if not len(parts[0]):
        raise InputError("no training interaction is left; train a new model instead")
    samplers = create_samplers(config, parts[0], list(parts))
    made = [
        get_dataloader(config, phase)(config, part, sampler, shuffle=bool(config["shuffle"]) and phase == "train")
        for phase, part, sampler in zip(("train", "valid", "test"), parts, samplers, strict=True)
    ]
    return made[0], made[1], made[2]


def quiet_trainer(config: Any, model: nn.Module) -> Any:
    """Return RecBole's trainer of a model without its folders for tensorboard and checkpoints."""
    from recbole.trainer import trainer as module
    from recbole.utils import get_trainer

    with ExitStack() as undo:
        put(undo, module, "get_tensorboard", lambda _: None)
        put(undo, module, "ensure_dir", lambda _: None)
        put(undo, module, "WandbLogger", _Silent)
        return get_trainer(config["MODEL_TYPE"], config["model"])(config, model)


class _Silent:
    """Stands for RecBole's WandbLogger, which would report to a server."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def log_eval_metrics(self, results: Any, head: str = "eval") -> None:
        """Report nothing."""
