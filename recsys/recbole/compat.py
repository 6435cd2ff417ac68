"""A scoped shim: RecBole 1.2.1 on current numpy, scipy and pandas, with nothing left behind.

RecBole was written for numpy 1, scipy 1.12 and pandas 2. Inside :func:`compatible` the few names it needs are there;
after it numpy, scipy, RecBole's own classes, ``sys.argv``, the environment and every random state are as before.

=============================================  ==================================================================
what RecBole does                              what the scope gives it
=============================================  ==================================================================
``np.float_``, ``np.float``, ...               the aliases, which numpy 2 has not
``dok_matrix._update``                         an update of its items, which scipy 1.13 took away
``feat[field].fillna(inplace=True)``           an assignment: under pandas 3 the original fills a copy
``feat[field].agg(len)`` on sequences          one length a row: pandas 3 gives it the whole column
``Collector.get_data_struct``                  ``cpu()`` for tensors only: a metric may ask for plain numbers
``Config`` reads ``sys.argv``                  the program's name alone: our options and pytest's are not RecBole's
``Config`` sets ``CUDA_VISIBLE_DEVICES``       the variable, put back
``get_model`` looks in RecBole's packages      our own models beside RecBole's, under their names
=============================================  ==================================================================

``recbole.quick_start`` and ray are never imported. The scope changes modules, so open it in one thread at a time.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from os import PathLike
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from graphforget.errors import InputError, missing_extra
from recsys.recbole import own

ALIASES: dict[str, Any] = {
    "float_": np.float64,
    "complex_": np.complex128,
    "unicode_": np.str_,
    "bool": np.bool_,
    "int": np.int_,
    "float": np.float64,
    "complex": np.complex128,
    "object": np.object_,
    "str": np.str_,
    "long": np.int_,
    "unicode": np.str_,
}
_ABSENT = object()


@contextmanager
def compatible() -> Iterator[None]:
    """Let RecBole run on current packages inside the block; see the table above.

    Raises:
        MissingExtra: RecBole is not installed.

    Example:
        >>> with compatible():
        ...     hasattr(np, "float_")
        True
        >>> hasattr(np, "float_")
        False
    """
    with ExitStack() as undo:
        undo.enter_context(same_random_state())
        undo.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module=r"recbole\.")  # its old spellings: a user can do nothing about them
        warnings.filterwarnings("ignore", message="__array_wrap__ must accept")  # tensors that it gives to numpy
        for name, value in ALIASES.items():
            put(undo, np, name, value)
        if not hasattr(sp.dok_matrix, "_update"):
            put(undo, sp.dok_matrix, "_update", _update)
        undo.callback(_set_argv, sys.argv)
        _set_argv(sys.argv[:1])
        undo.callback(_set_environment, "CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
        for name in own.NAMES:
            put_item(undo, sys.modules, f"recbole.model.general_recommender.{name.lower()}", sys.modules[own.__name__])
        pd, dataset, collector = _patched()
        put(undo, dataset, "_fill_nan", _fill_nan)
        put(undo, pd.Series, "agg", _aggregate(pd.Series.agg))
        put(undo, collector, "get_data_struct", _on_cpu(collector.get_data_struct))
        yield


@contextmanager
def trusted(path: str | PathLike[str]) -> Iterator[None]:
    """Let RecBole's own loaders read one named checkpoint, which may run code: for files that you wrote yourself.

    ``Trainer.resume_checkpoint`` and ``evaluate(load_best_model=True)`` call ``torch.load``, whose default refuses
    every checkpoint of RecBole. Inside the block the one file passes; every other file meets the default.

    Args:
        path: the checkpoint.

    Raises:
        InputError: there is no such file.

    Example:
        >>> with trusted("saved/LightGCN.pth"):
        ...     pass
        Traceback (most recent call last):
        graphforget.errors.InputError: there is no checkpoint 'saved/LightGCN.pth'...
    """
    if not os.path.isfile(path):
        raise InputError(f"there is no checkpoint {os.fspath(path)!r}; give the path of a file")
    original, allowed = torch.load, os.path.realpath(path)

    def load(file: Any, *args: Any, **options: Any) -> Any:
        named = isinstance(file, str | PathLike) and os.path.realpath(file) == allowed
        return original(file, *args, **{"weights_only": not named, **options})

    with ExitStack() as undo:
        put(undo, torch, "load", load)
        yield


@contextmanager
def same_random_state() -> Iterator[None]:
    """Give python's, numpy's and torch's random states back as they were."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - RecBole draws from it
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)  # noqa: NPY002 - RecBole draws from it


def put(undo: ExitStack, owner: Any, name: str, value: Any) -> None:
    """Set an attribute until the stack closes: then the owner has its own again, or none."""
    before = vars(owner).get(name, _ABSENT)
    if before is _ABSENT:
        undo.callback(delattr, owner, name)
    else:
        undo.callback(setattr, owner, name, before)
    setattr(owner, name, value)


def put_item(undo: ExitStack, table: dict[str, Any], key: str, value: Any) -> None:
    """Set an entry until the stack closes, as :func:`put` does an attribute."""
    if key in table:
        undo.callback(table.__setitem__, key, table[key])
    else:
        undo.callback(table.pop, key)
    table[key] = value


def _set_argv(argv: list[str]) -> None:
    sys.argv = argv


def _set_environment(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _patched() -> tuple[Any, Any, Any]:
    try:
        import pandas as pd
        from recbole.data.dataset import Dataset
        from recbole.evaluator import Collector
    except ModuleNotFoundError as error:
        raise missing_extra(error.name or "recbole", "recbole") from error
    return pd, Dataset, Collector


def _update(self: Any, items: dict[tuple[int, int], Any]) -> None:
    """``dok_matrix._update`` of scipy 1.12: take checked items as they are."""
    self._dict.update(items)


def _fill_nan(self: Any) -> None:
    """``Dataset._fill_nan`` by assignment: missing tokens are padding, missing numbers the mean, sequences empty."""
    from recbole.utils import FeatureType

    for name in self.feat_name_list:
        feat = getattr(self, name)
        for field in feat:
            kind = self.field2type[field]
            if kind == FeatureType.TOKEN:
                feat[field] = feat[field].fillna(0)
            elif kind == FeatureType.FLOAT:
                feat[field] = feat[field].fillna(feat[field].mean())
            else:
                dtype = np.int64 if kind == FeatureType.TOKEN_SEQ else np.float64
                empty = np.array([], dtype=dtype)
                feat[field] = [empty if isinstance(value, float) else value for value in feat[field]]


def _aggregate(original: Callable[..., Any]) -> Callable[..., Any]:
    """``Series.agg`` that tries the rows first, for the two functions that RecBole gives it."""

    def agg(self: Any, func: Any = None, *args: Any, **kwargs: Any) -> Any:
        if func is len:
            return self.map(len)
        if func is np.concatenate:
            return np.concatenate(list(self))
        return original(self, func, *args, **kwargs)

    return agg


def _on_cpu(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get_data_struct(self: Any) -> Any:
        found = self.data_struct._data_dict
        plain = {key: value for key, value in found.items() if not isinstance(value, torch.Tensor)}
        for key in plain:
            del found[key]
        result = original(self)
        found.update(plain)
        result._data_dict.update(plain)
        return result

    return get_data_struct
