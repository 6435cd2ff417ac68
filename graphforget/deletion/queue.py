"""The durable queue: one SQLite file in WAL mode, every move checked against the table of states and written down.

Raw ids stand here only while a request waits: each final state, and the commit of a batch, turns them into HMACs in the
same transaction. ``secure_delete`` overwrites what was there, and :meth:`Queue.scrub` empties the log and packs the
file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from graphforget.deletion import clock
from graphforget.deletion.files import storing
from graphforget.deletion.keys import Key
from graphforget.deletion.records import MOVES, Request, State, check_move
from graphforget.errors import InputError

SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
    subject TEXT NOT NULL, other TEXT NOT NULL, mark TEXT NOT NULL, received_at TEXT NOT NULL, deadline TEXT NOT NULL,
    basis TEXT NOT NULL, relation TEXT NOT NULL, t_from REAL, t_to REAL, state TEXT NOT NULL, reason TEXT NOT NULL,
    version INTEGER, updated_at TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_state ON requests (state, sequence);
CREATE TABLE IF NOT EXISTS events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
    at TEXT NOT NULL, clock_back INTEGER NOT NULL, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
FIELDS = "request_id, kind, subject, other, received_at, deadline, basis, relation, t_from, t_to"
CHUNK = 500  # ids a statement


@dataclass(frozen=True)
class Entry:
    """A request in the queue.

    Args:
        request: its row; the subject is an HMAC once it is done.
        mark: the HMAC of the subject.
        state: where it stands.
        reason: why it stands there, in words, without ids.
        version: of the model that forgot it.
        updated_at: when it came there.
    """

    request: Request
    mark: str
    state: State
    reason: str
    version: int | None
    updated_at: str


class Queue:
    """Requests and their states.

    Args:
        path: of the SQLite file; made where it is not there.
        key: turns subjects into HMACs.
        undirected: pairs are the same in either order.
        now: the clock; only tests give another.
    """

    def __init__(self, path: Path, key: Key, *, undirected: bool, now: clock.Now = clock.wall) -> None:
        self.path, self.key, self.undirected, self.now = path, key, undirected, now
        with storing(path.parent):
            self.db = sqlite3.connect(path, isolation_level=None, timeout=10)
            self.db.execute("PRAGMA journal_mode=WAL")
            self.db.execute("PRAGMA synchronous=FULL")
            self.db.execute("PRAGMA secure_delete=ON")
            self.db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file; the log is folded into it."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing."""
        with storing(self.path.parent):
            if self.db.in_transaction:
                yield
                return
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                raise
            self.db.execute("COMMIT")

    def stamp(self) -> tuple[str, bool]:
        """The time to write down, never before the last one, and whether the clock was set back."""
        last = self.note("last_time")
        at, back = clock.after(self.now(), last)
        if at != last:
            self.set_note("last_time", at)
        return at, back

    def note(self, name: str) -> str:
        """A stored note, or ""."""
        row = self.db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def set_note(self, name: str, value: str) -> None:
        """Store a note."""
        self.db.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, value))

    def add(self, requests: Sequence[Request], *, deadline_days: int) -> list[tuple[Request, str]]:
        """Take requests in, in one transaction; the same request again changes nothing.

        Args:
            requests: to take in.
            deadline_days: from the receipt to the deadline, where a request names none.

        Returns:
            What was not taken, with the reason: an id that stands for another subject already.
        """
        refused = []
        with self.transaction():
            at, back = self.stamp()
            for one in requests:
                mark = one.mark(self.key, undirected=self.undirected)
                due = one.deadline or _later(one.received_at, deadline_days)
                values = (one.request_id, one.kind, one.subject, one.other, mark, one.received_at, due, one.basis)
                rest = (one.relation, one.t_from, one.t_to, State.RECEIVED.value, "", at)
                taken = self.db.execute(
                    "INSERT OR IGNORE INTO requests (request_id, kind, subject, other, mark, received_at, deadline, "
                    "basis, relation, t_from, t_to, state, reason, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                    values + rest,
                ).rowcount
                if taken:
                    self._log([(one.request_id, "", State.RECEIVED.value)], at, back, "")
                    continue
                there = self.get(one.request_id)
                if there.state is State.REJECTED:
                    self.db.execute(
                        "UPDATE requests SET kind=?, subject=?, other=?, mark=?, received_at=?, deadline=?, basis=?, "
                        "relation=?, t_from=?, t_to=? WHERE request_id = ?",
                        (*values[1:], one.relation, one.t_from, one.t_to, one.request_id),
                    )
                    self.move([one.request_id], State.RECEIVED, "sent again, corrected")
                elif there.mark != mark or there.request.kind != one.kind:
                    refused.append((one, f"request_id stands for another subject (got {one.request_id!r} again)"))
        return refused

    def reject(self, request_id: str) -> None:
        """Write down that a row with this id was refused; what it said is not kept. A known id is left as it is."""
        with self.transaction():
            at, back = self.stamp()
            empty = ("", "", "", "", at, "", "", "", None, None, State.REJECTED.value, "bad row", at)
            taken = self.db.execute(
                "INSERT OR IGNORE INTO requests (request_id, kind, subject, other, mark, received_at, deadline, basis, "
                "relation, t_from, t_to, state, reason, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                (request_id, *empty),
            ).rowcount
            if taken:
                self._log([(request_id, "", State.REJECTED.value)], at, back, "bad row")

    def move(
        self, ids: Iterable[str], new: State, reason: str = "", *, version: int | None = None, hide: bool = False
    ) -> None:
        """Move requests to a state, all or none.

        Args:
            ids: request ids.
            new: their next state; must be allowed from each one's present state.
            reason: in words, without subject ids.
            version: of the model, where one belongs to the move.
            hide: turn the raw ids into HMACs.

        Raises:
            InputError: the table of states has no such move, or there is no such request.
        """
        wanted = list(ids)
        with self.transaction():
            at, back = self.stamp()
            states: dict[str, State] = {}
            for part in _parts(wanted):
                rows = self.db.execute(
                    f"SELECT request_id, state FROM requests WHERE request_id IN ({_marks(part)})", part
                )
                states.update((name, State(state)) for name, state in rows)
            for name in wanted:
                if name not in states:
                    raise InputError(f"there is no request {name!r} in the queue; check the id")
                check_move(states[name], new)
            covered = "subject = mark, other = ''," if hide else ""
            if hide:
                self.set_note("scrub_due", "1")
            for part in _parts(wanted):
                self.db.execute(
                    f"UPDATE requests SET {covered} state = ?, reason = ?, updated_at = ?, "
                    f"version = COALESCE(?, version) WHERE request_id IN ({_marks(part)})",
                    (new.value, reason, at, version, *part),
                )
            self._log([(name, states[name].value, new.value) for name in wanted], at, back, reason)

    def remark(self, request_id: str, mark: str) -> None:
        """Give a request the HMAC of the id that it was found under, where it named a hash of it."""
        with self.transaction():
            self.db.execute("UPDATE requests SET mark = ? WHERE request_id = ?", (mark, request_id))

    def _log(self, moves: Sequence[tuple[str, str, str]], at: str, back: bool, note: str) -> None:
        self.db.executemany(
            "INSERT INTO events (request_id, old, new, at, clock_back, note) VALUES (?, ?, ?, ?, ?, ?)",
            [(*move, at, int(back), note) for move in moves],
        )

    def get(self, request_id: str) -> Entry:
        """One request by its id."""
        found = list(self._select("WHERE request_id = ?", (request_id,)))
        if not found:
            raise InputError(f"there is no request {request_id!r} in the queue; check the id")
        return found[0]

    def entries(
        self, *states: State, limit: int | None = None, version: int | None = None, after: int = 0
    ) -> list[Entry]:
        """Requests in order of receipt.

        Args:
            states: only those in one of these states; none means all.
            limit: at most so many.
            version: only those that this version of the model forgot.
            after: skip those up to this sequence number.
        """
        where, values = ["sequence > ?"], [after]
        if states:
            where.append(f"state IN ({','.join('?' * len(states))})")
        if version is not None:
            where.append("version = ?")
        given = [*values, *(state.value for state in states), *([version] if version is not None else [])]
        tail = "" if limit is None else f" LIMIT {int(limit)}"
        return list(self._select(f"WHERE {' AND '.join(where)} ORDER BY sequence{tail}", given))

    def _select(self, where: str, values: Sequence[object]) -> Iterator[Entry]:
        with storing(self.path.parent):
            rows = self.db.execute(
                f"SELECT {FIELDS}, mark, state, reason, version, updated_at FROM requests {where}", values
            ).fetchall()
        for row in rows:
            request = Request(row[0], row[1], row[2], row[3], *row[4:10])
            yield Entry(request, row[10], State(row[11]), row[12], row[13], row[14])

    def total(self) -> int:
        """How many requests were ever taken."""
        return int(self.db.execute("SELECT COUNT(*) FROM requests WHERE state != 'rejected'").fetchone()[0])

    def counts(self) -> dict[str, int]:
        """{state: number of requests}."""
        rows = self.db.execute("SELECT state, COUNT(*) FROM requests GROUP BY state")
        found = dict(rows.fetchall())
        return {state.value: found[state.value] for state in MOVES if state.value in found}

    def events(self, request_id: str) -> list[tuple[str, str, str, bool, str]]:
        """(old, new, at, was the clock set back, note) of a request, in order."""
        rows = self.db.execute(
            "SELECT old, new, at, clock_back, note FROM events WHERE request_id = ? ORDER BY sequence", (request_id,)
        )
        return [(old, new, at, bool(back), note) for old, new, at, back, note in rows]

    def scrub(self) -> None:
        """Make sure that overwritten ids are gone from the file and from its log; a killed scrub is done again."""
        with storing(self.path.parent):
            if not self.note("scrub_due"):
                return
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.db.execute("VACUUM")
            self.set_note("scrub_due", "")
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _later(received: str, days: int) -> str:
    return (datetime.fromisoformat(received) + timedelta(days=days)).isoformat(timespec="seconds")


def _parts(ids: Sequence[str]) -> Iterator[list[str]]:
    return (list(ids[at : at + CHUNK]) for at in range(0, len(ids), CHUNK))


def _marks(part: Sequence[str]) -> str:
    return ",".join("?" * len(part))
