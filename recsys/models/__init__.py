"""Reference recommenders, each by the equations of its paper: ``model(graph) -> (users [U, d], items [I, d])``."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

from torch import nn

from graphforget.errors import InputError, unknown
from graphforget.graph import Graph

MODELS = {
    "bpr": "recsys.models.bpr:BPR",
    "lightgcn": "recsys.models.lightgcn:LightGCN",
    "vbpr": "recsys.models.vbpr:VBPR",
    "freedom": "recsys.models.freedom:FREEDOM",
    "mgcn": "recsys.models.mgcn:MGCN",
    "bm3": "recsys.models.bm3:BM3",
}
MULTIMODAL = ("vbpr", "freedom", "mgcn", "bm3")


def build(name: str, graph: Graph, **settings: Any) -> nn.Module:
    """Build a never-trained model for a graph.

    Args:
        name: ``bpr lightgcn vbpr freedom mgcn bm3``.
        graph: gives the numbers of users and items and the widths of the modalities.
        settings: of the model's constructor, such as ``dim``.

    Raises:
        InputError: unknown name, or a multimodal model on a graph without modalities.

    Example:
        >>> import torch
        >>> graph = Graph(torch.tensor([[0, 1], [0, 2]]), (2, 3), bipartite=True)
        >>> type(build("lightgcn", graph, dim=8)).__name__
        'LightGCN'
    """
    model = _class(name)
    if name not in MULTIMODAL:
        return model(*graph.size, **settings)
    widths = {key: int(value.shape[1]) for key, value in graph.features.items() if key != "x"}
    if not widths:
        raise InputError(f"{name} needs item features; the graph has none: pass features={{'image': [num_items, F]}}")
    return model(*graph.size, widths, **settings)


def defaults(name: str) -> dict[str, Any]:
    """Return the settings of a model with their default values.

    Args:
        name: as in :func:`build`.

    Raises:
        InputError: unknown name.

    Example:
        >>> defaults("lightgcn")
        {'dim': 64, 'layers': 2, 'reg': 0.0001}
    """
    parameters = inspect.signature(_class(name)).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def _class(name: str) -> type[nn.Module]:
    if name not in MODELS:
        raise unknown("model", name, tuple(MODELS))
    module, attribute = MODELS[name].split(":")
    found: type[nn.Module] = getattr(import_module(module), attribute)
    return found
