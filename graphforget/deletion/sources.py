"""Where the data of a deployment comes from: a loader's name, a user's function, files, or a RecBole run."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphforget.deletion.deployment import load_object, sizes_of
from graphforget.deletion.intake import CONTROL, LONGEST, SHOWN
from graphforget.deletion.vocabulary import Vocabulary, load_vocabulary
from graphforget.errors import InputError, unknown
from graphforget.graph import Graph
from graphforget.splits import Splits, split_edges, split_nodes

ENDS = {"recommend": ("user", "item"), "link": ("src", "dst"), "node": ("src", "dst")}


@dataclass(frozen=True)
class Source:
    """What the user names.

    Args:
        data: a data set's name, ``package.module:function`` that returns Splits, or a .csv of pairs (columns user and
            item, or src and dst; optional time, type, weight).
        task: ``link``, ``node`` or ``recommend``.
        vocabulary: file of external ids; None takes the loader's, the file's, or the row numbers.
        features: .npy [N, F] for a .csv of edges.
        labels: .npy [N] for a .csv of edges.
        root: data folder of a loader.
        seed: of a drawn split.
    """

    data: str
    task: str
    vocabulary: str | None = None
    features: str | None = None
    labels: str | None = None
    root: str | None = None
    seed: int = 0


def load(source: Source) -> tuple[Splits[Graph], Vocabulary]:
    """Load the three views and the names of the rows.

    Raises:
        InputError: unknown name, broken files, or a vocabulary of other data.
    """
    names = None if source.vocabulary is None else load_vocabulary(source.vocabulary)
    if source.data.endswith(".csv"):
        splits, names = _table(source, names)
    elif ":" in source.data:
        splits = load_object(source.data)()
        if not isinstance(splits, Splits) or not isinstance(splits.train, Graph):
            raise InputError(f"{source.data!r} must return graphforget.Splits of Graphs (got {type(splits).__name__})")
    else:
        splits, found = _named(source)
        names = names or found
    names = names or Vocabulary.numbered(sizes_of(splits))
    names.check(sizes_of(splits))
    return splits, names


def _named(source: Source) -> tuple[Splits[Graph], Vocabulary | None]:
    from graphforget.gnn import data as graphs
    from recsys import data as interactions

    if source.data in interactions.DATASETS:
        raw = interactions.load_vocabulary(source.data, source.root)
        splits = interactions.load_splits(source.data, source.root, seed=source.seed)
        return splits, Vocabulary({"user": raw.users, "item": raw.items})
    if source.data not in graphs.DATASETS:
        raise unknown("data set", source.data, [*graphs.DATASETS, *interactions.DATASETS])
    return graphs.load_splits(source.data, source.root, task=source.task, seed=source.seed), None


def _table(source: Source, names: Vocabulary | None) -> tuple[Splits[Graph], Vocabulary]:
    """Pairs from a file; rows are numbered by the vocabulary, else in order of appearance."""
    if source.task not in ENDS:
        raise InputError(f"a .csv of pairs serves the tasks link, node and recommend (got {source.task!r})")
    columns, attrs = _read(Path(source.data), ENDS[source.task])
    bipartite = source.task == "recommend"
    kinds = ("user", "item") if bipartite else ("node", "node")
    if names is None:
        order = {kind: tuple(dict.fromkeys(column)) for kind, column in zip(kinds, columns, strict=True)}
        if not bipartite:
            order = {"node": tuple(dict.fromkeys([*columns[0], *columns[1]]))}
        names = Vocabulary(order)
    rows = []
    for kind, column in zip(kinds, columns, strict=True):
        known = names.rows.get(kind, {})
        if lost := [each for each in column if each not in known]:
            raise InputError(f"{source.data} names a {kind} that the vocabulary does not (got {lost[0]!r}); add it")
        rows.append([known[each] for each in column])
    edges = torch.tensor(rows, dtype=torch.int64).view(2, -1)
    if bipartite:
        return _interactions(edges, attrs, names, source.seed), names
    size = len(names.ids["node"])
    features = {} if source.features is None else {"x": _array(source.features, size).float()}
    y = None if source.labels is None else _array(source.labels, size).long()
    graph = Graph.from_edges(edges, size, features=features, y=y).validate()
    return (split_nodes if source.task == "node" else split_edges)(graph, seed=source.seed), names


def _interactions(edges: Tensor, attrs: dict[str, Tensor], names: Vocabulary, seed: int) -> Splits[Graph]:
    from recsys.cards import Interactions
    from recsys.cards import Vocabulary as Raw
    from recsys.data import to_splits

    raw = Raw(names.ids["user"], names.ids["item"])
    time = attrs["time"].numpy() if "time" in attrs else None
    return to_splits(replace(Interactions(edges[0].numpy(), edges[1].numpy(), raw), time=time), seed=seed)


def _read(path: Path, ends: Sequence[str]) -> tuple[list[list[str]], dict[str, Tensor]]:
    if not path.is_file():
        raise InputError(f"there is no data file {str(path)!r}; check the path")
    pairs: list[list[str]] = [[], []]
    times: list[float] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            if missing := [name for name in ends if name not in header]:
                raise InputError(
                    f"{path} must have the columns {', '.join(ends)} (got {header}): {missing[0]} is missing"
                )
            for line, row in enumerate(reader, 2):
                for column, name in zip(pairs, ends, strict=True):
                    column.append(_cell(row[name], f"{path}, line {line}: {name}"))
                if "time" in header:
                    times.append(_time(row["time"], f"{path}, line {line}: time"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} must be a CSV in UTF-8 (got {error}); save it as CSV UTF-8") from error
    if not pairs[0]:
        raise InputError(f"{path} must hold at least one pair (got no pair below the header); check the file")
    return pairs, {"time": torch.tensor(times, dtype=torch.float64)} if times else {}


def _cell(value: str | None, where: str) -> str:
    if not value:
        raise InputError(f"{where} is empty (got {value!r}); mend the line")
    if len(value) > LONGEST or CONTROL.search(value):  # no request could name it
        raise InputError(f"{where} must be up to {LONGEST} printable characters (got {value[:SHOWN]!r}); mend the line")
    return value


def _time(value: str | None, where: str) -> float:
    try:
        found = float(value or "")
    except ValueError as error:
        raise InputError(f"{where} must be a number (got {value!r}); mend the line") from error
    if not math.isfinite(found):
        raise InputError(f"{where} must be a finite number (got {value!r}); mend the line")
    return found


def _array(path: str, rows: int) -> Tensor:
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path!r} must be a .npy array (got {error}); write it with numpy.save") from error
    if len(found) != rows:
        raise InputError(f"{path!r} must have {rows} rows, as the vocabulary (got {len(found)})")
    return torch.from_numpy(found)
