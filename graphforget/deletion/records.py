"""What a deletion request is, and the states it goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from graphforget.deletion.keys import PREFIX, Key
from graphforget.errors import InputError

PAIRED = ("edge", "interaction")
SUBJECT_KINDS = ("node", "edge", "feature", "user", "item", "interaction", "modality")


class State(str, Enum):
    """Where a request stands."""

    RECEIVED = "received"
    REJECTED = "rejected"
    NOT_FOUND = "not_found"
    EXEMPT = "exempt"
    OPTED_OUT = "opted_out"
    RESOLVED = "resolved"
    PLANNED = "planned"
    RUNNING = "running"
    PENDING = "pending_verification"
    DELETED = "deleted"
    UNVERIFIED = "deleted_unverified"
    FAILED = "failed"


# The one table of moves. The second line of a state is what only a recovery or a rollback does.
MOVES: Mapping[State, frozenset[State]] = {
    State.RECEIVED: frozenset({State.REJECTED, State.NOT_FOUND, State.EXEMPT, State.OPTED_OUT, State.RESOLVED}),
    State.REJECTED: frozenset({State.RECEIVED}),  # sent again, corrected
    State.NOT_FOUND: frozenset(),
    State.EXEMPT: frozenset(),
    State.OPTED_OUT: frozenset(),
    State.RESOLVED: frozenset({State.PLANNED}),
    State.PLANNED: frozenset({State.RUNNING}),
    State.RUNNING: frozenset({State.PENDING, State.FAILED, State.PLANNED}),  # planned: the run was killed
    State.PENDING: frozenset({State.DELETED, State.UNVERIFIED, State.FAILED, State.RESOLVED}),  # resolved: rolled back
    State.DELETED: frozenset({State.RESOLVED}),  # rolled back
    State.UNVERIFIED: frozenset({State.DELETED, State.FAILED, State.RESOLVED}),  # verified later; rolled back
    State.FAILED: frozenset({State.RESOLVED}),  # rolled back
}

# What a status reply says: California DROP's codes, and in plain words what has none yet.
CODES: Mapping[State, tuple[str, str]] = {
    State.RECEIVED: ("", "received"),
    State.REJECTED: ("", "rejected"),
    State.NOT_FOUND: ("5", "not_found"),
    State.EXEMPT: ("2", "exempted"),
    State.OPTED_OUT: ("4", "opted_out"),
    State.RESOLVED: ("", "pending_in_model"),
    State.PLANNED: ("", "pending_in_model"),
    State.RUNNING: ("", "pending_in_model"),
    State.PENDING: ("", "pending_verification"),
    State.DELETED: ("3", "deleted"),
    State.UNVERIFIED: ("3", "deleted_unverified"),
    State.FAILED: ("", "failed"),
}
IN_MODEL = (State.DELETED, State.UNVERIFIED)


def check_move(old: State, new: State) -> None:
    """Raise where the table has no such move.

    Example:
        >>> check_move(State.PLANNED, State.RUNNING)
        >>> check_move(State.RECEIVED, State.DELETED)
        Traceback (most recent call last):
        ...
        graphforget.errors.InputError: a request cannot go from received to deleted (got that move); from received: ...
    """
    if new not in MOVES[old]:
        allowed = ", ".join(sorted(each.value for each in MOVES[old])) or "nothing"
        raise InputError(
            f"a request cannot go from {old.value} to {new.value} (got that move); from {old.value}: {allowed}"
        )


@dataclass(frozen=True)
class Request:
    """One deletion request.

    Args:
        request_id: unique; the same id twice is the same request.
        kind: one of ``SUBJECT_KINDS``.
        subject: the external id, of pairs the first; ``hmac:...`` once the request is done.
        other: of pairs the second external id, else "".
        received_at: ISO 8601, UTC.
        deadline: ISO 8601, UTC.
        basis: why: "" or ``erasure``; ``opt_out``; ``exempt`` or ``exempt:REASON``.
        relation: narrows a node, user or item to its edges of this type; of a modality its name.
        t_from: narrows to edges at or after this time; seconds as in the data.
        t_to: narrows to edges before this time.
    """

    request_id: str
    kind: str
    subject: str
    other: str = ""
    received_at: str = ""
    deadline: str = ""
    basis: str = ""
    relation: str = ""
    t_from: float | None = None
    t_to: float | None = None

    @property
    def hidden(self) -> bool:
        """Is the subject an HMAC already."""
        return self.subject.startswith(PREFIX)

    @property
    def narrowed(self) -> bool:
        """Does the request name only some of the subject's edges."""
        return self.t_from is not None or self.t_to is not None or (bool(self.relation) and self.kind != "modality")

    def mark(self, key: Key, *, undirected: bool) -> str:
        """The HMAC of the subject: pairs of an undirected graph are the same in either order."""
        if self.hidden:
            return self.subject
        return subject_mark(key, self.kind, self.subject, self.other, undirected=undirected)

    def hide(self, key: Key, *, undirected: bool) -> Request:
        """The same request without its raw ids."""
        return replace(self, subject=self.mark(key, undirected=undirected), other="")


def subject_mark(key: Key, kind: str, subject: str, other: str = "", *, undirected: bool = False) -> str:
    """The HMAC of a subject; a feature or modality request is about its node or item."""
    if kind in PAIRED:
        ends = sorted((subject, other)) if undirected else [subject, other]
        return key.mark("pair", *ends)
    return key.mark({"feature": "node", "modality": "item"}.get(kind, kind), subject)
