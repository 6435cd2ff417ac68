"""Bytes on disk: canonical JSON, hashes, and writes that are whole or not there at all."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphforget.errors import InputError, StoreError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_SQLITE = {
    "readonly": "is read-only; give this user write permission",
    "unable to open": "cannot be opened; give this user write permission",
    "full": "has no space left; free some and run again: what was there before is untouched",
    "disk i/o": "cannot be written (disk full or failing?); free space and run again: what was there is untouched",
    "locked": "is in use by another process; wait until it ends and run again",
}


def canonical(value: Any) -> bytes:
    r"""Return the one JSON text of a value: sorted keys, no blanks, UTF-8, NaN and infinity as null, one newline.

    Example:
        >>> canonical({"b": 1, "a": [float("nan"), "x"]})
        b'{"a":[null,"x"],"b":1}\n'
    """
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def digest(content: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def file_digest(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _slow(file)


def _slow(file: Any) -> str:
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or not there, and on the disk when this returns.

    Raises:
        InputError: there is no such folder.
    """
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {str(path.parent)!r} (got {path.name!r} to write there); make it first")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Wait until a file's bytes are on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a folder's entries are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def storing(root: Path) -> Iterator[None]:
    """Turn the disk's errors inside the block into a :class:`~graphforget.errors.StoreError` that says what to do."""
    try:
        yield
    except StoreError:
        raise
    except sqlite3.DatabaseError as error:
        words = str(error).lower()
        for sign, meaning in _SQLITE.items():
            if sign in words:
                raise StoreError(f"the store {str(root)!r} {meaning} (got {error})") from error
        raise StoreError(
            f"the queue of the store {str(root)!r} is damaged (got {error}); restore it from a backup"
        ) from error
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"the store {str(root)!r} has no space left (got {error.strerror}); free some and run again: "
                "what was there before is untouched"
            ) from error
        if error.errno in _CLOSED:
            raise StoreError(
                f"the store {str(root)!r} is read-only (got {error.strerror}); give this user write permission"
            ) from error
        raise
