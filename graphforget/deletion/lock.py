"""One writer a store: a lock that the system drops when its process dies, and a note of who holds it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from graphforget.deletion import clock
from graphforget.deletion.files import storing
from graphforget.errors import StoreError


@contextmanager
def writer(root: Path) -> Iterator[None]:
    """Hold the store's only writer's place inside the block.

    The lock is the system's, on the open file: a process that was killed holds nothing, whatever its file still says.

    Raises:
        StoreError: another process is writing; it is named.
    """
    lock, holder = FileLock(root / "LOCK"), root / "LOCK.json"
    with storing(root):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise StoreError(
                f"the store {str(root)!r} is being written by {_named(holder)}; wait until it ends and run again"
            ) from error
    try:
        with storing(root):
            who = {"pid": os.getpid(), "host": socket.gethostname(), "since": clock.wall().isoformat("T", "seconds")}
            holder.write_text(json.dumps(who), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _named(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
        return f"process {who['pid']} on {who['host']} since {who['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
