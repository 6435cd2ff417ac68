"""The controller's key: subject ids leave the queue and the vocabulary only as HMAC-SHA256 under it.

Without the key nobody can tell from a receipt whether a person is in it, not even by trying all ids. Whoever holds the
key can: it belongs to the controller and never into the store.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from graphforget.errors import InputError

VARIABLE = "GRAPHFORGET_KEY"
PREFIX = "hmac:"
FEWEST = 16  # bytes


@dataclass(frozen=True)
class Key:
    """A secret of at least 16 bytes; it is never printed.

    Args:
        secret: the bytes.

    Example:
        >>> key = Key(b"sixteen bytes or")
        >>> key.mark("user", "196")[:12], key.mark("user", "196") == key.mark("user", "197")
        ('hmac:d831167', False)
    """

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < FEWEST:
            raise InputError(
                f"the key must have at least {FEWEST} bytes (got {len(self.secret)}); make one: openssl rand -hex 32"
            )

    def mark(self, kind: str, *ids: str) -> str:
        """``hmac:`` and the hex HMAC-SHA256 of a subject; kind and ids are kept apart, so that no two run together."""
        return PREFIX + self.mac("\x1f".join((kind, *ids)).encode())

    def mac(self, content: bytes) -> str:
        """Hex HMAC-SHA256 of bytes."""
        return hmac.digest(self.secret, content, hashlib.sha256).hex()

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name the key without telling it."""
        return self.mac(b"graphforget key fingerprint")[:16]


def load_key(path: str | PathLike[str] | None = None) -> Key:
    """Read the key from a file, else from the environment variable GRAPHFORGET_KEY; surrounding blanks are dropped.

    Raises:
        InputError: neither is there, or the key is too short.
    """
    if path is None:
        text = os.environ.get(VARIABLE, "").strip()
        if not text:
            raise InputError(f"a key is needed for subject ids (got none); name --key-file, or set {VARIABLE}")
        return Key(text.encode())
    try:
        return Key(Path(path).read_bytes().strip())
    except OSError as error:
        raise InputError(
            f"the key file {str(path)!r} cannot be read (got {error.strerror}); make one with: openssl rand -hex 32"
        ) from error


def make_key(path: str | PathLike[str]) -> Key:
    """Write a new random key, readable by its owner only.

    Raises:
        InputError: there is such a file already: a lost key can never be brought back.
    """
    text = secrets.token_hex(32)
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text + "\n")
    except FileExistsError as error:
        raise InputError(f"there is a key file {str(path)!r} already; name a new one") from error
    return Key(text.encode())
