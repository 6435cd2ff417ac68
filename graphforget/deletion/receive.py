"""From a file of requests into the queue: what is good is taken, what is not is refused by its line."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from os import PathLike

from graphforget.deletion.intake import Refusal, Row, read_requests
from graphforget.deletion.store import Store

CHUNK = 10_000  # requests a transaction


@dataclass
class Received:
    """What came of a file.

    Args:
        taken: requests that are new.
        repeated: requests that the queue had already: nothing changed.
        refused: rows that were not taken.
    """

    taken: int = 0
    repeated: int = 0
    refused: list[Refusal] = field(default_factory=list)


def receive(store: Store, source: str | PathLike[str], *, delimiter: str = ",") -> Received:
    """Take the requests of a file in; needs :meth:`Store.writing`.

    Args:
        store: opened.
        source: see :func:`graphforget.deletion.intake.read_requests`.
        delimiter: of a CSV.

    Raises:
        InputError: the file as a whole cannot be read; nothing was taken.
    """
    found = Received()
    rows = read_requests(source, delimiter=delimiter, now=store.queue.now())
    while part := list(islice(rows, CHUNK)):
        _chunk(store, part, found)
    return found


def _chunk(store: Store, part: list[Row | Refusal], found: Received) -> None:
    good = [one for one in part if isinstance(one, Row)]
    found.refused += [one for one in part if isinstance(one, Refusal)]
    lines = {row.request.request_id: row.line for row in good}
    with store.queue.transaction():
        before = store.queue.total()
        refused = store.queue.add([row.request for row in good], deadline_days=store.deployment.deadline_days)
        taken = store.queue.total() - before
        for one in part:
            if isinstance(one, Refusal) and one.request_id and one.request_id not in lines:
                store.queue.reject(one.request_id)
    found.taken += taken
    found.repeated += len(good) - taken - len(refused)
    found.refused += [Refusal(lines[one.request_id], reason, one.request_id) for one, reason in refused]
    found.refused.sort(key=lambda each: each.line)
