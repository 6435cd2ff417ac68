"""Data as safetensors: the three views of a graph in one file, the same bytes for the same data.

What a version keeps is what its model may see: nothing of the forgotten, neither edges nor the values that were masked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from graphforget.errors import StoreError
from graphforget.graph import Graph
from graphforget.splits import Splits

OPTIONAL = ("y", "node_mask", "removed", "negatives")
LABEL = "graphforget"  # one entry of metadata: several would come in any order


def pack(splits: Splits[Graph]) -> bytes:
    """Return the three views as the bytes of one safetensors file; what they share is stored once.

    Example:
        >>> view = Graph.from_edges(torch.tensor([[0, 1], [1, 2]]), 3)
        >>> pack(Splits(view, view, view)) == pack(Splits(view, view, view))
        True
    """
    tensors: dict[str, Tensor] = {}
    views: dict[str, Any] = {}
    for part, view in zip(Splits._fields, splits, strict=True):
        own: dict[str, Tensor] = {"edge_index": view.edge_index}
        own |= {f"attr.{name}": value for name, value in view.edge_attrs.items()}
        own |= {name: value for name in OPTIONAL if (value := getattr(view, name)) is not None}
        own |= {f"feature.{name}": value for name, value in view.features.items()}
        keys = {}
        for name, value in own.items():
            shared = f"train.{name}"
            same = part != "train" and _same(tensors.get(shared), value)
            keys[name] = shared if same else f"{part}.{name}"
            if not same:
                tensors[f"{part}.{name}"] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        views[part] = {
            "keys": keys,
            "size": list(view.size),
            "bipartite": view.bipartite,
            "undirected": view.undirected,
        }
    return save(tensors, {LABEL: json.dumps(views, sort_keys=True)})


def _same(one: Tensor | None, two: Tensor) -> bool:
    return one is not None and (one is two or torch.equal(one, two.detach().cpu()))


def unpack(path: Path) -> Splits[Graph]:
    """Read what :func:`pack` wrote.

    Raises:
        StoreError: the file is something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            label = (file.metadata() or {}).get(LABEL, "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        views = json.loads(label)
        parts = [_view(views[part], tensors) for part in Splits._fields]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{str(path)!r} holds no data of a deletion store (got {error}); restore it") from error
    return Splits(*parts)


def _view(card: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Graph:
    own = {name: tensors[key] for name, key in card["keys"].items()}
    grouped: dict[str, dict[str, Tensor]] = {"feature": {}, "attr": {}}
    for name, value in own.items():
        group, dot, rest = name.partition(".")
        if dot:
            grouped[group][rest] = value
    return Graph(
        own["edge_index"],
        (card["size"][0], card["size"][1]),
        bipartite=card["bipartite"],
        undirected=card["undirected"],
        features=grouped["feature"],
        edge_attrs=grouped["attr"],
        **{name: own.get(name) for name in OPTIONAL},
    )
