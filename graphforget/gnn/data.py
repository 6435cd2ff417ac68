"""Load graph data sets by name, checked against their published counts, and split them.

Files are used in place where they are found (see :mod:`graphforget.download`); ``digits``, ``karate`` and ``sbm``
need none. What each data set is stands in :data:`DATASETS`.
"""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphforget import download
from graphforget.errors import InputError, unknown
from graphforget.folders import BadFile
from graphforget.gnn import readers, synthetic
from graphforget.gnn.cards import COLLECTIONS, DATASETS, DatasetCard
from graphforget.gnn.readers import Raw
from graphforget.graph import Graph
from graphforget.splits import Splits, sample_negatives, split_edges, split_nodes

__all__ = ["COLLECTIONS", "DATASETS", "DatasetCard", "load", "load_many", "load_splits"]


def load(name: str, root: str | PathLike[str] | None = None, seed: int = 0, *, normalize: bool = True) -> Graph:
    """Load a whole graph.

    Args:
        name: a key of :data:`DATASETS`.
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.
        seed: of data that is drawn (``sbm``).
        normalize: scale bag-of-words rows to sum to one, as PyG's NormalizeFeatures; other features stay as they are.

    Returns:
        Graph: validated; no ``x`` where the data set has no features.

    Raises:
        InputError: unknown name, files missing and not to be had, a broken file, or counts other than published.

    Example:
        >>> graph = load("karate")
        >>> graph.num_nodes, "x" in graph.features
        (34, False)
    """
    card = _card(name)
    if not card.files:
        return _drawn(card, seed).validate()
    return _graph(card, _read(card, root), normalize)


def load_splits(
    name: str,
    root: str | PathLike[str] | None = None,
    *,
    task: str | None = None,
    seed: int = 0,
    official: bool = True,
    normalize: bool = True,
) -> Splits[Graph]:
    """Load a graph and split it.

    The source's own split is returned where there is one: ``ddi`` and ``collab`` with their official negatives,
    ``wordnet18rr`` with drawn ones, ``arxiv`` for nodes. All else is split by
    :func:`graphforget.splits.split_edges` or :func:`~graphforget.splits.split_nodes`.

    Args:
        name: a key of :data:`DATASETS`.
        root: as in :func:`load`.
        task: ``link`` or ``node``; None takes the data set's usual one.
        seed: of the split, of drawn negatives and of drawn data.
        official: False splits at random even where there is an official split.
        normalize: as in :func:`load`.

    Raises:
        InputError: as in :func:`load`, an unknown task, or a node task on a graph without labels.

    Example:
        >>> [part.num_edges for part in load_splits("karate", task="link")]
        [144, 3, 3]
    """
    card = _card(name)
    task = card.task if task is None else task
    if task not in ("link", "node"):
        raise unknown("task", task, ("link", "node"))
    raw = _read(card, root) if card.files else None
    graph = _drawn(card, seed).validate() if raw is None else _graph(card, raw, normalize)
    if raw is not None and official and raw.official:
        if task == "link" and isinstance(raw.official["train"], tuple):
            return _official_edges(graph, raw, seed)
        if task == "node" and not isinstance(raw.official["train"], tuple):
            return _official_nodes(graph, raw)
    return split_edges(graph, seed=seed) if task == "link" else split_nodes(graph, seed=seed)


def load_many(name: str, root: str | PathLike[str] | None = None) -> list[Graph]:
    """Load a collection of small graphs; every node carries the label of its graph in ``y``.

    Args:
        name: a key of :data:`COLLECTIONS`.
        root: as in :func:`load`.

    Raises:
        InputError: as in :func:`load`.
    """
    if name not in COLLECTIONS:
        raise unknown("collection of graphs", name, COLLECTIONS)
    card = COLLECTIONS[name]
    files = download.obtain(card, root)
    try:
        return _many(card, files)
    except BadFile as bad:
        return _many(card, download.again(card, bad, root))


def _card(name: str) -> DatasetCard:
    if name in DATASETS:
        return DATASETS[name]
    if name in COLLECTIONS:
        raise InputError(f"{name} is a collection of {COLLECTIONS[name].graphs} graphs; use load_many({name!r})")
    raise unknown("data set", name, DATASETS)


def _drawn(card: DatasetCard, seed: int) -> Graph:
    if card.layout == "digits":
        return synthetic.digits()
    return synthetic.karate() if card.layout == "karate" else synthetic.sbm(seed=seed)


def _read(card: DatasetCard, root: str | PathLike[str] | None) -> Raw:
    files = download.obtain(card, root)
    try:
        return _checked(card, readers.READERS[card.layout](files))
    except BadFile as bad:
        return _checked(card, readers.READERS[card.layout](download.again(card, bad, root)))


def _checked(card: DatasetCard, raw: Raw) -> Raw:
    """Compare with the published counts, before anything large is built."""
    if raw.edges.size and (int(raw.edges.min()) < 0 or int(raw.edges.max()) >= raw.num_nodes):
        bad = int(raw.edges.max()) if int(raw.edges.max()) >= raw.num_nodes else int(raw.edges.min())
        raise BadFile(raw.blame["edges"], f"edge ids must lie in [0, {raw.num_nodes}) (got {bad})")
    if raw.y is not None and len(raw.y) != raw.num_nodes:
        raise BadFile(raw.blame["classes"], f"has {len(raw.y)} labels for {raw.num_nodes} nodes")
    found = {
        "nodes": raw.num_nodes,
        "edges": _distinct(raw.edges, raw.num_nodes, card.undirected) if raw.rows is None else raw.rows,
        "features": 0 if raw.x is None else raw.x.shape[1],
        "classes": 0 if raw.y is None else len(np.unique(raw.y[raw.y >= 0])),
    }
    for count, value in found.items():
        expected = getattr(card, count)
        if expected is not None and value != expected:
            path: Path = raw.blame[count]
            raise BadFile(path, f"gives {card.title} {value:,} {count}, expected {expected:,}")
    return raw


def _distinct(edges: Any, num_nodes: int, undirected: bool) -> int:
    """Count distinct pairs without self-loops, in either direction when undirected."""
    pairs = edges[:, edges[0] != edges[1]].astype(np.int64)
    pairs = np.sort(pairs, axis=0) if undirected else pairs
    code = np.sort(pairs[0] * num_nodes + pairs[1])
    return int((np.diff(code) != 0).sum()) + min(len(code), 1)


def _graph(card: DatasetCard, raw: Raw, normalize: bool) -> Graph:
    features: dict[str, Tensor] = {}
    if raw.x is not None:
        features["x"] = readers.dense(raw.x, normalize and card.bag_of_words)
    y = None if raw.y is None else torch.from_numpy(raw.y).long()
    edges = torch.from_numpy(np.ascontiguousarray(raw.edges, dtype=np.int64))
    if card.undirected:
        return Graph.from_edges(edges, raw.num_nodes, features=features, y=y).validate()
    size = (raw.num_nodes, raw.num_nodes)
    attrs = {} if raw.kind is None else {"type": torch.from_numpy(raw.kind).long()}
    return Graph(edges, size, features=features, edge_attrs=attrs, y=y).validate()


def _official_edges(graph: Graph, raw: Raw, seed: int) -> Splits[Graph]:
    pairs = {part: torch.from_numpy(np.ascontiguousarray(value[0])) for part, value in raw.official.items()}
    cuts = np.cumsum([pairs[part].shape[1] for part in ("train", "valid", "test")])
    if graph.undirected:
        train = replace(Graph.from_edges(pairs["train"], graph.num_nodes, y=graph.y), features=graph.features)
    else:
        train = graph.with_edges(torch.arange(int(cuts[0])))
    views = []
    view = replace(graph.with_edges(torch.arange(0)), undirected=False)
    for at, part in enumerate(("valid", "test")):
        negatives = raw.official[part][1]
        if negatives is None:
            drawn = sample_negatives(graph, pairs[part].shape[1], seed=seed + at)
        else:
            drawn = torch.from_numpy(np.ascontiguousarray(negatives))
        attrs = {name: value[int(cuts[at]) : int(cuts[at + 1])] for name, value in graph.edge_attrs.items()}
        views.append(replace(view, edge_index=pairs[part], edge_attrs=attrs, negatives=drawn))
    return Splits(train.validate(), views[0].validate(), views[1].validate())


def _official_nodes(graph: Graph, raw: Raw) -> Splits[Graph]:
    assert graph.y is not None  # an official split of nodes comes with labels
    views = []
    for part in ("train", "valid", "test"):
        mask = torch.zeros(graph.num_nodes, dtype=torch.bool)
        mask[torch.from_numpy(raw.official[part])] = True
        views.append(replace(graph, node_mask=mask, y=graph.y.masked_fill(~mask, -1)))
    return Splits(views[0], views[1], views[2])


def _many(card: DatasetCard, files: dict[str, Path]) -> list[Graph]:
    raw, owner, labels = readers.tu(files)
    _checked(card, raw)
    if len(labels) != card.graphs:
        raise BadFile(raw.blame["classes"], f"gives {card.title} {len(labels):,} graphs, expected {card.graphs:,}")
    if (np.diff(owner) < 0).any() or (owner[raw.edges[0]] != owner[raw.edges[1]]).any():
        raise BadFile(raw.blame["edges"], "has an edge between two graphs, or nodes out of order")
    assert isinstance(raw.x, np.ndarray)
    start = np.searchsorted(owner, np.arange(len(labels) + 1))
    order = np.argsort(owner[raw.edges[0]], kind="stable")
    edges = raw.edges[:, order]
    cut = np.searchsorted(owner[edges[0]], np.arange(len(labels) + 1))
    graphs = []
    for at, label in enumerate(labels):
        first, last = int(start[at]), int(start[at + 1])
        pairs = torch.from_numpy(edges[:, cut[at] : cut[at + 1]] - first)
        x, y = torch.from_numpy(raw.x[first:last]), torch.full((last - first,), int(label))
        graphs.append(Graph.from_edges(pairs, last - first, features={"x": x}, y=y).validate())
    return graphs
