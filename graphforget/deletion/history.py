"""Going back and destroying: a rollback that queues its requests again, and the purge of old versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from graphforget.deletion.manifest import REQUEST
from graphforget.deletion.records import State
from graphforget.deletion.store import Store
from graphforget.errors import InputError

WARNING = "version {version} holds the data of {count} requests again; run the store to forget them anew"


class RolledBack(NamedTuple):
    """What a rollback did.

    Args:
        version: the new head, with the files of the old version.
        restores: the old version.
        requests: ids that are queued again.
        warning: what the new head holds.
    """

    version: int
    restores: int
    requests: tuple[str, ...]
    warning: str


def rollback(store: Store, to: int) -> RolledBack:
    """Make an old version the head again, as a new version; needs :meth:`Store.writing`.

    The old version holds what later ones forgot, so those requests go back to the queue and wait for the next run.

    Raises:
        InputError: there is no such version, or it is the head.
    """
    if to == store.head:
        raise InputError(f"version {to} is the head already (got --to {to}); name an older one")
    store.existing(to)
    waiting = {entry.request.request_id for entry in store.queue.entries(State.RESOLVED, State.PLANNED)}
    drift = store.manifest(to).drift
    manifest = store.restore(to, kind="rollback", seed=store.deployment.seed, drift=drift)
    store.chain.append({"event": "rollback", "to": to, "version": manifest.version, "at": manifest.created_at})
    store.requeue()
    queued = [entry.request.request_id for entry in store.queue.entries(State.RESOLVED)]
    again = tuple(name for name in queued if name not in waiting)
    return RolledBack(manifest.version, to, again, WARNING.format(version=manifest.version, count=len(again)))


class Purged(NamedTuple):
    """What a purge destroyed.

    Args:
        versions: numbers.
        files: further files that were named.
        left: the versions that are there.
    """

    versions: tuple[int, ...]
    files: tuple[str, ...]
    left: tuple[int, ...]


def purge(store: Store, *, keep: int = 1, also: Sequence[Path] = ()) -> Purged:
    """Destroy all but the newest versions; needs :meth:`Store.writing`. Receipts and the chain stay: they hold no ids.

    Args:
        store: opened.
        keep: so many versions stay; the head always does.
        also: files outside the store that hold the forgotten: first weights, optimiser states, caches.

    Raises:
        InputError: a version still waits for its verification, which needs the one before it; or a file is not there.
    """
    if keep < 1:
        raise InputError(f"keep must be at least 1, the head (got {keep})")
    old = store.versions()[:-keep]
    needed = sorted({entry.version - 1 for entry in store.queue.entries(State.PENDING) if entry.version} & set(old))
    if needed:
        raise InputError(
            f"version {needed[0]} is needed to verify version {needed[0] + 1}; run graphforget verify first"
        )
    for path in also:
        if not path.is_file():
            raise InputError(f"there is no file {str(path)!r} to destroy; check the path")
    if old:
        store.chain.append({"event": "purge", "versions": old, "at": store.queue.stamp()[0]})
    for version in old:
        store.destroy(version)
    for version in store.versions():
        (store.folder(version) / REQUEST).unlink(missing_ok=True)
    for path in also:
        path.unlink()
    return Purged(tuple(old), tuple(map(str, also)), tuple(store.versions()))
