"""Verification of a version, apart from its making: golds where they are affordable, a verdict, a receipt."""

from __future__ import annotations

import getpass
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from graphforget.deletion.deployment import task_of
from graphforget.deletion.files import canonical, digest, file_digest, write
from graphforget.deletion.manifest import REQUEST, Manifest
from graphforget.deletion.receipt import Receipt, Subject, build
from graphforget.deletion.records import State
from graphforget.deletion.signature import Sign, signature_of
from graphforget.deletion.store import DEPLOYMENT, Store
from graphforget.deletion.verify import Verification, train_golds, verify
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.task import Scored
from graphforget.unlearner import Unlearned

log = logging.getLogger(__name__)
STATES = {"pass": State.DELETED, "inconclusive": State.UNVERIFIED, "fail": State.FAILED}
Price = Callable[[Any, nn.Module, ForgetSplit[Graph]], float]


@dataclass(frozen=True, eq=False)
class Confirmed:
    """A version with its verdict.

    Args:
        version: of the model.
        outcome: ``pass``, ``inconclusive`` or ``fail``.
        reasons: why.
        receipt: as written.
        verification: the evidence, None where there was nothing to measure.
    """

    version: int
    outcome: str
    reasons: tuple[str, ...]
    receipt: Receipt
    verification: Verification | None


def waiting(store: Store) -> list[int]:
    """The versions that wait for their verification."""
    return sorted({entry.version for entry in store.queue.entries(State.PENDING) if entry.version is not None})


def confirm(
    store: Store,
    version: int,
    *,
    golds: int | None = None,
    price: Price | None = None,
    operator: str | None = None,
    sign: Sign | None = None,
    say: Callable[[str], None] = log.info,
) -> Confirmed:
    """Verify a version and issue its receipt. Needs :meth:`Store.writing`.

    Args:
        store: opened.
        version: one that waits for its verification or whose verdict was inconclusive.
        golds: how many models to retrain for the evidence; None takes the deployment's number, as many as affordable.
        price: predicts the seconds of one retrain; None takes them as affordable.
        operator: who runs it; None takes the login name.
        sign: signs the receipt, see :func:`graphforget.deletion.signature.signer`; None signs nothing.
        say: receives a line before each step.

    Raises:
        InputError: the version has its verdict already, or the one before it was purged.
    """
    entries = store.queue.entries(State.PENDING, State.UNVERIFIED, version=version)
    if not entries:
        raise InputError(f"version {version} waits for no verification; versions that do: {waiting(store) or 'none'}")
    manifest, path = store.manifest(version), store.folder(version) / REQUEST
    if version - 1 not in store.versions():
        raise InputError(f"version {version - 1} was purged, so version {version} cannot be compared with it any more")
    if file_digest(store.root / DEPLOYMENT) != manifest.deployment:
        raise InputError(
            f"{DEPLOYMENT} was changed after version {version} was made, and thresholds are declared beforehand; put "
            "it back as it was, verify, and change it then"
        )
    before = store.manifest(version - 1)
    found = _measure(store, manifest, path.is_file(), golds, price, say)
    outcome = found.verdict.outcome if found else "pass" if manifest.kind == "data_only" else "inconclusive"
    reasons = found.verdict.reasons if found else (_unmeasured(manifest),)
    state = STATES[outcome]
    evidence = store.root / "receipts" / f"{version:06d}.evidence.json"
    summary: dict[str, Any] = {"outcome": outcome, "reasons": list(reasons)}
    if found:
        content = canonical(found.model_dump(mode="json"))
        write(evidence, content)
        own = found.model_dump(mode="json", include={"golds", "elements", "subjects", "thresholds", "rows"})
        summary |= {
            **own,
            "checks": found.verdict.model_dump(mode="json")["checks"],
            "evidence_sha256": digest(content),
        }
    subjects = [
        Subject(
            request_id=entry.request.request_id,
            kind=entry.request.kind,
            mark=entry.mark,
            received_at=entry.request.received_at,
            deadline=entry.request.deadline,
            state=state.value,
        )
        for entry in entries
    ]
    earlier = [number for number in store.versions() if number < version]
    parents = [store.root / "receipts" / f"{number:06d}.json" for number in range(version)]
    known = [each for each in parents if each.is_file()]
    receipt = build(
        store.folder(version),
        manifest,
        before,
        subjects,
        summary,
        key=store.key,
        issued_at=store.queue.stamp()[0],
        operator=operator or _login(),
        older=earlier,
        parent_receipt=file_digest(known[-1]) if known else "",
    )
    written = store.root / "receipts" / f"{version:06d}.json"
    signature_of(written).unlink(missing_ok=True)  # of an earlier receipt
    write(written, receipt.bytes())
    if sign is not None:
        sign(written)
    open_ = [entry.request.request_id for entry in entries if entry.state is not state]
    store.queue.move(open_, state, f"verdict {outcome}")
    if state is not State.UNVERIFIED:
        path.unlink(missing_ok=True)
    return Confirmed(version, outcome, tuple(reasons), receipt, found)


def _measure(
    store: Store,
    manifest: Manifest,
    resolved: bool,
    golds: int | None,
    price: Price | None,
    say: Callable[[str], None],
) -> Verification | None:
    """The evidence, or None where the version changed no answer or the task has none to measure."""
    folder = store.folder(manifest.version)
    if not resolved:
        return None
    original = store.model(manifest.version - 1)
    task = task_of(store.deployment, original)
    if not isinstance(task, Scored):
        return None
    splits, left = store.data(manifest.version - 1), store.data(manifest.version)
    split = ForgetSplit.of(splits.train, ForgetRequest(load_file(folder / REQUEST)), splits.val)
    after = Unlearned(store.model(manifest.version), split.retain, {})
    if not torch.equal(left.train.edge_index, split.retain.edge_index):
        raise InputError(f"version {manifest.version} does not hold what its request leaves; restore the store")
    count = store.deployment.golds if golds is None else golds
    if golds is None and count and price is not None:
        seconds = price(task, original, split)
        if seconds * count > store.deployment.gold_seconds:
            say(f"golds are left out: {count} would take {seconds * count:,.0f} s, more than gold_seconds allows")
            count = 0
    if count:
        say(f"training {count} golds for the evidence")
    trained = train_golds(task, split, original, count, seed=manifest.seed) if count else []
    return verify(
        task,
        split,
        splits.test,
        original=original,
        unlearned=after,
        golds=trained,
        method=manifest.method,
        thresholds=store.deployment.thresholds,
        cost=manifest.cost,
        seed=manifest.seed,
    )


def _unmeasured(manifest: Manifest) -> str:
    if manifest.kind == "data_only":
        return "the model was trained on none of it: only the data changed"
    return "the task has no belief in single elements, so nothing could be measured"


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
