"""What a deletion report is made of: plain records that a run fills, without any raw id."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from graphforget.deletion.verdict import Outcome
from graphforget.deletion.verify import Verification


class Record(BaseModel):
    """Frozen, and strict about its names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestLine(Record):
    """One request as it is shown.

    Args:
        mark: a keyed hash or the request's own id; never a subject's.
        kind: user, item, node, edge, ...
        status: of the state machine: deleted, deleted_unverified, not_found, rejected, ...
        received_at: ISO date or time.
        deadline: by when the answer is due.
        effective_at: when the model that is served forgot it.
        note: why, for a request that was not carried out.
    """

    mark: str
    kind: str
    status: str
    received_at: str = ""
    deadline: str = ""
    effective_at: str = ""
    note: str = ""


class CostLine(Record):
    """What a method was predicted to cost and what it did.

    Args:
        name: catalog key of the method; ``retrain`` is the reference.
        predicted_seconds: by the plan.
        predicted_mib: by the plan.
        seconds: measured, of what was run.
        mib: measured.
        chosen: this one was run.
    """

    name: str
    predicted_seconds: float | None = None
    predicted_mib: float | None = None
    seconds: float | None = None
    mib: float | None = None
    chosen: bool = False


class VersionLine(Record):
    """One version of the model.

    Args:
        name: of the version.
        created_at: ISO time.
        method: that made it; "" for the first.
        requests: how many it forgot.
        state: current, kept, rolled_back or purged.
        outcome: of its verification, None where there was none.
        sha256: of the weights.
    """

    name: str
    created_at: str
    method: str = ""
    requests: int = 0
    state: str = "kept"
    outcome: Outcome | None = None
    sha256: str = ""


class Dossier(Record):
    """One deletion, for a reader.

    Args:
        model: name of the deployed model.
        created_at: ISO time.
        requests: all that the batch holds, those that were refused among them.
        method: catalog key of the method that ran; "" where nothing was run.
        parameters: of the method.
        why: why this method was recommended.
        out_of_scope: what this deletion does not reach; never empty.
        costs: of the methods that the plan priced.
        versions: of the model, oldest first.
        hashes: name -> SHA-256 of inputs and outputs.
        environment: name -> version.
        receipt: SHA-256 of the receipt.
        verification: what was measured; None where nothing was.
        outcome: the verdict where nothing was measured: the model never learned from the data, say.
        reasons: of that verdict.
    """

    model: str
    created_at: str
    requests: tuple[RequestLine, ...]
    method: str
    out_of_scope: tuple[str, ...] = Field(min_length=1)
    parameters: dict[str, Any] = {}
    why: str = ""
    costs: tuple[CostLine, ...] = ()
    versions: tuple[VersionLine, ...] = ()
    hashes: dict[str, str] = {}
    environment: dict[str, str] = {}
    receipt: str = ""
    verification: Verification | None = None
    outcome: Outcome | None = None
    reasons: tuple[str, ...] = ()
