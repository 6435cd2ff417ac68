"""Hand-off: an unlearned model in the forms that serving systems take.

A GNN goes out through ``torch.export`` or as ONNX, for graphs of any size; a recommender as embedding tables. Every
export is run and compared with the eager model before its path is returned. Examples that tracing needs are made up:
an exported file holds the weights and nothing of the data.

The column ``served`` of the parquet tables, and ``served.npz`` beside the npy tables, say which rows are those of a
deleted user or item; such rows are cold-start rows (:mod:`graphforget.deletion.rows`).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from graphforget.deletion.rows import cold_start
from graphforget.errors import GraphforgetError, InputError, missing_extra
from graphforget.graph import Graph
from graphforget.task import evaluating
from graphforget.unlearner import unwrap

TOLERANCE = 1e-4  # of the largest output, between the eager model and its export; our default
EXAMPLE_NODES = 16


class Exported(NamedTuple):
    """A file, and how far its answers are from the eager model's.

    Args:
        path: what was written.
        difference: the largest, over all outputs on the graph that was given.
    """

    path: Path
    difference: float


class ExportFailed(GraphforgetError, RuntimeError):
    """A model cannot be exported, or its export answers otherwise than the model itself; no file is left."""


def to_program(model: nn.Module, x: Tensor | None, edge_index: Tensor, path: str | Path) -> Exported:
    """Write ``model(x, edge_index)`` as a ``torch.export`` program (``.pt2``) and check it.

    Args:
        model: a GNN.
        x: [N, F] features to compare on; None for a model with node embeddings.
        edge_index: [2, E] edges to compare on.
        path: the file.

    Raises:
        ExportFailed: the model cannot be traced, or the program disagrees with it.

    Example:
        >>> import tempfile
        >>> from graphforget.gnn.models import GCN
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = to_program(GCN(3, 4, 2), torch.eye(3), torch.tensor([[0, 1], [1, 2]]), f"{folder}/gcn.pt2")
        >>> done.path.name, done.difference < 1e-5
        ('gcn.pt2', True)
    """
    inner, file = unwrap(model), _file(path, ".pt2")
    with evaluating(inner), torch.no_grad(), _quiet():
        program, inputs = _trace(inner, x, edge_index)
        torch.export.save(program, file)
        found = torch.export.load(file).module()(*inputs)
        return _agree(file, found, inner(x, edge_index))


def to_onnx(model: nn.Module, x: Tensor | None, edge_index: Tensor, path: str | Path) -> Exported:
    """Write ``model(x, edge_index)`` as ONNX, run it in onnxruntime on the CPU, and check it.

    Args:
        model: a GNN.
        x: [N, F] features to compare on; None for a model with node embeddings.
        edge_index: [2, E] edges to compare on.
        path: the file, ending in ``.onnx``.

    Raises:
        MissingExtra: onnx, onnxscript or onnxruntime is not installed.
        ExportFailed: the model cannot be exported, or ONNX disagrees with it.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch asks for it in the midst of its work
    except ImportError as error:
        raise missing_extra(error.name or "onnx", "export") from error
    inner, file = unwrap(model), _file(path, ".onnx")
    with evaluating(inner), torch.no_grad(), _quiet():
        program, inputs = _trace(inner, x, edge_index)
        try:
            torch.onnx.export(program, f=str(file), dynamo=True, verbose=False, external_data=False)
        except torch.onnx.OnnxExporterError as error:
            file.unlink(missing_ok=True)
            raise ExportFailed(f"the model cannot be written as ONNX ({_first_line(error)})") from error
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        fed = {each.name: value.cpu().numpy() for each, value in zip(session.get_inputs(), inputs, strict=True)}
        (found,) = session.run(None, fed)
        return _agree(file, torch.from_numpy(found), inner(x, edge_index))


def to_tables(
    model: nn.Module, context: Graph, folder: str | Path, *, ids: Mapping[str, Sequence[str | None]] | None = None
) -> list[Path]:
    """Write a recommender's embeddings as ``users.npy``, ``items.npy`` and the same as parquet.

    Args:
        model: ``model(graph) -> (users [U, d], items [I, d])``.
        context: what the model may see: the retain part, whose ``removed`` names the deleted.
        folder: made if it is not there.
        ids: {"user": [U], "item": [I]} external ids for the parquet tables; those of deleted rows are left out.

    Raises:
        InputError: the model answers in other shapes, or ids do not match them.
        MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet") from error
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    written, marks = [], {}
    for side, (rows, served) in cold_start(model, context).items():
        names = list((ids or {}).get(side, [None] * len(rows)))
        if len(names) != len(rows):
            raise InputError(f"ids of {side}s must name {len(rows)} rows (got {len(names)}); None where there is none")
        shown = [name if kept else None for name, kept in zip(names, served.tolist(), strict=True)]
        width = rows.shape[1]
        values = arrow.FixedSizeListArray.from_arrays(arrow.array(rows.reshape(-1)), width)
        columns = {
            "row": arrow.array(np.arange(len(rows))),
            "id": arrow.array(shown, arrow.string()),
            "served": arrow.array(served),
            "embedding": values,
        }
        parquet.write_table(arrow.table(columns), place / f"{side}s.parquet")
        np.save(place / f"{side}s.npy", rows)
        marks[side] = served
        written += [place / f"{side}s.npy", place / f"{side}s.parquet"]
    np.savez(place / "served.npz", **marks)
    return [*written, place / "served.npz"]


def _trace(model: nn.Module, x: Tensor | None, edge_index: Tensor) -> tuple[Any, tuple[Tensor, ...]]:
    """An exported program of any number of nodes and edges, and the inputs it is then asked with.

    The example is a made-up ring: a program keeps the example that it was traced with.
    """
    nodes = EXAMPLE_NODES
    ring = torch.arange(nodes, device=edge_index.device)
    edges = torch.stack([ring, ring.roll(1)])
    edge_shape = {1: torch.export.Dim("edges", min=2)}
    given: tuple[Any, ...] = (x, edge_index)
    example: tuple[Any, ...] = (None, edges)
    shapes: tuple[Any, ...] = (None, edge_shape)
    if x is not None:
        example = (torch.ones(nodes, x.shape[1], dtype=x.dtype, device=x.device), edges)
        shapes = ({0: torch.export.Dim("nodes", min=2)}, edge_shape)
    try:
        program = torch.export.export(model, example, dynamic_shapes=shapes)
    except (RuntimeError, ValueError, TypeError, torch._dynamo.exc.TorchDynamoException) as error:
        raise ExportFailed(
            f"torch.export cannot trace {type(model).__name__} ({_first_line(error)}); its forward must be "
            "model(x, edge_index) in tensor operations"
        ) from error
    return program, tuple(each for each in given if each is not None) if x is not None else given


def _agree(file: Path, found: Tensor, wanted: Tensor) -> Exported:
    """The export, where it answers as the eager model does."""
    if found.shape != wanted.shape:
        file.unlink(missing_ok=True)
        raise ExportFailed(f"the export answers with shape {list(found.shape)}, the model with {list(wanted.shape)}")
    difference = float((found - wanted.cpu()).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(wanted.abs().max())):
        file.unlink(missing_ok=True)
        raise ExportFailed(f"the export and the model differ by {difference:.3g}; the file was removed")
    return Exported(file, difference)


def _file(path: str | Path, ending: str) -> Path:
    file = Path(path)
    if file.suffix != ending:
        raise InputError(f"the file must end in {ending} (got {file.name!r}); rename it")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0][:200]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' notices to their own developers: a user can do nothing about them."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for each, level in zip(loggers, levels, strict=True):
            each.setLevel(level)
