"""A graph in a folder, opened without being read: ``header.json`` beside plain ``.npy`` arrays that are memory-mapped.

``indptr.npy`` and ``indices.npy`` are the square, symmetric CSR of :class:`~graphforget.store.Store`; each feature
array is ``feature-NAME.npy``. The writer takes edges in pieces and never holds more than one of them and two numbers a
node, so a graph may be larger than the memory. A folder is written under another name and moved into place at the end:
an interrupted run leaves no folder that can be opened.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numpy.lib.format import open_memmap

from graphforget.errors import InputError, missing_extra
from graphforget.graph import Graph
from graphforget.kernels import csr
from graphforget.store import Store, check_distinct, give_back

IntArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
FORMAT, VERSION = "graphforget-csr", 1
BLOCK = 2**22  # slots that are sorted or checked at once


def open_store(folder: str | Path, *, verify: bool = True) -> Store:
    """Open a folder; its arrays stay in their files.

    Args:
        folder: as :func:`write` and :func:`write_edges` make them.
        verify: read the CSR once, block by block, and check every row (O(E)); else only sizes and ends.

    Raises:
        InputError: a file is missing, cut short or of another kind, or the CSR is not valid.
    """
    root = Path(folder)
    header = _header(root)
    size = (int(header["size"][0]), int(header["size"][1]))
    bipartite = bool(header["bipartite"])
    total = sum(size) if bipartite else size[0]
    indptr = _load(root / "indptr.npy", (total + 1,), np.int64)
    indices = _load(root / "indices.npy", (int(header["slots"]),), np.int64)
    features: dict[str, Array] = {}
    for name in header["features"]:
        features[name] = _load(root / f"feature-{name}.npy", None, None)
        rows = total if name == "x" else size[1]
        if features[name].ndim != 2 or len(features[name]) != rows:
            raise InputError(f"feature {name!r} must have shape [{rows}, F] (got {list(features[name].shape)})")
    if not len(indptr) or indptr[0] != 0 or indptr[-1] != len(indices):
        raise InputError(f"{root}: indptr must run from 0 to {len(indices)} (got {indptr[:1]} to {indptr[-1:]})")
    if verify:
        _verify(indptr, indices, root)
    removed = np.array(header["removed"], dtype=np.int64)
    return Store(indptr, indices, size, bipartite, features, removed=removed)


def write(graph: Graph, folder: str | Path) -> Path:
    """Write a graph in memory (from any door: ``graphforget.gnn.interop`` reads PyG, DGL, scipy) to a folder.

    Raises:
        InputError: the folder exists, or a store cannot hold the graph.
    """
    store = Store.of(graph)
    with _Writing(folder) as root:
        np.save(root / "indptr.npy", store.indptr)
        np.save(root / "indices.npy", store.indices)
        for name, value in store.features.items():
            np.save(root / f"feature-{_name(name)}.npy", store.rows(name, np.arange(len(value))).numpy())
        _finish(root, store.size, store.bipartite, len(store.indices), list(store.features), store.removed)
    return Path(folder)


def compact(store: Store, folder: str | Path) -> Path:
    """Write what a store retains to a folder, in pieces; the edges and features that are gone are not in it.

    Raises:
        InputError: the folder exists.
    """
    users = store.size[0] if store.bipartite else store.num_nodes

    def pieces() -> Iterator[Array]:
        for start, end in _blocks(store.indptr):
            nodes = np.arange(start, min(end, users))
            owner, found = store.neighbors(nodes, -1, 0)
            kept = found > nodes[owner]
            yield store.pairs(nodes[owner[kept]], found[kept]).numpy()

    def rows(name: str, total: int) -> Callable[[], Iterator[Array]]:
        starts = range(0, total, BLOCK)
        return lambda: (store.rows(name, np.arange(start, min(start + BLOCK, total))).numpy() for start in starts)

    features = {name: (value.shape[1], rows(name, len(value))) for name, value in store.features.items()}
    return write_edges(pieces, store.size, folder, bipartite=store.bipartite, features=features, removed=store.removed)


def write_edges(
    pieces: Callable[[], Iterable[Array]],
    size: tuple[int, int],
    folder: str | Path,
    *,
    bipartite: bool = False,
    features: Mapping[str, tuple[int, Callable[[], Iterable[Array]]]] | None = None,
    removed: IntArray | None = None,
) -> Path:
    """Write edges that come in pieces to a folder: self-loops and duplicates go, twins are added.

    Args:
        pieces: called twice; yields [2, n] ids, (user, item) when bipartite, each time the same.
        size: (num_src, num_dst).
        folder: must not exist.
        bipartite: user-item.
        features: {name: (width, pieces of rows [n, width] in order)}, stored as float32.
        removed: [m] nodes that are gone.

    Raises:
        InputError: an id out of range, features of the wrong length, or the folder exists.
    """
    total = sum(size) if bipartite else size[0]
    with _Writing(folder) as root:
        count = np.zeros(total, dtype=np.int64)
        for rows, _ in _twins(pieces, size, bipartite):
            count += np.bincount(rows, minlength=total)
        indptr = np.concatenate([[0], np.cumsum(count)])
        raw = open_memmap(root / "raw.npy", "w+", np.int64, (int(indptr[-1]),))
        free = indptr[:-1].copy()
        for rows, cols in _twins(pieces, size, bipartite):
            _scatter(rows, cols, free, raw)
        del free
        kept = _sort_rows(indptr, raw, count)
        np.cumsum(count, out=indptr[1:])
        np.save(root / "indptr.npy", indptr)
        out = open_memmap(root / "indices.npy", "w+", np.int64, (kept,))
        for start in range(0, kept, BLOCK):
            out[start : start + BLOCK] = raw[start : min(start + BLOCK, kept)]
        out.flush()
        del raw, out
        (root / "raw.npy").unlink()
        for name, (width, rows_of) in (features or {}).items():
            _write_rows(root / f"feature-{_name(name)}.npy", total if name == "x" else size[1], width, rows_of())
        _finish(root, size, bipartite, kept, list(features or {}), np.empty(0) if removed is None else removed)
    return Path(folder)


def write_parquet(
    path: str | Path,
    size: tuple[int, int],
    folder: str | Path,
    *,
    columns: tuple[str, str],
    bipartite: bool = False,
    features: Mapping[str, Array | str | Path] | None = None,
) -> Path:
    """Write the edges of a Parquet file to a folder, a row group at a time.

    Args:
        path: the file.
        size: (num_src, num_dst).
        folder: must not exist.
        columns: of the sources (users) and the targets (items).
        bipartite: user-item.
        features: as for :func:`write_edge_list`.

    Raises:
        MissingExtra: pyarrow is not installed.
        InputError: a column is missing; else as :func:`write_edge_list`.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet") from error
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as Parquet ({error})") from error
    known = file.schema_arrow.names
    if missing := [name for name in columns if name not in known]:
        raise InputError(f"{path}: no column {missing[0]!r}; known: {known}")

    def pieces() -> Iterator[Array]:
        for batch in file.iter_batches(batch_size=BLOCK, columns=list(columns)):
            for name in columns:
                if batch.column(name).null_count:
                    raise InputError(f"{path}: column {name!r} holds empty cells; every edge needs both ends")
            yield np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in columns])

    return write_edges(pieces, size, folder, bipartite=bipartite, features=_in_pieces(features))


def write_edge_list(
    path: str | Path,
    size: tuple[int, int],
    folder: str | Path,
    *,
    bipartite: bool = False,
    features: Mapping[str, Array | str | Path] | None = None,
) -> Path:
    """Write a text file of two integers a line (further columns and lines from ``#`` on are left out) to a folder.

    Args:
        path: the file.
        size: (num_src, num_dst).
        folder: must not exist.
        bipartite: user-item.
        features: {"x": [N, F]} or item modalities: arrays, or the ``.npy`` files of arrays, which are read in pieces.

    Raises:
        InputError: no such file or no such line; else as :func:`write_edges`.
    """
    if not Path(path).is_file():
        raise InputError(f"{path} is no file; name the edge list")

    def pieces() -> Iterator[Array]:
        with Path(path).open(encoding="utf-8") as file:
            while lines := file.readlines(2**24):
                pairs = [line.replace(",", " ").split()[:2] for line in lines if line.strip() and line[0] != "#"]
                try:
                    yield np.array(pairs, dtype=np.int64).reshape(-1, 2).T
                except ValueError as error:
                    raise InputError(f"{path}: every line must start with two integers (got {error})") from error

    return write_edges(pieces, size, folder, bipartite=bipartite, features=_in_pieces(features))


def _in_pieces(
    features: Mapping[str, Array | str | Path] | None,
) -> dict[str, tuple[int, Callable[[], Iterable[Array]]]]:
    """The features as :func:`write_edges` takes them."""

    def rows(array: Array) -> Callable[[], Iterator[Array]]:
        return lambda: (np.asarray(array[start : start + BLOCK]) for start in range(0, len(array), BLOCK))

    found: dict[str, tuple[int, Callable[[], Iterable[Array]]]] = {}
    for name, given in (features or {}).items():
        array = _load(Path(given), None, None) if isinstance(given, str | Path) else np.asarray(given)
        if array.ndim != 2 or array.dtype.kind not in "iuf":
            raise InputError(f"feature {name!r} must be numbers [N, F] (got {array.dtype} {list(array.shape)})")
        found[name] = array.shape[1], rows(array)
    return found


class _Writing:
    """A folder under another name, moved into place when all went well."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.part = self.folder.with_name(self.folder.name + ".part")

    def __enter__(self) -> Path:
        if self.folder.exists():
            raise InputError(f"{self.folder} exists already; remove it or name another folder")
        shutil.rmtree(self.part, ignore_errors=True)
        self.part.mkdir(parents=True)
        return self.part

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.part.rename(self.folder)
        else:
            shutil.rmtree(self.part, ignore_errors=True)


def _finish(
    root: Path, size: tuple[int, int], bipartite: bool, slots: int, features: list[str], removed: Array
) -> None:
    header = {"format": FORMAT, "version": VERSION, "size": list(size), "bipartite": bipartite}
    header |= {"slots": slots, "features": features, "removed": removed.tolist()}
    text = json.dumps(header, indent=1)
    (root / "header.json").write_text(text + "\n", encoding="utf-8")


def _header(root: Path) -> dict[str, Any]:
    path = root / "header.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{root} is no graph folder: header.json is missing; write one with write_edges()") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); write the folder anew") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT or found.get("version") != VERSION:
        raise InputError(f"{path} must have format {FORMAT!r} and version {VERSION}; write the folder anew")
    kinds = {"size": list, "bipartite": bool, "slots": int, "features": list}
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            raise InputError(f"{path} must give {name!r} (got {found.get(name)!r}); write the folder anew")
    if len(found["size"]) != 2 or not all(isinstance(one, int) and one >= 0 for one in found["size"]):
        raise InputError(f"{path}: size must be two numbers of 0 or more (got {found['size']})")
    for name in found["features"]:
        _name(name)
    total = sum(found["size"]) if found["bipartite"] else found["size"][0]
    for node in found.setdefault("removed", []):
        if not isinstance(node, int) or not 0 <= node < total:
            raise InputError(f"{path}: removed nodes must be numbers in [0, {total}) (got {node!r})")
    return found


def _load(path: Path, shape: tuple[int, ...] | None, dtype: Any) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing; write the folder anew") from error
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is cut short or no .npy file ({error}); write the folder anew") from error
    if (shape is not None and array.shape != shape) or (dtype is not None and array.dtype != dtype):
        want = f"{np.dtype(dtype)} {list(shape or ())}"
        raise InputError(f"{path} must be {want} (got {array.dtype} {list(array.shape)}); write the folder anew")
    return array


def _verify(indptr: IntArray, indices: IntArray, root: Path) -> None:
    """Check the CSR in blocks of rows."""
    for start, end in _blocks(indptr):
        low, high = int(indptr[start]), int(indptr[end])
        block = np.asarray(indptr[start : end + 1]) - low, np.asarray(indices[low:high])
        try:
            csr.check(*block, len(indptr) - 1)
            check_distinct(*block, start)
        except ValueError as error:
            raise InputError(f"{root}: the CSR is not valid from row {start} on: {error}") from error
        give_back(indptr, indices)


def _blocks(indptr: IntArray) -> Iterator[tuple[int, int]]:
    """Ranges of rows of about BLOCK slots each."""
    start, last = 0, len(indptr) - 1
    while start < last:
        end = int(np.searchsorted(indptr, indptr[start] + BLOCK, side="right")) - 1
        end = min(max(end, start + 1), start + BLOCK, last)
        yield start, end
        start = end


def _twins(
    pieces: Callable[[], Iterable[Array]], size: tuple[int, int], bipartite: bool
) -> Iterator[tuple[IntArray, IntArray]]:
    """The pieces as (rows, cols) of the square CSR, both directions, checked."""
    for piece in pieces():
        if piece.ndim != 2 or piece.shape[0] != 2 or piece.dtype.kind not in "iu":
            raise InputError(f"pieces of edges must be integers [2, n] (got {piece.dtype} {list(piece.shape)})")
        for row, limit in zip(piece, size, strict=True):
            if len(row) and (int(row.min()) < 0 or int(row.max()) >= limit):
                bad = int(row.max()) if int(row.max()) >= limit else int(row.min())
                raise InputError(f"edge ids must lie in [0, {limit}) (got {bad})")
        rows, cols = piece.astype(np.int64)
        if bipartite:
            cols = cols + size[0]
        rows, cols = rows[rows != cols], cols[rows != cols]
        yield np.concatenate([rows, cols]), np.concatenate([cols, rows])


@njit(cache=True, nogil=True)
def _scatter(rows: IntArray, cols: IntArray, free: IntArray, out: IntArray) -> None:
    for i in range(len(rows)):
        out[free[rows[i]]] = cols[i]
        free[rows[i]] += 1


def _sort_rows(indptr: IntArray, raw: IntArray, count: IntArray) -> int:
    """Sort each row and drop its duplicates, moving what is kept to the front; ``count`` becomes what is kept."""
    kept, width = 0, len(count)
    for start, end in _blocks(indptr):
        low, high = int(indptr[start]), int(indptr[end])
        rows = np.repeat(np.arange(start, end), np.diff(indptr[start : end + 1]))
        code = np.unique(rows * width + raw[low:high])
        raw[kept : kept + len(code)] = code % width
        count[start:end] = np.bincount(code // width - start, minlength=end - start)
        kept += len(code)
    return kept


def _write_rows(path: Path, count: int, width: int, pieces: Iterable[Array]) -> None:
    out = open_memmap(path, "w+", np.float32, (count, width))
    at = 0
    for piece in pieces:
        if piece.ndim != 2 or piece.shape[1] != width or at + len(piece) > count:
            raise InputError(f"{path.stem} needs {count} rows of {width} (got a piece {list(piece.shape)} at row {at})")
        if not np.isfinite(piece).all():
            raise InputError(f"{path.stem} holds NaN or infinity in rows {at} to {at + len(piece)}; clean it first")
        out[at : at + len(piece)] = piece
        at += len(piece)
    if at != count:
        raise InputError(f"{path.stem} needs {count} rows of {width} (got {at})")
    out.flush()


def _name(name: object) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"a feature's name must be letters, digits, - or _ (got {name!r}); it names a file")
    return name
