"""What a version of the store is made of, and the log that chains the versions."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import lru_cache
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from graphforget import __version__
from graphforget.deletion.files import canonical, digest, write
from graphforget.errors import StoreError

MODEL, DATA, MANIFEST, REQUEST = "model.safetensors", "data.safetensors", "manifest.json", "request.safetensors"


class Drift(BaseModel):
    """How far a version is from the last training from scratch.

    Args:
        requests: unlearned since then.
        distance: sum over the batches of the mean root JS of the held-out outputs before and after.
        batches: unlearned since then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    requests: int = 0
    distance: float = 0.0
    batches: int = 0


class Manifest(BaseModel):
    """What a version is.

    Args:
        version: its number.
        kind: how it came about.
        created_at: when, UTC, never before its parent.
        parent: SHA-256 of the parent's manifest; "" of the first.
        parent_receipt: SHA-256 of the parent's receipt; "" where it has none.
        files: name -> SHA-256.
        data_before: SHA-256 of the parent's data; "" of the first.
        deployment: SHA-256 of deployment.json.
        code: version and SHA-256 of graphforget's own sources.
        environment: versions of what it ran on.
        method: key of the method; "" of the first and of a rollback.
        settings: every field of the method.
        reason: why this method.
        seed: of the run.
        requests: ids of the requests that it forgot.
        counts: what the requests resolved to.
        cost: predicted and actual, seconds and MiB.
        prices: method -> what the plan predicted, seconds and MiB.
        drift: since the last training from scratch.
        notes: what the method noted, of plain values.
        restores: of a rollback, the version whose weights these are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    format: Literal[1] = 1
    version: int
    kind: Literal["original", "unlearned", "retrained", "data_only", "rollback"]
    created_at: str
    parent: str = ""
    parent_receipt: str = ""
    files: dict[str, str]
    data_before: str = ""
    deployment: str
    code: dict[str, str]
    environment: dict[str, str]
    method: str = ""
    settings: dict[str, Any] = {}
    reason: str = ""
    seed: int = 0
    requests: list[str] = []
    counts: dict[str, int] = {}
    cost: dict[str, float | None] = {}
    prices: dict[str, dict[str, float]] = {}
    drift: Drift = Drift()
    notes: dict[str, Any] = {}
    restores: int | None = None

    def bytes(self) -> bytes:
        """The canonical JSON of the manifest: the bytes of its file."""
        return canonical(self.model_dump())


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a version.

    Raises:
        StoreError: it is not there or was changed into something else.
    """
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise StoreError(f"the manifest of {str(folder)!r} cannot be read (got {error}); restore it") from error


@lru_cache(maxsize=1)
def code() -> dict[str, str]:
    """Version and hash of this package's sources."""
    root = Path(__file__).resolve().parents[1]
    found = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return {"graphforget": __version__, "sources_sha256": found.hexdigest()}


@lru_cache(maxsize=1)
def environment() -> dict[str, str]:
    """What a run ran on."""
    packages = {name: version_of(name) for name in ("torch", "torch-geometric", "numba", "numpy", "scipy")}
    return {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system(), **packages}


class Chain:
    """The log of a store: one line an event, each with the hash of the line before.

    Args:
        path: of ``chain.jsonl``; written anew as a whole, so that it is never half a line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def events(self) -> list[dict[str, Any]]:
        """All lines."""
        if not self.path.exists():
            return []
        try:
            return [json.loads(line) for line in self.path.read_bytes().splitlines()]
        except ValueError as error:
            raise StoreError(f"{str(self.path)!r} is damaged (got {error}); restore it from a backup") from error

    def append(self, event: dict[str, Any]) -> None:
        """Add an event."""
        before = self.path.read_bytes() if self.path.exists() else b""
        last = before.splitlines(keepends=True)[-1:] or [b""]
        write(self.path, before + canonical({**event, "previous": digest(last[0])}))

    def problems(self) -> list[str]:
        """Where the log was changed."""
        if not self.path.exists():
            return [f"{self.path.name} is missing"]
        found: list[str] = []
        previous = b""
        for at, line in enumerate(self.path.read_bytes().splitlines(keepends=True), 1):
            try:
                event = json.loads(line)
            except ValueError:
                return [*found, f"{self.path.name}, line {at}: no JSON"]
            if canonical(event) != line or event.get("previous") != digest(previous):
                found.append(f"{self.path.name}, line {at}: does not continue the line before")
            previous = line
        return found

    def manifests(self) -> dict[int, str]:
        """{version: SHA-256 of its manifest} of every version there ever was."""
        return {event["version"]: event["manifest"] for event in self.events() if event["event"] == "commit"}

    def purged(self) -> set[int]:
        """The versions that were destroyed."""
        return {version for event in self.events() if event["event"] == "purge" for version in event["versions"]}
