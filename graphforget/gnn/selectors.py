"""Choose what a benchmark forgets: pools of edges and nodes, planted poison and planted wrong labels.

``in`` and ``out`` are the edges with both ends in the undirected 2-hop neighbourhood of the test edges' endpoints (on
train edges), and all others. ``in_legacy`` and ``out_legacy`` are what GNNDelete's published code calls IN and OUT:
``k_hop_subgraph(test_edges.flatten().unique(), 2, train_edges)`` on train edges listed once with row < col. PyG walks
against its flow ``source_to_target``, from a target to its sources, so there it only ever steps to a smaller id, and
its edge mask marks the edges with both ends in the subset. This IN is therefore much smaller than the true one
(DBLP 60.7 % of the train edges against 94.8 %, CS 79.0 % against 99.3 %), and its OUT is within reach of the test edges
of a 2-layer model.

Edges are named as [2, n] pairs, an undirected edge once with u < v. Draws never touch global random state.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest
from graphforget.graph import Graph
from graphforget.kernels import csr, khop
from graphforget.splits import Splits

EDGE_POOLS = ("random", "in", "out", "in_legacy", "out_legacy", "hubs", "low_degree")
NODE_POOLS = ("random", "hubs", "low_degree", "class")
HOPS = 2  # layers of the published models


def select_edges(
    splits: Splits[Graph], pool: str, *, ratio: float | None = None, count: int | None = None, seed: int = 0
) -> ForgetRequest:
    """Choose train edges to forget.

    Args:
        splits: of :func:`graphforget.splits.split_edges`; ``in`` and ``out`` look at the test edges.
        pool: one of :data:`EDGE_POOLS`. ``hubs`` and ``low_degree`` take the edges whose ends have the largest or
            smallest sum of degrees; only ties are drawn.
        ratio: percent of the (undirected) train edges, rounded down; or
        count: number of edges.
        seed: of the draw.

    Raises:
        InputError: unknown pool, not exactly one of ratio and count, or a pool that is too small.

    Example:
        >>> from graphforget.gnn.data import load_splits
        >>> splits = load_splits("karate", task="link")
        >>> select_edges(splits, "random", ratio=10).parts["edge"].shape
        torch.Size([2, 7])
    """
    train = splits.train
    pairs = torch.unique(train.pairs(), dim=1)
    total = pairs.shape[1]
    if pool not in EDGE_POOLS:
        raise unknown("pool", pool, EDGE_POOLS)
    wanted = _wanted(total, ratio, count, "train edges")
    rng = np.random.default_rng(seed)
    if pool in ("hubs", "low_degree"):
        degree = _degree(train)
        chosen = _extreme(degree[pairs].sum(0), wanted, pool, rng)
    else:
        mask = torch.ones(total, dtype=torch.bool, device=pairs.device)
        if pool != "random":
            inside = edges_in_reach(splits, pairs, legacy=pool.endswith("_legacy"))
            mask = inside if pool.startswith("in") else ~inside
        chosen = _draw(mask.nonzero().flatten(), wanted, f"{pool} of {total:,} train edges", rng)
    return ForgetRequest.of("edge", pairs[:, chosen])


def edges_in_reach(splits: Splits[Graph], pairs: Tensor, *, legacy: bool = False) -> Tensor:
    """[n] bool: which train pairs lie in the 2-hop neighbourhood of the test edges' endpoints.

    Args:
        splits: whose test edges and train edges are meant.
        pairs: [2, n] train edges, each once.
        legacy: as GNNDelete's code has it: on the edges as listed, from target to source only.

    Raises:
        InputError: the test view has no edges of its own (a node split has none).
    """
    train, test = splits.train, splits.test
    if not test.num_edges or _same_edges(test, train):
        raise InputError("in and out need test edges; split with split_edges, or take random, hubs or low_degree")
    walk = pairs.flip(0) if legacy else torch.cat([pairs, pairs.flip(0)], dim=1)
    rows, cols = walk.cpu().numpy()
    indptr, indices, _ = csr.from_coo(rows, cols, train.num_nodes, train.num_nodes)
    seeds = torch.unique(test.edge_index).cpu().numpy()
    near = torch.zeros(train.num_nodes, dtype=torch.bool)
    near[torch.from_numpy(khop.k_hop_nodes(indptr, indices, seeds, HOPS))] = True
    return near.to(pairs.device)[pairs].all(0)


def select_nodes(splits: Splits[Graph], pool: str, *, count: int | None = None, seed: int = 0) -> ForgetRequest:
    """Choose train nodes to forget.

    Args:
        splits: any; the nodes that ``train`` speaks for are meant.
        pool: one of :data:`NODE_POOLS`. ``class`` draws one label: all its nodes as a ``node_class`` request, or
            ``count`` of them as a ``node`` request.
        count: number of nodes.
        seed: of the draw.

    Raises:
        InputError: unknown pool, no count, or a pool that is too small.

    Example:
        >>> from graphforget.gnn.data import load_splits
        >>> select_nodes(load_splits("karate"), "hubs", count=2).parts["node"].tolist()
        [33, 0]
    """
    train = splits.train
    nodes = _train_nodes(train)
    rng = np.random.default_rng(seed)
    if pool == "class":
        if train.y is None:
            raise InputError("the pool 'class' needs y; the graph has no labels")
        known = torch.unique(train.y[nodes][train.y[nodes] >= 0])
        label = int(known[int(rng.integers(len(known)))])
        if count is None:
            return ForgetRequest.of("node_class", [label])
        wanted = _wanted(len(nodes), None, count, "train nodes")
        members = nodes[train.y[nodes] == label]
        return ForgetRequest.of("node", members[_draw(torch.arange(len(members)), wanted, f"class {label}", rng)])
    if pool in ("poison", "mislabelled"):
        raise InputError(f"{pool} changes the training data; use plant_poison or plant_mislabelled")
    if pool not in NODE_POOLS:
        raise unknown("pool", pool, NODE_POOLS)
    wanted = _wanted(len(nodes), None, count, "train nodes")
    if pool == "random":
        return ForgetRequest.of("node", nodes[_draw(torch.arange(len(nodes)), wanted, pool, rng)])
    return ForgetRequest.of("node", nodes[_extreme(_degree(train)[nodes], wanted, pool, rng)])


def plant_poison(splits: Splits[Graph], *, ratio: float, seed: int = 0) -> tuple[Splits[Graph], ForgetRequest]:
    """Add cross-class edges to the training graph and return it with the request that removes them.

    An added pair joins two labels and is no edge and no fixed negative of any part. In a node split every part sees
    the added edges, in a link split only ``train`` does.

    Args:
        splits: with labels.
        ratio: added edges in percent of the (undirected) train edges, rounded down.
        seed: of the draw.

    Raises:
        InputError: no or only one label, edge attributes (what would an added edge carry?), or too few such pairs.

    Example:
        >>> from graphforget.gnn.data import load_splits
        >>> poisoned, request = plant_poison(load_splits("karate", task="link"), ratio=10)
        >>> poisoned.train.pairs().shape[1], request.parts["edge"].shape[1]
        (79, 7)
    """
    train, size = splits.train, splits.train.num_nodes
    if train.edge_attrs:
        raise InputError(f"edges with attributes cannot be planted (got {sorted(train.edge_attrs)}); drop them first")
    labels = _labels(splits)
    wanted = _wanted(train.pairs().shape[1], ratio, None, "train edges")
    taken = [view.edge_index for view in splits] + [view.negatives for view in splits if view.negatives is not None]
    both = torch.cat(taken, dim=1).cpu()
    code = torch.unique(torch.cat([both[0] * size + both[1], both[1] * size + both[0]]))
    nodes = (labels >= 0).nonzero().flatten().cpu()
    label = labels.cpu()
    found = _cross_pairs(nodes, label, code.numpy(), wanted, np.random.default_rng(seed), size).to(train.device)
    added = torch.cat([found, found.flip(0)], dim=1) if train.undirected else found
    parts = [
        replace(view, edge_index=torch.cat([view.edge_index, added], dim=1)) if _same_edges(view, train) else view
        for view in splits
    ]
    return Splits(*parts), ForgetRequest.of("edge", found)


def plant_mislabelled(
    splits: Splits[Graph], *, count: int, kind: str = "node", seed: int = 0
) -> tuple[Splits[Graph], ForgetRequest]:
    """Give train nodes a wrong label and return the splits with the request that forgets them.

    Args:
        splits: of a node task.
        count: nodes to mislabel.
        kind: forget the ``node``, or only its ``label``.
        seed: of the draw of nodes and of labels, each wrong label equally likely.

    Raises:
        InputError: no or only one label, an unknown kind, or more nodes than there are.

    Example:
        >>> from graphforget.gnn.data import load_splits
        >>> splits = load_splits("karate")
        >>> wrong, request = plant_mislabelled(splits, count=3)
        >>> int((wrong.train.y != splits.train.y).sum())
        3
    """
    if kind not in ("node", "label"):
        raise unknown("kind", kind, ("node", "label"))
    labels = _labels(splits)
    known = torch.unique(labels[labels >= 0])
    train = splits.train
    assert train.y is not None  # _labels has checked
    nodes = _train_nodes(train)
    nodes = nodes[train.y[nodes] >= 0]
    rng = np.random.default_rng(seed)
    wanted = _wanted(len(nodes), None, count, "labelled train nodes")
    chosen = nodes[_draw(torch.arange(len(nodes)), wanted, "labelled train nodes", rng)]
    place = torch.searchsorted(known, train.y[chosen])
    step = torch.from_numpy(rng.integers(1, len(known), wanted)).to(place.device)
    y = train.y.clone()
    y[chosen] = known[(place + step) % len(known)]
    return Splits(replace(train, y=y), splits.val, splits.test), ForgetRequest.of(kind, chosen)


def _same_edges(view: Graph, train: Graph) -> bool:
    """Say whether a view propagates on the training graph, as every part of a node split does."""
    return view.edge_index.shape == train.edge_index.shape and view.edge_index.equal(train.edge_index)


def _wanted(total: int, ratio: float | None, count: int | None, what: str) -> int:
    if (ratio is None) == (count is None):
        raise InputError(f"give either a ratio in percent or a count (got ratio={ratio}, count={count})")
    if ratio is not None and not 0 < ratio <= 100:
        raise InputError(f"ratio is in percent and must lie in (0, 100] (got {ratio})")
    wanted = int(ratio * total / 100 + 1e-9) if ratio is not None else int(count or 0)
    if wanted < 1:
        raise InputError(f"the request must hold at least one element (got {wanted} of {total:,} {what})")
    return wanted


def _draw(pool: Tensor, wanted: int, name: str, rng: np.random.Generator) -> Tensor:
    if wanted > len(pool):
        raise InputError(
            f"the pool {name} holds {len(pool):,}, but {wanted:,} are asked for; ask for fewer or take a wider pool"
        )
    return pool[torch.from_numpy(rng.permutation(len(pool))[:wanted]).to(pool.device)]


def _extreme(value: Tensor, wanted: int, pool: str, rng: np.random.Generator) -> Tensor:
    """[wanted] places of the largest (hubs) or smallest values; ties are drawn."""
    if wanted > len(value):
        raise InputError(f"the pool {pool} holds {len(value):,}, but {wanted:,} are asked for; ask for fewer")
    shuffled = torch.from_numpy(rng.permutation(len(value))).to(value.device)
    order = torch.argsort(value[shuffled], descending=pool == "hubs", stable=True)
    return shuffled[order[:wanted]]


def _degree(train: Graph) -> Tensor:
    """[N] neighbours of each node, in both directions."""
    out = torch.bincount(train.edge_index[0], minlength=train.num_nodes)
    return out if train.undirected else out + torch.bincount(train.edge_index[1], minlength=train.num_nodes)


def _train_nodes(train: Graph) -> Tensor:
    nodes = train.nodes()
    return nodes if train.removed is None else nodes[~train.removed[nodes]]


def _labels(splits: Splits[Graph]) -> Tensor:
    """[N] labels that any part knows, -1 elsewhere."""
    known = [view.y for view in splits if view.y is not None]
    if len(known) < len(splits):
        raise InputError("this needs y; the graph has no labels")
    labels = torch.stack(known).amax(0)
    if len(torch.unique(labels[labels >= 0])) < 2:
        raise InputError("this needs at least two labels; the graph has one")
    return labels


def _cross_pairs(
    nodes: Tensor, labels: Tensor, taken: npt.NDArray[np.int64], wanted: int, rng: np.random.Generator, size: int
) -> Tensor:
    """[2, wanted] distinct pairs u < v of different labels whose code u * size + v is not taken."""
    counts = torch.bincount(labels[nodes]).double()
    room = int((float(counts.sum()) ** 2 - float((counts**2).sum())) / 2)
    rows, cols = (part.astype(np.int64) for part in np.divmod(taken, size))
    cross = (labels[rows] != labels[cols]).numpy() & (labels[rows] >= 0).numpy() & (labels[cols] >= 0).numpy()
    free = room - int((cross & (rows < cols)).sum())
    if wanted > free:
        raise InputError(f"{wanted:,} cross-class edges are asked for, but only {free:,} such pairs are free")
    found: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
    ids, label = nodes.numpy(), labels.numpy()
    while len(found) < wanted:
        u, v = np.sort(ids[rng.integers(0, len(ids), (2, 2 * wanted + 64))], axis=0)
        code = (u * size + v)[label[u] != label[v]]
        code = code[~np.isin(code, taken)]
        everything = np.concatenate([found, code])
        _, first = np.unique(everything, return_index=True)
        found = everything[np.sort(first)]  # in the order drawn: cutting it favours no id
    u, v = np.divmod(found[:wanted], size)
    return torch.from_numpy(np.stack([u, v]))
