"""scipy.sparse matrices in and out, and edge-list files."""

from __future__ import annotations

import csv
import gzip
import os
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from graphforget.errors import InputError
from graphforget.gnn.pyg_interop import same_size
from graphforget.graph import Graph


def from_scipy(matrix: Any, *, bipartite: bool = False) -> Graph:
    """Convert a scipy.sparse matrix: rows are sources (users), columns targets (items).

    Values other than one become ``edge_attrs["weight"]``; a symmetric pattern makes the graph undirected.

    Args:
        matrix: any format; square unless bipartite.
        bipartite: a user-item matrix.

    Raises:
        InputError: a rectangular matrix that is not declared bipartite, or values that are not finite.

    Example:
        >>> from_scipy(sp.csr_matrix(np.array([[0, 1, 1]])), bipartite=True).size
        (1, 3)
    """
    coo = sp.csr_matrix(matrix).tocoo()
    if coo.shape[0] != coo.shape[1] and not bipartite:
        raise InputError(
            f"a homogeneous graph needs a square matrix (got {coo.shape}); declare bipartite=True if it is user-item"
        )
    keep = coo.data != 0
    values = coo.data[keep]
    if values.dtype.kind in "fc" and not np.isfinite(values).all():
        raise InputError("the matrix holds NaN or infinity; clean it first")
    edge_index = torch.from_numpy(np.stack([coo.row[keep], coo.col[keep]]).astype(np.int64))
    attrs = {} if (values == 1).all() else {"weight": torch.from_numpy(values.astype(np.float32))}
    size = (int(coo.shape[0]), int(coo.shape[1]))
    graph = Graph(edge_index, size, bipartite=bipartite, edge_attrs=attrs).validate()
    symmetric = not bipartite and bool(graph.has_edges(graph.edge_index.flip(0)).all())
    return replace(graph, undirected=True) if symmetric else graph


def to_scipy(graph: Graph) -> sp.csr_matrix:
    """Convert to CSR of shape ``graph.size``: weights where the graph has them, else ones (parallel edges add up).

    Example:
        >>> to_scipy(Graph.from_edges(torch.tensor([[0], [1]]), 2)).toarray().tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    weight = graph.edge_attrs.get("weight")
    values = np.ones(graph.num_edges, np.float32) if weight is None else weight.cpu().numpy()
    rows, cols = graph.edge_index.cpu().numpy()
    return sp.csr_matrix((values, (rows, cols)), shape=graph.size)


def like_scipy(original: Any, graph: Graph) -> Any:
    """Give a graph back as a matrix of the original's class, format and values, without the forgotten entries."""
    same_size(graph, (int(original.shape[0]), int(original.shape[1])))
    coo = sp.csr_matrix(original).tocoo()
    pairs = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
    stays = (graph.has_edges(pairs.to(graph.device)).cpu().numpy()) & (coo.data != 0)
    kept = sp.coo_matrix((coo.data[stays], (coo.row[stays], coo.col[stays])), shape=coo.shape)
    return type(original)(kept.asformat(original.format))


def from_edge_list(path: str | os.PathLike[str], *, undirected: bool = True, bipartite: bool = False) -> Graph:
    """Read an edge list: two whole numbers a line, and a weight where there is a third column.

    Commas, tabs, semicolons or blanks separate; one header line and lines that start with # or % are skipped; ``.gz``
    is unpacked. Such files list an undirected edge once: twins are added, self-loops and repeated edges dropped.

    Args:
        path: the file.
        undirected: each line is an edge in both directions.
        bipartite: the columns are user and item; each line is an interaction, nothing is added or dropped.

    Raises:
        InputError: no such file, or a broken row, with its line number.
    """
    name = os.fspath(path)
    opened = gzip.open if name.endswith(".gz") else open
    pairs: list[tuple[int, int]] = []
    weights: list[float] = []
    columns = 0
    try:
        with opened(name, "rt", encoding="utf-8-sig", newline="") as file:
            separator: str | None = None
            first = True
            for number, line in enumerate(file, start=1):
                text = line.strip()
                if not text or text[0] in "#%":
                    continue
                if first:
                    separator = next((each for each in ",;\t" if each in text), None)
                cells = next(csv.reader([text], delimiter=separator)) if separator else text.split()
                if first and not _whole(cells[0]):
                    first = False
                    continue
                if not columns:
                    columns = len(cells)
                    if columns not in (2, 3):
                        raise InputError(f"{name}, line {number}: expected 2 or 3 columns (got {columns}: {text!r})")
                first = False
                pairs.append(_row(cells, columns, name, number, text, weights))
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(f"{name} cannot be read as an edge list ({error})") from error
    if not pairs:
        raise InputError(f"{name} holds no edge; expected two whole numbers a line")
    edges = np.array(pairs, dtype=np.int64).T
    weight = np.array(weights, dtype=np.float32) if columns == 3 else None
    highest = edges.max(1) if bipartite else np.full(2, edges.max())
    if not bipartite:
        edges, weight = _once(edges, weight, undirected)
    attrs = {} if weight is None else {"weight": torch.from_numpy(weight)}
    size = (int(highest[0]) + 1, int(highest[1]) + 1)
    twins = undirected and not bipartite
    return Graph(torch.from_numpy(edges), size, bipartite, twins, edge_attrs=attrs).validate()


def _whole(text: str) -> bool:
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdigit()


def _row(cells: list[str], columns: int, name: str, number: int, text: str, weights: list[float]) -> tuple[int, int]:
    at = f"{name}, line {number}"
    if len(cells) != columns:
        raise InputError(f"{at}: expected {columns} columns (got {len(cells)}: {text!r})")
    if not (_whole(cells[0]) and _whole(cells[1])) or int(cells[0]) < 0 or int(cells[1]) < 0:
        raise InputError(f"{at}: ids must be whole numbers from 0 (got {text!r}); number the nodes first")
    if columns == 3:
        try:
            weights.append(float(cells[2]))
        except ValueError as error:
            raise InputError(f"{at}: the third column must be a number, the weight (got {cells[2]!r})") from error
        if not np.isfinite(weights[-1]):
            raise InputError(f"{at}: the weight must be finite (got {cells[2]!r})")
    return int(cells[0]), int(cells[1])


def _once(
    edges: npt.NDArray[np.int64], weight: npt.NDArray[np.float32] | None, undirected: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32] | None]:
    """Drop self-loops and repeated edges (the first counts), and add twins."""
    count = int(edges.max()) + 1
    pairs = np.sort(edges, axis=0) if undirected else edges
    _, first = np.unique(pairs[0] * count + pairs[1], return_index=True)
    first = first[pairs[0, first] != pairs[1, first]]
    kept, value = pairs[:, first], None if weight is None else weight[first]
    if undirected:
        kept = np.concatenate([kept, kept[::-1]], axis=1)
        value = None if value is None else np.concatenate([value, value])
    return np.ascontiguousarray(kept), value
