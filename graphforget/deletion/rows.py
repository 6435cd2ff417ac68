"""Rows of deleted users, items and nodes: they keep their place, so that no other row moves, and lose their content.

In the weights such a row is drawn anew (:func:`fresh_rows`): it is what a model has there that never saw its owner, and
so what gold has. In tables that are served it is the mean of the retained rows of its side (:func:`cold_start`, our
default): what can be recommended to somebody of whom nothing is known.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from graphforget.errors import InputError
from graphforget.forget import ForgetSplit
from graphforget.graph import Graph
from graphforget.task import Task, evaluating
from graphforget.train import seeded
from graphforget.unlearner import rewrap, unwrap
from recsys.tables import gone, reset_rows, tables
from recsys.task import embed


def fresh_rows(model: nn.Module, task: Task[Any], split: ForgetSplit[Graph], *, seed: int = 0) -> nn.Module:
    """Return the model with the rows of what a request removed drawn anew; the same model where it has no such row.

    A method that goes on training on the retained data never touches these rows, and they are what the model knows of
    their owners by themselves.

    Args:
        model: unlearned; left untouched.
        task: knows how a never-trained model is made.
        split: the request, resolved.
        seed: of the draw.

    Example:
        >>> from graphforget.forget import ForgetRequest
        >>> from recsys.models.bpr import BPR
        >>> from recsys.task import Recommendation
        >>> graph = Graph(torch.tensor([[0, 0, 1, 2], [0, 1, 1, 2]]), (3, 3), bipartite=True)
        >>> split = ForgetSplit.of(graph, ForgetRequest.of("user", [2]), graph)
        >>> model = BPR(3, 3)
        >>> new = fresh_rows(model, Recommendation(), split)
        >>> (new.user_embedding == model.user_embedding).all(1).tolist()
        [True, True, False]
    """
    users, items = gone(split.data, split.retain)
    if not (len(users) or len(items)):
        return model
    inner = copy.deepcopy(unwrap(model))
    own = getattr(inner, "reset_rows", None)
    if callable(own):  # a wrapped model knows its own tables
        with seeded(seed):
            own(users, items)
        return rewrap(model, inner)
    new = task.fresh(inner, seed)
    if split.data.bipartite:
        sides = {side for _, _, side in tables(inner, split.data.size)}
        if sides & {"both", "user"}:
            reset_rows(inner, new, split.data, users, items[:0])
        if sides & {"both", "item"}:
            reset_rows(inner, new, split.data, users[:0], items)
        return rewrap(model, inner)
    fresh = dict(new.named_parameters())
    with torch.no_grad():
        for name, parameter in inner.named_parameters():
            if parameter.dim() == 2 and parameter.shape[0] == split.data.num_nodes:
                parameter[users] = fresh[name][users].to(parameter.device)
    return rewrap(model, inner)


def cold_start(model: nn.Module, context: Graph) -> dict[str, tuple[Any, Any]]:
    """Return {"user" | "item": (float32 rows [n, d], served [n])}; deleted rows hold the mean of the retained ones.

    Args:
        model: a recommender.
        context: the retain part.

    Raises:
        InputError: a graph that is not bipartite, or a model that answers in other shapes.

    Example:
        >>> from dataclasses import replace
        >>> from recsys.models.bpr import BPR
        >>> graph = Graph(torch.tensor([[0, 1], [0, 1]]), (3, 2), bipartite=True)
        >>> gone = replace(graph, removed=torch.tensor([False, False, True, False, False]))
        >>> users, served = cold_start(BPR(3, 2), gone)["user"]
        >>> served.tolist(), bool(abs(users[2] - users[:2].mean(0)).max() < 1e-6)
        ([True, True, False], True)
    """
    if not context.bipartite:
        raise InputError("embedding tables are those of a recommender (got a homogeneous graph); use to_onnx instead")
    inner = unwrap(model)
    with evaluating(inner), torch.no_grad():
        tables = embed(inner, context)
    removed = context.removed
    kept = torch.ones(context.num_nodes, dtype=torch.bool) if removed is None else ~removed.cpu()
    found = {}
    for side, table, served in zip(("user", "item"), tables, kept.split(list(context.size)), strict=True):
        rows = table.detach().cpu().float().numpy().copy()
        mask = served.numpy()
        rows[~mask] = rows[mask].mean(0)
        found[side] = (rows, mask)
    return found
