"""Data sets of a few lines in their true raw formats, and a network that serves them."""

from __future__ import annotations

import csv
import gzip
import io
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from graphforget import download
from graphforget.gnn.cards import COLLECTIONS, DATASETS


class Reply(io.BytesIO):
    """What urlopen returns."""

    headers = None


def serve(monkeypatch, pages: dict[str, bytes]) -> list[str]:
    """A network that knows some pages, by the end of their address."""
    asked: list[str] = []

    def answer(url, **_):
        asked.append(url)
        for end, body in pages.items():
            if url.endswith(end):
                return Reply(body)
        raise OSError(f"404 {url}")

    monkeypatch.setattr(download.urllib.request, "urlopen", answer)
    return asked


def present(name: str, root: Path) -> None:
    card = {**DATASETS, **COLLECTIONS}[name]
    if download.locate(card, root) is None:
        pytest.skip(f"{card.title} is not in the data folder")


def recount(monkeypatch, name: str, **counts: int) -> None:
    """Give a card the counts of a small fixture."""
    table = DATASETS if name in DATASETS else COLLECTIONS
    monkeypatch.setitem(table, name, replace(table[name], pinned=False, **counts))


def tree(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def planetoid(folder: Path, name: str, skip: int | None = None) -> None:
    """Six training and four test nodes in a ring of four words; ``skip`` leaves a test node out, as CiteSeer does."""
    folder.mkdir(parents=True, exist_ok=True)
    x = np.tile(np.eye(4, dtype=np.float32), (3, 1))[:10] + np.eye(10, 4, k=-1, dtype=np.float32)
    labels = np.eye(3, dtype=np.int32)[np.arange(10) % 3]
    test = np.array([9, 7, 6, 8])
    test = test[test != skip]
    graph = {u: [(u + 1) % 10, (u - 1) % 10] for u in range(10)}
    if skip is not None:
        graph = {u: [v for v in near if v != skip] for u, near in graph.items()} | {skip: []}
    parts = {
        "x": sp.csr_matrix(x[:2]),
        "tx": sp.csr_matrix(x[test]),
        "allx": sp.csr_matrix(x[:6]),
        "y": labels[:2],
        "ty": labels[test],
        "ally": labels[:6],
        "graph": graph,
    }
    for part, value in parts.items():
        text = pickle.dumps(value, protocol=2).replace(b"scipy.sparse._csr", b"scipy.sparse.csr")
        (folder / f"ind.{name}.{part}").write_bytes(text)
    (folder / f"ind.{name}.test.index").write_text("".join(f"{each}\n" for each in test))


def npz(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    adjacency = sp.csr_matrix(np.array([[0, 2.0, 0], [0, 1, 1], [0, 0, 0]], dtype=np.float32))
    words = sp.csr_matrix(np.array([[3.0, 1], [0, 0], [0, 2]], dtype=np.float32))
    fields = {"labels": np.array([2, 1, 2]), "class_names": np.array([{"a": 1}], dtype=object)}
    for name, matrix in (("adj", adjacency), ("attr", words)):
        fields |= {f"{name}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr", "shape")}
    np.savez_compressed(path, **fields)


def gz(path: Path, rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        csv.writer(file).writerows(rows)


def collab(folder: Path) -> None:
    gz(folder / "raw/edge.csv.gz", [(0, 1), (1, 0), (1, 2), (2, 3)])
    gz(folder / "raw/node-feat.csv.gz", [(0.5, -1.25), (1e-3, 0), (2, 3), (4, 5)])
    (folder / "split/time").mkdir(parents=True)
    for part, edge, negative in (("valid", (0, 3), (1, 3)), ("test", (0, 2), (3, 0))):
        saved = {
            "edge": np.array([edge]),
            "weight": np.array([1]),
            "year": np.array([2018]),
            "edge_neg": np.array([negative]),
        }
        torch.save(saved, folder / f"split/time/{part}.pt", _use_new_zipfile_serialization=False)


def arxiv(folder: Path) -> None:
    gz(folder / "raw/edge.csv.gz", [(0, 1), (1, 2), (2, 1), (3, 0)])
    gz(folder / "raw/node-feat.csv.gz", [(0.5, 1), (2, 3), (4, -5), (6, 7)])
    gz(folder / "raw/node-label.csv.gz", [[1], [0], [1], [0]])
    for part, nodes in (("train", [0, 1]), ("valid", [2]), ("test", [3])):
        gz(folder / f"split/time/{part}.csv.gz", [[node] for node in nodes])
