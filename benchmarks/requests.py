"""Draw the request of a graph cell."""

from __future__ import annotations

import numpy as np
import torch

from graphforget.errors import InputError
from graphforget.forget import ForgetRequest
from graphforget.gnn.selectors import plant_mislabelled, plant_poison, select_edges, select_nodes
from graphforget.graph import Graph
from graphforget.splits import Splits

POOLS = ("random", "in", "out", "in_legacy", "out_legacy", "hubs", "low_degree", "poison", "mislabelled")
NODE_POOLS = ("random", "hubs", "low_degree", "mislabelled")


def draw(
    splits: Splits[Graph], kind: str, pool: str, ratio: float | None, count: int | None, seed: int
) -> tuple[Splits[Graph], ForgetRequest]:
    """Return the splits (with what was planted) and the request.

    Args:
        splits: of the data set.
        kind: ``edge node feature label node_class edge_class``.
        pool: where the elements are drawn; classes are drawn whole, by the seed.
        ratio: per cent of the train edges or nodes; or
        count: number of elements.
        seed: of the draw.

    Raises:
        InputError: a pool that the kind does not have, or one smaller than the request.
    """
    if kind == "edge":
        if pool == "poison":
            return plant_poison(splits, ratio=_percent(splits, ratio, count), seed=seed)
        if pool == "mislabelled":
            raise InputError(f"the pool mislabelled is for nodes (got --kind edge); edges have {_without(pool)}")
        return splits, select_edges(splits, pool, ratio=ratio, count=count, seed=seed)
    if kind == "node_class":
        return splits, select_nodes(splits, "class", seed=seed)
    if kind == "edge_class":
        return splits, _edge_class(splits.train, seed)
    if pool not in NODE_POOLS:
        raise InputError(f"--kind {kind} has the pools {' '.join(NODE_POOLS)} (got {pool})")
    number = count if count is not None else max(1, int((ratio or 0) * len(splits.train.nodes()) / 100))
    if pool == "mislabelled":
        if kind == "feature":
            raise InputError("the pool mislabelled is for --kind node or label (got feature)")
        return plant_mislabelled(splits, count=number, kind=kind, seed=seed)
    request = select_nodes(splits, pool, count=number, seed=seed)
    return splits, request if kind == "node" else ForgetRequest.of(kind, request.parts["node"])


def _percent(splits: Splits[Graph], ratio: float | None, count: int | None) -> float:
    if ratio is not None:
        return ratio
    return 100 * (count or 0) / int(splits.train.pairs().shape[1])


def _edge_class(train: Graph, seed: int) -> ForgetRequest:
    """A relation type, or a pair of labels, by the seed."""
    if "type" in train.edge_attrs:
        known = train.edge_attrs["type"].unique()
        return ForgetRequest.of("edge_class", [int(known[seed % len(known)])])
    if train.y is None:
        raise InputError("an edge class needs relation types or labels; the graph has neither")
    ends = torch.sort(train.y[train.edge_index], dim=0).values
    ends = ends[:, (ends >= 0).all(0)]
    pairs = torch.unique(ends, dim=1).T
    return ForgetRequest.of("edge_class", pairs[int(np.random.default_rng(seed).integers(len(pairs)))][None].tolist())


def _without(pool: str) -> str:
    return " ".join(name for name in POOLS if name != pool)
