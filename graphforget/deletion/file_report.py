"""The report of a version: what the store knows of it, put together for :mod:`graphforget.deletion.report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphforget.deletion.card import patch_file
from graphforget.deletion.dossier import CostLine, Dossier, RequestLine, VersionLine
from graphforget.deletion.files import file_digest, storing, write
from graphforget.deletion.loggers import Logger, send
from graphforget.deletion.manifest import MODEL, Manifest
from graphforget.deletion.receipt import read_receipt
from graphforget.deletion.records import CODES, IN_MODEL, State
from graphforget.deletion.report import render
from graphforget.deletion.store import Store
from graphforget.deletion.verdict import Outcome
from graphforget.deletion.verify import Verification
from graphforget.errors import InputError

OUTCOMES: dict[State, Outcome] = {
    State.DELETED: "pass",
    State.UNVERIFIED: "inconclusive",
    State.FAILED: "fail",
}


def write_report(store: Store, version: int | None = None, out: Path | None = None) -> Path:
    """Write a version's report as one HTML file.

    Args:
        store: opened.
        version: with a receipt; None takes the newest.
        out: where to; None writes beside the receipt.

    Raises:
        InputError: no receipt yet.
    """
    number = _receipted(store, version)
    target = out or store.root / "receipts" / f"{number:06d}.html"
    with storing(target.parent):
        write(target, render(dossier_of(store, number)).encode())
    return target


def tell_others(
    store: Store, version: int | None, page: Path, *, card: Path | None = None, trackers: Sequence[Logger] = ()
) -> dict[str, Any]:
    """Put the unlearning history into a model card, and send a version's figures to trackers.

    Args:
        store: opened.
        version: with a receipt; None takes the newest.
        page: its report, to go with the figures.
        card: the model card, made where there is none.
        trackers: see :mod:`graphforget.deletion.loggers`.

    Returns:
        What was done, for JSON.

    Raises:
        InputError: nothing was measured of this version, so that there is nothing to send.
    """
    number = _receipted(store, version)
    done: dict[str, Any] = {}
    known = dossier_of(store, number)
    if card is not None:
        with storing(card.parent):
            patch_file(card, known.versions, known.out_of_scope)
        done["card"] = str(card)
    if trackers:
        if known.verification is None:
            raise InputError(f"nothing was measured of version {number}, so there is nothing to log; leave --log out")
        for each in trackers:
            send(each, known.verification, step=number, files=[page])
        done["logged"] = len(trackers)
    return done


def _receipted(store: Store, version: int | None) -> int:
    """The version asked for, or the newest that has a receipt."""
    receipts = {int(path.stem) for path in (store.root / "receipts").glob("[0-9]*.json") if path.stem.isdigit()}
    if not receipts:
        raise InputError("there is no receipt to report on (got none in the store); run graphforget run first")
    number = max(receipts) if version is None else version
    if number not in receipts:
        raise InputError(f"version {number} has no receipt; those that have: {', '.join(map(str, sorted(receipts)))}")
    return number


def dossier_of(store: Store, version: int) -> Dossier:
    """Put together what a report of a version tells.

    Args:
        store: opened.
        version: with a receipt.
    """
    path = store.root / "receipts" / f"{version:06d}.json"
    receipt = read_receipt(path)
    evidence = store.root / "receipts" / f"{version:06d}.evidence.json"
    found = Verification.model_validate_json(evidence.read_bytes()) if evidence.is_file() else None
    requests = [
        RequestLine(
            mark=subject.request_id,
            kind=subject.kind,
            status=subject.state,
            received_at=subject.received_at,
            deadline=subject.deadline,
            effective_at=receipt.issued_at if subject.state in {state.value for state in IN_MODEL} else "",
        )
        for subject in receipt.requests
    ]
    return Dossier(
        model=store.deployment.factory.rpartition(":")[2],
        created_at=receipt.issued_at,
        requests=(*requests, *_others(store)),
        method=str(receipt.method["name"]),
        parameters=dict(receipt.method["settings"]),
        why=str(receipt.method["reason"]),
        out_of_scope=tuple(receipt.out_of_scope),
        costs=_costs(store, version),
        versions=_versions(store),
        hashes={**receipt.inputs, **{f"new_{name}": value for name, value in receipt.outputs.items()}},
        environment=receipt.environment,
        receipt=file_digest(path),
        verification=found,
        outcome=receipt.verification["outcome"],
        reasons=tuple(receipt.verification["reasons"]),
    )


def _others(store: Store) -> list[RequestLine]:
    """The requests that no version had to forget."""
    states = (State.REJECTED, State.NOT_FOUND, State.EXEMPT, State.OPTED_OUT)
    return [
        RequestLine(
            mark=entry.request.request_id,
            kind=entry.request.kind or "unknown",
            status=CODES[entry.state][1],
            received_at=entry.request.received_at,
            deadline=entry.request.deadline,
            note=entry.reason,
        )
        for entry in store.queue.entries(*states)
    ]


def _costs(store: Store, version: int) -> tuple[CostLine, ...]:
    """What the plan predicted, and what the method took; nothing of a version that was purged."""
    if version not in store.versions():
        return ()
    manifest = store.manifest(version)
    lines = {
        name: CostLine(name=name, predicted_seconds=values.get("seconds"), predicted_mib=values.get("mib"))
        for name, values in manifest.prices.items()
    }
    own = lines.get(manifest.method, CostLine(name=manifest.method))
    cost = manifest.cost
    actual = {"seconds": cost.get("seconds"), "mib": cost.get("peak_mib"), "chosen": True}
    lines[manifest.method] = own.model_copy(update=actual)
    return tuple(lines.values())


def _versions(store: Store) -> tuple[VersionLine, ...]:
    """Every version there ever was, the purged ones by name only."""
    there, events = set(store.versions()), store.chain.events()
    found = []
    for event in events:
        if event["event"] != "commit":
            continue
        number = int(event["version"])
        if number not in there:
            found.append(VersionLine(name=str(number), created_at=event["at"], state="purged"))
            continue
        manifest = store.manifest(number)
        found.append(
            VersionLine(
                name=str(number),
                created_at=manifest.created_at,
                method=manifest.method or manifest.kind,
                requests=len(manifest.requests),
                state="current" if number == store.head else "kept",
                outcome=_outcome(store, manifest),
                sha256=manifest.files[MODEL],
            )
        )
    return tuple(found)


def _outcome(store: Store, manifest: Manifest) -> Outcome | None:
    entries = store.queue.entries(*OUTCOMES, version=manifest.version, limit=1)
    return OUTCOMES[entries[0].state] if entries else None
