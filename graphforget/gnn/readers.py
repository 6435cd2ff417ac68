"""Read the raw files of each published layout; nothing is checked against a card here but what a file says of itself.

A reader takes path-of-the-card -> file and returns a :class:`Raw`. No pickle is read but through
:mod:`graphforget.unpickle`, and every matrix index is checked before compiled code follows it.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from graphforget import unpickle
from graphforget.download import BadFile, reading

Files = Mapping[str, Path]
Array = npt.NDArray[Any]

RELATIONS = (
    "_also_see",
    "_derivationally_related_form",
    "_has_part",
    "_hypernym",
    "_instance_hypernym",
    "_member_meronym",
    "_member_of_domain_region",
    "_member_of_domain_usage",
    "_similar_to",
    "_synset_domain_topic_of",
    "_verb_group",
)  # PyG's numbers


@dataclass
class Raw:
    """What the files of one data set hold.

    Args:
        num_nodes: N.
        edges: [2, E] as the files list them.
        x: [N, F] CSR or dense, or None.
        y: [N] int64, -1 where unknown, or None.
        kind: [E] relation types, or None.
        rows: edges as the source counts them, where that is not the number of distinct pairs.
        official: part -> (edges [2, n], negatives [2, m] or None) or node ids [n], where the source names a split.
        blame: count -> file it was read from, for the message of a wrong one.
    """

    num_nodes: int
    edges: Array
    x: sp.csr_matrix | Array | None = None
    y: Array | None = None
    kind: Array | None = None
    rows: int | None = None
    official: dict[str, Any] = field(default_factory=dict)
    blame: dict[str, Path] = field(default_factory=dict)


def planetoid(files: Files) -> Raw:
    """Read Planetoid's ind.* files: the rows of the test nodes are stored in the order of test.index.

    CiteSeer's test.index skips nodes that only the graph file knows: they get zero features and the label -1.
    """
    part = {name.partition("ind.")[2].partition(".")[2]: path for name, path in files.items()}
    allx, tx = _matrix(part["allx"]), _matrix(part["tx"])
    ally, ty = _labels(part["ally"]), _labels(part["ty"])
    with reading(part["graph"]) as path:
        table = unpickle.load(path, encoding="latin1")
        if not isinstance(table, dict):
            raise BadFile(path, f"must hold a dict of neighbours (got {type(table).__name__})")
        ends = [(u, v) for u, neighbours in table.items() for v in neighbours]
        edges = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    with reading(part["test.index"]) as path:
        index = np.loadtxt(path, dtype=np.int64, ndmin=1)
        if len(index) != tx.shape[0] or len(index) != len(ty):
            raise BadFile(path, f"names {len(index)} test nodes, but tx has {tx.shape[0]} rows and ty {len(ty)}")
        first, last = allx.shape[0], int(index.max())
        if int(index.min()) < first or len(np.unique(index)) != len(index):
            raise BadFile(path, f"must name distinct test nodes from {first} on (got {int(index.min())} as the first)")
    num_nodes = max(last + 1, len(table))
    order = np.full(num_nodes - first, -1)
    order[index - first] = np.arange(len(index))
    known = order >= 0
    nothing = np.full(num_nodes - first, tx.shape[0])  # the empty row below
    stacked = sp.csr_matrix(sp.vstack([allx, tx, sp.csr_matrix(np.zeros((1, allx.shape[1]), np.float32))]))
    x = stacked[np.concatenate([np.arange(first), first + np.where(known, order, nothing)])]
    y = np.full(num_nodes, -1)
    y[:first], y[first:][known] = ally, ty[order[known]]
    blame = {"nodes": part["graph"], "edges": part["graph"], "features": part["allx"], "classes": part["ally"]}
    return Raw(num_nodes, edges, x, y, blame=blame)


def npz(files: Files) -> Raw:
    """Read graph2gauss's sparse npz: adj_*, attr_*, labels. Words are made binary, as PyG does."""
    (path,) = files.values()
    with reading(path), np.load(path, allow_pickle=False) as packed:
        adjacency = _csr(path, packed, "adj").tocoo()
        x = _csr(path, packed, "attr")
        _, y = np.unique(packed["labels"], return_inverse=True)  # BlogCatalog counts from 1
    x.data = np.where(x.data > 0, 1, x.data).astype(np.float32)
    return Raw(adjacency.shape[0], np.stack([adjacency.row, adjacency.col]), x, y, blame=_all(path))


def masked_npz(files: Files) -> Raw:
    """Read the npz of the heterophilous collection: node_features, node_labels, edges; each edge once."""
    (path,) = files.values()
    with reading(path), np.load(path, allow_pickle=False) as packed:
        x, y, edges = packed["node_features"], packed["node_labels"], packed["edges"]
    return Raw(len(x), edges.T.astype(np.int64), x.astype(np.float32), y.astype(np.int64), blame=_all(path))


def musae(files: Files) -> Raw:
    """Read SNAP's archive: edges and targets as csv, features as lists of columns in json."""
    (path,) = files.values()
    with reading(path), zipfile.ZipFile(path) as packed:
        entry = {name.rpartition("/")[2]: name for name in packed.namelist()}
        edges = _table(packed.read(entry["musae_git_edges.csv"]), skip=1, columns=(0, 1)).T
        with packed.open(entry["musae_git_target.csv"]) as file:
            rows = list(csv.DictReader(io.TextIOWrapper(file, "utf-8")))
        words: dict[str, list[int]] = json.loads(packed.read(entry["musae_git_features.json"]))
    y = np.full(len(rows), -1)
    with reading(path):
        y[[int(row["id"]) for row in rows]] = [int(row["ml_target"]) for row in rows]
        node = np.repeat([int(each) for each in words], [len(columns) for columns in words.values()])
        column = np.concatenate([np.asarray(columns, dtype=np.int64) for columns in words.values()])
        x = sp.csr_matrix((np.ones(len(node), np.float32), (node, column)), shape=(len(rows), int(column.max()) + 1))
    x.data[:] = 1  # a word named twice counts once
    return Raw(len(rows), edges, x, y, blame=_all(path))


def triples(files: Files) -> Raw:
    """Read WordNet18RR's head, relation, tail lines; entities are numbered as PyG numbers them."""
    ids: dict[str, int] = {}
    parts, kinds = {}, {}
    for name, path in files.items():
        with reading(path):
            words = path.read_text(encoding="utf-8").split()
            if not words or len(words) % 3:
                raise BadFile(path, f"must hold lines of three words (got {len(words)} words)")
            number = [ids.setdefault(word, len(ids)) for word in (*words[::3], *words[2::3])]
            part = Path(name).stem
            parts[part] = np.array(number).reshape(2, -1)
            kinds[part] = np.array([RELATIONS.index(word) for word in words[1::3]])
    edges = np.concatenate([parts[part] for part in ("train", "valid", "test")], axis=1)
    kind = np.concatenate([kinds[part] for part in ("train", "valid", "test")])
    official = {part: (parts[part], None) for part in parts}
    return Raw(len(ids), edges, kind=kind, rows=edges.shape[1], official=official, blame=_all(_named(files, "train")))


def ogb_ddi(files: Files) -> Raw:
    """Read ogbl-ddi: raw/edge.csv.gz holds the training edges, split/target the held-out ones and their negatives."""
    train = _csv(_named(files, "edge.csv")).T
    held = {part: _held_out(_named(files, f"{part}.pt")) for part in ("valid", "test")}
    edges = np.concatenate([train, held["valid"][0], held["test"][0]], axis=1)
    official = {"train": (train, None), **held}
    return Raw(int(edges.max()) + 1, edges, official=official, blame=_all(_named(files, "edge.csv")))


def ogb_collab(files: Files) -> Raw:
    """Read ogbl-collab: an edge a year and pair, 128 averaged word embeddings a node."""
    train = _csv(_named(files, "edge.csv")).T
    held = {part: _held_out(_named(files, f"{part}.pt")) for part in ("valid", "test")}
    edges = np.concatenate([train, held["valid"][0], held["test"][0]], axis=1)
    x = _csv(_named(files, "node-feat"), np.float32)
    blame = _all(_named(files, "edge.csv")) | dict.fromkeys(("nodes", "features"), _named(files, "node-feat"))
    return Raw(len(x), edges, x, rows=edges.shape[1], official={"train": (train, None), **held}, blame=blame)


def ogb_arxiv(files: Files) -> Raw:
    """Read ogbn-arxiv: citations, 128 averaged word embeddings a node, 40 subject areas, a split by year."""
    edges = _csv(_named(files, "edge.csv")).T
    x = _csv(_named(files, "node-feat"), np.float32)
    y = _csv(_named(files, "node-label")).flatten()
    official = {part: _csv(_named(files, f"{part}.csv")).flatten() for part in ("train", "valid", "test")}
    blame = {
        "nodes": _named(files, "node-feat"),
        "features": _named(files, "node-feat"),
        "edges": _named(files, "edge.csv"),
        "classes": _named(files, "node-label"),
    }
    return Raw(len(x), edges, x, y, rows=edges.shape[1], official=official, blame=blame)


def tu(files: Files) -> tuple[Raw, Array, Array]:
    """Read a TUDataset collection: (one graph of all nodes, graph of each node [N], label of each graph [G])."""
    edges = _csv(_named(files, "_A.txt")).T - 1
    graph = _csv(_named(files, "graph_indicator")).flatten() - 1
    with reading(_named(files, "node_labels")) as path:
        _, word = np.unique(_csv(path)[:, 0], return_inverse=True)
        if len(word) != len(graph):
            raise BadFile(path, f"has {len(word)} lines, but {len(graph)} nodes are in the graphs")
    with reading(_named(files, "graph_labels")) as path:
        _, label = np.unique(_csv(path)[:, 0], return_inverse=True)
        if len(label) != graph.max() + 1:
            raise BadFile(path, f"has {len(label)} lines, but the nodes are of {graph.max() + 1} graphs")
    x = np.eye(int(word.max()) + 1, dtype=np.float32)[word]
    blame = {
        "nodes": _named(files, "graph_indicator"),
        "edges": _named(files, "_A.txt"),
        "features": _named(files, "node_labels"),
        "classes": _named(files, "graph_labels"),
    }
    return Raw(len(graph), edges, x, label[graph], blame=blame), graph, label


READERS: dict[str, Callable[[Files], Raw]] = {
    "planetoid": planetoid,
    "npz": npz,
    "masked_npz": masked_npz,
    "musae": musae,
    "triples": triples,
    "ogb_ddi": ogb_ddi,
    "ogb_collab": ogb_collab,
    "ogb_arxiv": ogb_arxiv,
}


def dense(x: sp.csr_matrix | Array, normalize: bool) -> Tensor:
    """Return [N, F] float32, with ``normalize`` as PyG's NormalizeFeatures has it: rows of words sum to one.

    Example:
        >>> dense(np.array([[1.0, 3.0], [0.0, 0.0]]), normalize=True).tolist()
        [[0.25, 0.75], [0.0, 0.0]]
    """
    if sp.issparse(x):
        matrix = sp.csr_matrix(x, dtype=np.float32)
        if normalize and matrix.data.min(initial=0) >= 0:
            total = np.maximum(np.asarray(matrix.sum(1), dtype=np.float32).ravel(), 1)
            matrix.data = matrix.data / np.repeat(total, np.diff(matrix.indptr))
            return torch.from_numpy(matrix.toarray())
        x = matrix.toarray()
    value = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
    if normalize and value.numel():
        value = value - value.min()
        value = value / value.sum(-1, keepdim=True).clamp_(min=1)
    return value


def _all(path: Path) -> dict[str, Path]:
    return dict.fromkeys(("nodes", "edges", "features", "classes"), path)


def _named(files: Files, text: str) -> Path:
    (found,) = [path for name, path in files.items() if text in name]
    return found


def _matrix(path: Path) -> sp.csr_matrix:
    with reading(path):
        value = unpickle.load(path, encoding="latin1")
        if not isinstance(value, sp.csr_matrix | np.ndarray):
            raise BadFile(path, f"must hold a matrix (got {type(value).__name__})")
        matrix = sp.csr_matrix(value, dtype=np.float32)
        matrix.check_format(full_check=True)
    return matrix


def _labels(path: Path) -> Array:
    with reading(path):
        value = unpickle.load(path, encoding="latin1")
        if not isinstance(value, np.ndarray) or value.ndim != 2:
            raise BadFile(path, f"must hold one-hot labels (got {type(value).__name__})")
        return np.where(value.any(1), value.argmax(1), -1)


def _csr(path: Path, packed: Any, name: str) -> sp.csr_matrix:
    data, indices, indptr = (packed[f"{name}_{part}"] for part in ("data", "indices", "indptr"))
    matrix = sp.csr_matrix((data.astype(np.float32), indices, indptr), shape=tuple(packed[f"{name}_shape"]))
    matrix.check_format(full_check=True)
    return matrix


def _csv(path: Path, dtype: type[Any] = np.int64) -> Array:
    """[rows, columns] of a csv file, gzipped or not."""
    with reading(path):
        table: Array = np.loadtxt(path, dtype=dtype, delimiter=",", ndmin=2)
    return table


def _table(text: bytes, skip: int, columns: tuple[int, ...]) -> Array:
    lines = io.StringIO(text.decode("utf-8"))
    table: Array = np.loadtxt(lines, dtype=np.int64, delimiter=",", skiprows=skip, usecols=columns, ndmin=2)
    return table


def _held_out(path: Path) -> tuple[Array, Array]:
    """Return (edges, negatives) of OGB's valid.pt or test.pt, [2, n] each."""
    with reading(path):
        parts = unpickle.load_torch(path)
        return np.asarray(parts["edge"]).T.astype(np.int64), np.asarray(parts["edge_neg"]).T.astype(np.int64)
