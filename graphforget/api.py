"""The one-call door: a trained model, the data it was trained on and a request go in, an unlearned model comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from graphforget import catalog, row_interop
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.gnn import interop
from graphforget.graph import Graph
from graphforget.methods.d2dgn_calibrated import LABELLED_ROWS
from graphforget.strangers import labelled_rows
from graphforget.task import Task
from graphforget.unlearner import Unlearner

USUAL = "d2dgn_calibrated"


class Forgotten(NamedTuple):
    """What :func:`unlearn` returns.

    Args:
        model: the unlearned model, with the same ``state_dict`` keys and shapes (unless the method says otherwise).
        data: what it may see from now on, in the kind that was given.
        split: the resolved request, for :func:`graphforget.compare`.
        record: what the method noted.
    """

    model: nn.Module
    data: Any
    split: ForgetSplit[Any]
    record: Mapping[str, Any]


def unlearn(
    model: nn.Module,
    data: Any,
    request: ForgetRequest | None = None,
    *,
    edges: Tensor | Sequence[Sequence[int]] | None = None,
    nodes: Tensor | Sequence[int] | None = None,
    samples: Tensor | Sequence[int] | None = None,
    users: Tensor | Sequence[int] | None = None,
    items: Tensor | Sequence[int] | None = None,
    interactions: Tensor | Sequence[Sequence[int]] | None = None,
    method: str | Unlearner | None = None,
    task: str | Task[Any] | None = None,
    held_out: Any = None,
    seed: int = 0,
) -> Forgotten:
    """Unlearn edges, nodes, samples, users, items, interactions or a request from a trained model.

    Args:
        model: the trained model, left untouched: ``model(x, edge_index) -> [N, d]``, of rows ``model(x) -> [B, C]``, of
            a bipartite graph ``model(graph) -> (users [U, d], items [I, d])``.
        data: what it was trained on: a Graph, PyG Data or HeteroData, a DGL graph, a scipy matrix, a networkx graph; of
            rows Samples, a pair (x, y) or a Dataset of such pairs.
        request: what to forget; or name ``edges``, ``nodes`` or ``samples``, or set ``edge_forget_mask`` /
            ``node_forget_mask`` on a PyG Data.
        edges: [2, n] pairs.
        nodes: [n] ids.
        samples: [n] row ids.
        users: [n] rows of a bipartite graph.
        items: [n] columns of it.
        interactions: [2, n] (user, item) pairs of it.
        method: catalog key, for its usual settings, or a configured method; None takes ``d2dgn_calibrated``, for a
            bipartite graph ``mmrecun_calibrated``.
        task: ``link``, ``node``, ``recommend``, ``image``, ``regression`` or a configured task; None takes ``link`` for
            a graph, ``recommend`` for a bipartite one, and for rows what their targets are.
        held_out: validation data, never trained on: data of the same kind, [2, m] true edges (link), or a tensor, array
            or list of [m] ids of nodes or rows in ``data``. Calibration and retraining need it.
        seed: of everything random.

    Raises:
        InputError: nothing or too much to forget, or data, model and request that do not fit; nothing was changed.

    Example:
        >>> from torch_geometric.data import Data
        >>> from graphforget.gnn.models import GCN
        >>> ring = torch.stack([torch.arange(6), (torch.arange(6) + 1) % 6])
        >>> data = Data(x=torch.eye(6), edge_index=torch.cat([ring, ring.flip(0)], dim=1))
        >>> result = unlearn(GCN(6, 4, 4), data, edges=[[0], [1]], method="utu")
        >>> result.data.num_edges, type(result.data).__name__
        (10, 'Data')
    """
    if row_interop.is_rows(data):
        asked = _named(request, sample=samples, user=users, item=items, interaction=interactions)
        return _of_rows(model, data, asked, method or USUAL, task, held_out, seed)
    graph = interop.to_graph(data)
    usual = "recommend" if graph.bipartite else "link"
    runs = catalog.task(task or usual)() if task is None or isinstance(task, str) else task
    method = method or ("mmrecun_calibrated" if graph.bipartite else USUAL)
    named = _named(request, edge=edges, node=nodes, user=users, item=items, interaction=interactions)
    asked = named or interop.request_from_masks(data)
    held_out = _ids(held_out)
    view = _held_out(graph, held_out)
    if isinstance(held_out, Tensor) and held_out.dim() == 1 and view.node_mask is not None:
        trained = torch.ones_like(view.node_mask) if graph.node_mask is None else graph.node_mask
        graph = replace(graph, node_mask=trained & ~view.node_mask)  # nodes of this very graph, never trained on
    split = ForgetSplit.of(graph, asked, view)
    result = _configured(method, runs).unlearn(model, runs, split, seed=seed)
    return Forgotten(result.model, interop.like(data, result.context), split, result.record)


def _of_rows(
    model: nn.Module,
    data: Any,
    request: ForgetRequest | None,
    method: str | Unlearner,
    task: str | Task[Any] | None,
    held_out: Any,
    seed: int,
) -> Forgotten:
    """The door for independent rows."""
    rows = row_interop.to_samples(data)
    if request is None:
        raise InputError("nothing to forget was named (got no request and no samples); pass samples=[row, ...]")
    usual = "regression" if rows.y.is_floating_point() else "image"
    runs = catalog.task(task or usual)() if task is None or isinstance(task, str) else task
    view = rows.view(torch.zeros(len(rows.x), dtype=torch.bool, device=rows.y.device))
    held_out = _ids(held_out)
    if isinstance(held_out, Tensor):  # rows of this very data, never trained on
        view = view.view(view.mask_of(held_out))
        rows = rows.without(view)
    elif held_out is not None:
        view = row_interop.to_samples(held_out)
    split = ForgetSplit.of(rows, request, view)
    result = _configured(method, runs).unlearn(model, runs, split, seed=seed)
    return Forgotten(result.model, row_interop.like(data, rows, result.context), split, result.record)


def _ids(held_out: Any) -> Any:
    """A list or an array of ids as a tensor; anything else as it is."""
    if isinstance(held_out, np.ndarray):
        return torch.as_tensor(held_out) if held_out.dtype.kind in "iu" else held_out
    listed = isinstance(held_out, list | range) and all(isinstance(each, int) for each in held_out)
    return torch.tensor(list(held_out), dtype=torch.int64) if listed else held_out


def _configured(method: str | Unlearner, runs: Task[Any]) -> Unlearner:
    """A method as it is given, or by its key with its usual settings for such a task."""
    if not isinstance(method, str):
        return method
    usual = LABELLED_ROWS if method == "d2dgn_calibrated" and labelled_rows(runs) else {}
    made: Unlearner = catalog.method(method)(**usual)
    return made


def _named(request: ForgetRequest | None, **ids: Any) -> ForgetRequest | None:
    """The request and the ids named by kind, as one; None where nothing is named."""
    given = [request] if request is not None else []
    given += [ForgetRequest.of(kind, each) for kind, each in ids.items() if each is not None]
    return reduce(add, given) if given else None


def _held_out(graph: Graph, held_out: Any) -> Graph:
    empty = torch.zeros(graph.num_nodes, dtype=torch.bool, device=graph.device)
    view = replace(graph.with_edges(slice(0, 0)), undirected=False, node_mask=empty)  # type: ignore[arg-type]
    if held_out is None:
        return view
    if not isinstance(held_out, Tensor):
        return interop.to_graph(held_out)
    if held_out.dim() == 2 and held_out.shape[0] == 2:
        return replace(view, edge_index=held_out.long().to(graph.device), edge_attrs={})
    if held_out.dim() != 1:
        raise InputError(f"held_out must be a graph, pairs [2, m] or nodes [m] (got {list(held_out.shape)})")
    mask = empty.clone()
    mask[held_out] = True
    return replace(graph, node_mask=mask)
