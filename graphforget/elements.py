"""What a data set consists of, whatever its domain: rows, nodes of a graph, users of a recommender.

Whoever cuts data into parts that come and go (clients, a stream) names elements by these kinds, and cuts by the
domain's own ``partition``: no edge to a node of another part, no row of it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.graph import Graph


def existing(data: Any, kind: str) -> Tensor:
    """[n] ids of a kind that are still in the data; of nodes also those that this view does not speak for."""
    if isinstance(data, Graph) and kind == "node":
        return (torch.ones(data.num_nodes).bool() if data.removed is None else ~data.removed.cpu()).nonzero().flatten()
    return held(data, kind)


def held(data: Any, kind: str) -> Tensor:
    """[n] ids of a kind that a view speaks for.

    Raises:
        InputError: data without elements of this kind.
    """
    if isinstance(data, Graph) and kind == "user" and data.bipartite:
        users: Tensor = data.edge_index[0].unique()
        return users.cpu()
    if isinstance(data, Graph) and kind == "node" and not data.bipartite:
        nodes = data.nodes()
        return (nodes if data.removed is None else nodes[~data.removed[nodes]]).cpu()
    if kind == "sample" and callable(getattr(data, "rows", None)):
        rows: Tensor = data.rows()
        return rows
    raise InputError(
        "data are held as samples of rows, nodes of a graph or users of a bipartite one "
        f"(got {kind!r} of {type(data).__name__})"
    )
