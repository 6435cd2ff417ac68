"""Embedding tables in files: of a model larger than the memory, only the rows that a request touches are read.

    write_tables(model, task, store.size, "tables")              # once, from a model in memory
    with torch.device("meta"):
        model = LightGCN(*store.size)                            # no memory is taken
    map_tables(model, task, store.size, "tables")                # the tables are their files from now on
    unlearn_local(method, model, task, store, request).onto(model)

A table is a parameter with a row a user, item or node, as the task names them; each is ``NAME.npy``. What is written to
a mapped table goes to its file: there is no way back but a copy of the folder. All else of the model stays in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from torch import nn

from graphforget.errors import InputError
from graphforget.local import Sliced
from graphforget.store import give_back
from graphforget.whole import whole

BLOCK = 2**16  # rows that are copied at once


def write_tables(model: nn.Module, task: Sliced, size: tuple[int, int], folder: str | Path) -> Path:
    """Write the tables of a model to a folder, in pieces; the model stays as it is.

    Args:
        model: holds its tables, in memory or in other files.
        task: says which parameters are tables.
        size: (num_src, num_dst) of the graph.
        folder: made where it is missing.

    Raises:
        InputError: the model has no table, a file is there already, or a table has no values (it is on ``meta``).
    """
    root = Path(folder)
    found = _tables(model, task, size)
    for name, table in found.items():
        if (root / f"{name}.npy").exists():
            raise InputError(f"{root / name}.npy exists already; name another folder, or map_tables() it")
        if table.is_meta:
            raise InputError(f"table {name!r} has no values (it is on meta); write a model that is in memory")
    root.mkdir(parents=True, exist_ok=True)
    for name, table in found.items():
        values = table.detach().cpu().numpy()
        with whole(root / f"{name}.npy") as part:
            out = open_memmap(part, "w+", values.dtype, values.shape)
            for start in range(0, len(values), BLOCK):
                out[start : start + BLOCK] = values[start : start + BLOCK]
                give_back(out)
            out.flush()
    return root


def map_tables(model: nn.Module, task: Sliced, size: tuple[int, int], folder: str | Path) -> nn.Module:
    """Let a model's tables be the files of a folder, in place, and return the model.

    Args:
        model: its tables may be on the device ``meta``; their values are dropped.
        task: says which parameters are tables.
        size: (num_src, num_dst) of the graph.
        folder: as :func:`write_tables` has written it.

    Raises:
        InputError: the model has no table, or a file is missing, cut short, or of another shape or type.

    Example:
        >>> import tempfile
        >>> from graphforget.gnn.models import GCN
        >>> from graphforget.gnn.task import LinkPrediction
        >>> model, task = GCN(None, 4, 2, num_nodes=9), LinkPrediction()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     mapped = map_tables(model, task, (9, 9), write_tables(model, task, (9, 9), folder))
        ...     type(mapped.embedding.weight.mapped).__name__
        'memmap'
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, table in _tables(model, task, size).items():
        path = Path(folder) / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise InputError(f"{path} is missing; write it with write_tables()") from error
        except (ValueError, EOFError, OSError) as error:
            raise InputError(f"{path} is cut short or no .npy file ({error}); write the tables anew") from error
        want = (tuple(table.shape), torch.empty(0, dtype=table.dtype).numpy().dtype)
        if (array.shape, array.dtype) != want:
            raise InputError(f"{path} must be {want[1]} {list(want[0])} (got {array.dtype} {list(array.shape)})")
        arrays[name] = np.load(path, mmap_mode="r+", allow_pickle=False)  # at once, it would fill up a file cut short
    for name, array in arrays.items():
        home, _, own = name.rpartition(".")
        parameter = nn.Parameter(torch.from_numpy(array), model.get_parameter(name).requires_grad)
        parameter.mapped = array  # type: ignore[attr-defined] # its rows are read and written in blocks
        setattr(model.get_submodule(home), own, parameter)
    return model


def _tables(model: nn.Module, task: Sliced, size: tuple[int, int]) -> dict[str, nn.Parameter]:
    found = {name: table for name, table, _ in task.tables(model, size)}
    if not found:
        raise InputError(f"the model has no table with a row a node (of a graph of {size}); there is nothing to map")
    return found
