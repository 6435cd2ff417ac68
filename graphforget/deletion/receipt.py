"""The receipt of a deletion: what was done, measured and left out, for a reader who has neither the data nor the store.

It records a procedure and its measurements; it is no guarantee that nothing is left (Thudi et al., USENIX Security
2022; Zhang et al., ICML 2024). The fields follow NIST SP 800-88's record of sanitisation: person, medium, method, tool,
verification. Its file is canonical JSON: one changed byte is found without a key; who has the key also finds a file
that was made anew.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from graphforget.deletion.files import canonical, digest, file_digest
from graphforget.deletion.keys import Key
from graphforget.deletion.manifest import DATA, MANIFEST, MODEL, Manifest, read_manifest
from graphforget.errors import InputError

STATEMENT = (
    "This receipt records what was done and what was measured. It does not show that no trace is left: measurements of "
    "a model cannot show that, and only retraining without the data removes it by construction."
)
OUT_OF_SCOPE = (
    "backups and copies of the data, the weights and the vocabulary outside this store",
    "the original data set and the files that the model was first trained from",
    "exports, embeddings, caches and predictions that earlier versions have already handed out",
    "models that were trained on the outputs or the weights of earlier versions",
    "optimiser states and checkpoints of the original training, unless they were named to purge",
    "what other persons' retained data says about the subject",
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Subject(_Strict):
    """A request in the receipt: no raw id.

    Args:
        request_id: of the request.
        kind: of the subject.
        mark: HMAC-SHA256 of the subject under the controller's key.
        received_at: when it was received.
        deadline: until when it had to be done.
        state: what became of it.
    """

    request_id: str
    kind: str
    mark: str = Field(pattern=r"^hmac:[0-9a-f]{64}$")
    received_at: str
    deadline: str
    state: str


class Receipt(_Strict):
    """One version's receipt.

    Args:
        version: of the model.
        issued_at: UTC.
        operator: who ran it.
        tool: name, version and hash of the sources.
        environment: versions of what it ran on.
        requests: what was asked.
        counts: what that resolved to.
        method: name, settings, reason and seed.
        inputs: SHA-256 of what went in.
        outputs: SHA-256 of what came out.
        cost: predicted and actual.
        drift: since the last training from scratch.
        verification: outcome, reasons, checks, thresholds, figures; of the evidence file its SHA-256.
        out_of_scope: what this receipt says nothing about; never empty.
        parent_receipt: SHA-256 of the receipt before; "" of the first.
        key: fingerprint of the controller's key.
        statement: how to read it.
        seal: HMAC-SHA256 of all fields above, as canonical JSON, under the controller's key.
        digest: SHA-256 of all fields above, the seal included.
    """

    format: Literal[1] = 1
    version: int
    issued_at: str
    operator: str
    tool: dict[str, str]
    environment: dict[str, str]
    requests: list[Subject]
    counts: dict[str, int]
    method: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]
    cost: dict[str, float | None]
    drift: dict[str, float]
    verification: dict[str, Any]
    out_of_scope: list[str] = Field(min_length=1)
    parent_receipt: str
    key: str
    statement: str = STATEMENT
    seal: str = ""
    digest: str = ""

    def mac(self, key: Key) -> str:
        """The seal that a key gives."""
        return key.mac(canonical(self.model_dump(exclude={"digest", "seal"})))

    def hash(self) -> str:
        """The digest that the fields have."""
        return digest(canonical(self.model_dump(exclude={"digest"})))

    def sealed(self, key: Key) -> Receipt:
        """The receipt with its seal and digest."""
        found = self.model_copy(update={"seal": self.mac(key)})
        return found.model_copy(update={"digest": found.hash()})

    def bytes(self) -> bytes:
        """The bytes of its file."""
        return canonical(self.model_dump())


def build(
    folder: Path,
    manifest: Manifest,
    before: Manifest,
    requests: list[Subject],
    verification: dict[str, Any],
    *,
    key: Key,
    issued_at: str,
    operator: str,
    older: list[int],
    parent_receipt: str,
) -> Receipt:
    """Put a receipt together.

    Args:
        folder: of the version.
        manifest: of the version.
        before: of the version before.
        requests: what was asked.
        verification: see :class:`Receipt`.
        key: the controller's.
        issued_at: UTC.
        operator: who ran it.
        older: versions in the store that still hold the forgotten data.
        parent_receipt: SHA-256 of the receipt before.
    """
    scope = list(OUT_OF_SCOPE)
    if older:
        scope.insert(
            0, f"versions {', '.join(map(str, older))} of this store, which hold the data until they are purged"
        )
    return Receipt(
        version=manifest.version,
        issued_at=issued_at,
        operator=operator,
        tool=manifest.code,
        environment=manifest.environment,
        requests=requests,
        counts=manifest.counts,
        method={
            "name": manifest.method,
            "settings": manifest.settings,
            "reason": manifest.reason,
            "seed": manifest.seed,
        },
        inputs={
            "model_sha256": before.files[MODEL],
            "data_sha256": before.files[DATA],
            "deployment_sha256": manifest.deployment,
            "parent_manifest_sha256": manifest.parent,
        },
        outputs={
            "model_sha256": manifest.files[MODEL],
            "data_sha256": manifest.files[DATA],
            "manifest_sha256": file_digest(folder / MANIFEST),
        },
        cost=manifest.cost,
        drift={name: float(value) for name, value in manifest.drift.model_dump().items()},
        verification=verification,
        out_of_scope=scope,
        parent_receipt=parent_receipt,
        key=key.fingerprint,
    ).sealed(key)


def read_receipt(path: Path) -> Receipt:
    """Read a receipt.

    Raises:
        InputError: there is none, or it is something else.
    """
    if not path.is_file():
        raise InputError(f"there is no receipt {str(path)!r}; check the path")
    try:
        return Receipt.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise InputError(f"{str(path)!r} is no receipt (got {where}: {first['msg']}); get it again") from error


def verify_receipt(path: Path, *, key: Key | None = None, root: Path | None = None) -> list[str]:
    """Check a receipt offline, without the data.

    Args:
        path: of the receipt.
        key: the controller's; without it a receipt that somebody made anew, digest and all, is not found.
        root: of the store, if at hand: its manifest, weights and data are compared with the receipt as well.

    Returns:
        What is wrong, in words; [] of a sound receipt.
    """
    try:
        receipt = read_receipt(path)
    except InputError as error:
        if not path.is_file():
            raise
        return [str(error)]
    found = []
    if path.read_bytes() != receipt.bytes():
        found.append("the file is not the canonical JSON of its content: bytes were changed")
    if receipt.digest != receipt.hash():
        found.append("the digest does not fit the content: a field was changed")
    if key is not None:
        if receipt.key != key.fingerprint:
            found.append("the receipt was sealed with another key")
        elif not hmac.compare_digest(receipt.seal, receipt.mac(key)):
            found.append("the seal does not fit: this receipt was not made by the holder of the key")
    parents = sorted(other for other in path.parent.glob("[0-9]*.json") if _before(other, receipt.version))
    if receipt.parent_receipt and parents and file_digest(parents[-1]) != receipt.parent_receipt:
        found.append(f"the receipt before it, {parents[-1].name}, was changed")
    return found + ([] if root is None else _beside(receipt, root))


def _before(path: Path, version: int) -> bool:
    return path.stem.isdigit() and int(path.stem) < version


def _beside(receipt: Receipt, root: Path) -> list[str]:
    """Compare a receipt with the version in a store."""
    folder = root / "versions" / f"{receipt.version:06d}"
    if not folder.is_dir():
        return [f"version {receipt.version} is not in the store {str(root)!r}: purged, or another store"]
    if file_digest(folder / MANIFEST) != receipt.outputs.get("manifest_sha256"):
        return [f"version {receipt.version}: {MANIFEST} was changed"]
    files = read_manifest(folder).files
    wrong = [name for name, expected in files.items() if file_digest(folder / name) != expected]
    named = {MODEL: "model_sha256", DATA: "data_sha256"}
    wrong += [name for name, field in named.items() if files[name] != receipt.outputs.get(field)]
    evidence = root / "receipts" / f"{receipt.version:06d}.evidence.json"
    expected = receipt.verification.get("evidence_sha256")
    if expected and (not evidence.is_file() or file_digest(evidence) != expected):
        wrong.append(evidence.name)
    return [f"version {receipt.version}: {name} was changed" for name in dict.fromkeys(wrong)]
