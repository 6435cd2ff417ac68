"""What must not come back: the suppression list, the check of the next training data, and the replies to requests."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from graphforget.deletion.files import canonical
from graphforget.deletion.keys import Key
from graphforget.deletion.queue import Queue
from graphforget.deletion.records import CODES, IN_MODEL
from graphforget.deletion.vocabulary import Vocabulary
from graphforget.errors import InputError
from graphforget.graph import Graph
from graphforget.splits import Splits

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS suppressed (mark TEXT NOT NULL, kind TEXT NOT NULL, request_id TEXT NOT NULL, "
    "version INTEGER NOT NULL, PRIMARY KEY (mark, kind, request_id))"
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Suppressed(NamedTuple):
    """An element that must not be trained on again.

    Args:
        mark: its HMAC.
        kind: ``user item node pair feature modality``.
        request_id: of the request that named it.
        version: of the model that forgot it, or that was served when it was opted out.
    """

    mark: str
    kind: str
    request_id: str
    version: int


class Returned(NamedTuple):
    """A deleted element that stands in new data.

    Args:
        request_id: of the request that had it deleted.
        kind: of the element.
        rows: how many rows of the new data hold it.
    """

    request_id: str
    kind: str
    rows: int


def suppress(queue: Queue, marks: Mapping[str, Iterable[tuple[str, str]]], version: int) -> None:
    """Add elements to the list: request id -> (mark, kind)."""
    queue.db.execute(SCHEMA)
    rows = [(mark, kind, name, version) for name, each in marks.items() for mark, kind in each]
    queue.db.executemany("INSERT OR REPLACE INTO suppressed VALUES (?, ?, ?, ?)", rows)


def suppressed(queue: Queue) -> list[Suppressed]:
    """The list, in order of the marks."""
    if not queue.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'suppressed'").fetchone():
        return []
    rows = queue.db.execute("SELECT mark, kind, request_id, version FROM suppressed ORDER BY mark, kind, request_id")
    return [Suppressed(*row) for row in rows]


def suppression_lines(queue: Queue) -> bytes:
    """The list as JSON lines: HMACs, no ids."""
    return b"".join(canonical(each._asdict()) for each in suppressed(queue))


def check_train(queue: Queue, key: Key, splits: Splits[Graph], names: Vocabulary, own: Vocabulary) -> list[Returned]:
    """Find deleted elements in the next training data.

    Args:
        queue: with the list.
        key: the controller's.
        splits: the new data; all three views are searched.
        names: its external ids.
        own: the ids of the store.

    Returns:
        What came back, most rows first; [] when nothing did.

    Raises:
        InputError: the new data has other ids than the store, so that nothing could be found in it.
    """
    _same_ids(names, own)
    listed: dict[tuple[str, str], list[str]] = {}
    for one in suppressed(queue):
        listed.setdefault((one.mark, one.kind), []).append(one.request_id)
    wanted = {kind for _, kind in listed}
    found: dict[tuple[str, str], int] = {}

    def meet(mark: str, kind: str, rows: int) -> None:
        for name in listed.get((mark, kind), ()):
            found[name, kind] = found.get((name, kind), 0) + rows

    train = splits.train
    bipartite = train.bipartite
    for side, kind in enumerate(("user", "item") if bipartite else ("node",)):
        about = wanted & ({kind, "modality"} if kind == "item" else {kind, "feature"} if kind == "node" else {kind})
        if not about:
            continue
        rows = [0] * len(names.ids[kind])
        for view in splits:
            ends = view.edge_index[side] if bipartite else view.edge_index.flatten()
            for row, count in zip(*(part.tolist() for part in ends.unique(return_counts=True)), strict=True):
                rows[row] += count
        used = {name: values.ne(0).any(1).tolist() for name, values in train.features.items()}
        for row, name in enumerate(names.ids[kind]):
            if not name:
                continue
            filled = (not bipartite or side == 1) and any(values[row] for values in used.values())
            if rows[row] or filled:
                mark = names.marked(kind, row, key)
                meet(mark, kind, max(rows[row], 1))
                if filled:
                    meet(mark, "modality" if bipartite else "feature", 1)
    if "pair" in wanted:
        first, second = ("user", "item") if bipartite else ("node", "node")
        for view in splits:
            for u, v in view.pairs().T.tolist():
                pair = [names.ids[first][u], names.ids[second][v]]
                meet(key.mark("pair", *(sorted(pair) if train.undirected else pair)), "pair", 1)
    return sorted((Returned(*each, rows) for each, rows in found.items()), key=lambda one: (-one.rows, one.request_id))


def _same_ids(names: Vocabulary, own: Vocabulary) -> None:
    for kind, ours in own.rows.items():
        theirs = names.rows.get(kind, {})
        if not any(name in theirs for name in ours):
            some = next(iter(theirs), "nothing")
            raise InputError(
                f"the new data must name its {kind}s as the store does (got {some!r}, and no name in common); "
                "pass its own --vocabulary"
            )


def replies(queue: Queue) -> str:
    """The status of every request as CSV: request_id, DROP's code (empty while open), status, since when, deadline.

    The deletion takes effect in the model at ``effective_at``; until then the status is ``pending_in_model``.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["request_id", "code", "status", "effective_at", "deadline"])
    for entry in queue.entries():
        code, words = CODES[entry.state]
        since = entry.updated_at if entry.state in IN_MODEL else ""
        writer.writerow(
            [safe_cell(each) for each in (entry.request.request_id, code, words, since, entry.request.deadline)]
        )
    return out.getvalue()


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    Example:
        >>> safe_cell("=HYPERLINK(1)"), safe_cell("plain")
        ("'=HYPERLINK(1)", 'plain')
    """
    return f"'{text}" if text.startswith(FORMULA) else text
