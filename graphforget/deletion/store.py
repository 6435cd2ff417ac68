"""The store: versions of the model and its data, each whole or not there, chained by hashes.

::

    STORE/deployment.json   what is served, and the policy
          vocabulary.json   external ids; those of the deleted are HMACs
          queue.sqlite      requests and their states
          chain.jsonl       one line an event, each with the hash of the line before
          versions/000001/  model.safetensors data.safetensors manifest.json
          receipts/         one file a version, and the evidence behind it

A version is put together in a folder of another name, its manifest last, and then renamed. A process that is killed
leaves the old version or the new one; what it left half-done is removed or finished by the next writer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor, nn

from graphforget.deletion import clock
from graphforget.deletion.deployment import Deployment, blank_model, sizes_of, with_weights
from graphforget.deletion.files import digest, file_digest, storing, sync_file, sync_folder, write
from graphforget.deletion.keys import Key
from graphforget.deletion.lock import writer
from graphforget.deletion.manifest import (
    DATA,
    MANIFEST,
    MODEL,
    REQUEST,
    Chain,
    Manifest,
    code,
    environment,
    read_manifest,
)
from graphforget.deletion.queue import Queue
from graphforget.deletion.records import State
from graphforget.deletion.snapshot import pack, unpack
from graphforget.deletion.vocabulary import Vocabulary, load_vocabulary
from graphforget.errors import InputError, StoreError
from graphforget.graph import Graph
from graphforget.splits import Splits

CLOSED = (State.PENDING, State.DELETED, State.UNVERIFIED, State.FAILED)
DEPLOYMENT, VOCABULARY, QUEUE, CHAIN = "deployment.json", "vocabulary.json", "queue.sqlite", "chain.jsonl"


class Store:
    """An opened store. Reading needs no lock; everything that changes it runs inside :meth:`writing`.

    Args:
        root: its folder.
        key: the controller's.
        now: the clock; only tests give another.

    Raises:
        InputError: no store, or another key than its own.
    """

    def __init__(self, root: str | os.PathLike[str], key: Key, *, now: clock.Now = clock.wall) -> None:
        self.root, self.key = Path(root), key
        path = self.root / DEPLOYMENT
        if not path.is_file():
            raise InputError(f"there is no deletion store in {str(root)!r}; make one with: graphforget init")
        with storing(self.root):
            self.deployment = Deployment.parse(path.read_bytes(), str(path))
        if self.deployment.key != key.fingerprint:
            raise InputError(
                f"the key is not the one of this store (got {key.fingerprint}, the store has {self.deployment.key}); "
                "give the key that it was made with"
            )
        self.chain = Chain(self.root / CHAIN)
        undirected = self.head_data().train.undirected if self.versions() else False
        self.queue = Queue(self.root / QUEUE, key, undirected=undirected, now=now)

    def close(self) -> None:
        """Close the queue."""
        self.queue.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the only writer inside the block; what a killed writer left is put right first."""
        with writer(self.root), storing(self.root):
            self.recover()
            yield

    def folder(self, version: int) -> Path:
        """Where a version lies."""
        return self.root / "versions" / f"{version:06d}"

    def versions(self) -> list[int]:
        """The versions that are there, in order; the last is the head, the one that is served."""
        base = self.root / "versions"
        return sorted(int(each.name) for each in base.iterdir() if each.name.isdigit()) if base.is_dir() else []

    @property
    def head(self) -> int:
        """The version that is served."""
        found = self.versions()
        if not found:
            raise StoreError(f"the store {str(self.root)!r} holds no version (got an empty folder); restore it")
        return found[-1]

    def manifest(self, version: int | None = None) -> Manifest:
        """The manifest of a version, by default of the head."""
        return read_manifest(self.existing(version))

    def existing(self, version: int | None = None) -> Path:
        """The folder of a version that is there."""
        number = self.head if version is None else version
        if number not in self.versions():
            gone = " (it was purged)" if number in self.chain.purged() else ""
            raise InputError(f"there is no version {number}{gone}; there are {', '.join(map(str, self.versions()))}")
        return self.folder(number)

    def head_data(self) -> Splits[Graph]:
        """The data of the head."""
        return self.data(self.head)

    def data(self, version: int) -> Splits[Graph]:
        """The three views of a version."""
        with storing(self.root):
            return unpack(self.existing(version) / DATA)

    def model(self, version: int | None = None) -> nn.Module:
        """The model of a version, by default of the head, in eval mode."""
        folder = self.existing(version)
        with storing(self.root):
            state = load_file(folder / MODEL)
        return with_weights(blank_model(self.deployment), state, str(folder / MODEL))

    def vocabulary(self) -> Vocabulary:
        """The external ids."""
        return load_vocabulary(self.root / VOCABULARY)

    def check_head(self) -> None:
        """Raise StoreError where the head is not what its manifest and the chain say: nothing is built on it then."""
        if wrong := self.problems([self.head]):
            raise StoreError(f"the head of {str(self.root)!r} was changed (got {wrong[0]}); restore it from a backup")

    def problems(self, versions: list[int] | None = None) -> list[str]:
        """Everything that is not as the manifests and the chain say, in words; [] of a sound store."""
        found = self.chain.problems()
        manifests = {} if found else self.chain.manifests()
        for version in self.versions() if versions is None else versions:
            folder, name = self.folder(version), f"version {version}"
            if not (folder / MANIFEST).is_file():
                found.append(f"{name}: {MANIFEST} is missing")
                continue
            if manifests and file_digest(folder / MANIFEST) != manifests.get(version):
                found.append(f"{name}: {MANIFEST} is not the one in the chain")
                continue
            manifest = read_manifest(folder)
            for file, expected in manifest.files.items():
                if not (folder / file).is_file():
                    found.append(f"{name}: {file} is missing")
                elif file_digest(folder / file) != expected:
                    found.append(f"{name}: {file} was changed")
            if manifests and version and manifest.parent != manifests.get(version - 1):
                found.append(f"{name}: its parent is not version {version - 1}")
        return found

    def commit(
        self,
        state: Mapping[str, Tensor],
        splits: Splits[Graph],
        *,
        pending: Mapping[str, Tensor] | None = None,
        **fields: Any,
    ) -> Manifest:
        """Add a version and make it the head.

        Args:
            state: weights.
            splits: the data that is left.
            pending: the resolved request, kept for the verification and destroyed with its verdict.
            fields: of the manifest.
        """
        versions = self.versions()
        number = max([*versions, *self.chain.purged(), -1]) + 1
        building = self.root / "versions" / f".new-{number:06d}"
        if building.exists():
            shutil.rmtree(building)
        building.mkdir(parents=True)
        weights = {name: value.detach().cpu().clone().contiguous() for name, value in state.items()}
        contents = {MODEL: save(weights), DATA: pack(splits)}
        for name, content in contents.items():
            write(building / name, content)
        if pending:
            write(building / REQUEST, save(dict(pending)))
        files = {name: digest(content) for name, content in contents.items()}
        return self._finish(building, number, files, fields)

    def restore(self, version: int, **fields: Any) -> Manifest:
        """Add a version that has the files of an older one, and make it the head."""
        old, number = self.existing(version), max([*self.versions(), *self.chain.purged()]) + 1
        building = self.root / "versions" / f".new-{number:06d}"
        if building.exists():
            shutil.rmtree(building)
        building.mkdir(parents=True)
        for name in (MODEL, DATA):
            shutil.copyfile(old / name, building / name)
            sync_file(building / name)
        return self._finish(building, number, dict(read_manifest(old).files), {**fields, "restores": version})

    def _finish(self, building: Path, number: int, files: dict[str, str], fields: Mapping[str, Any]) -> Manifest:
        """Write the manifest last, then give the folder its name."""
        parent = self.folder(number - 1) / MANIFEST
        receipt = self.root / "receipts" / f"{number - 1:06d}.json"
        before = read_manifest(parent.parent).files[DATA] if parent.is_file() else ""
        manifest = Manifest(
            version=number,
            files=files,
            parent=file_digest(parent) if parent.is_file() else "",
            parent_receipt=file_digest(receipt) if receipt.is_file() else "",
            data_before=before,
            deployment=file_digest(self.root / DEPLOYMENT),
            code=code(),
            environment=environment(),
            created_at=self.queue.stamp()[0],
            **fields,
        )
        write(building / MANIFEST, manifest.bytes())
        sync_folder(building)
        os.replace(building, self.folder(number))
        sync_folder(building.parent)
        self._chain_commits()
        return manifest

    def _chain_commits(self) -> None:
        known = self.chain.manifests()
        for version in self.versions():
            if version not in known:
                manifest = self.folder(version) / MANIFEST
                event = {"event": "commit", "version": version, "manifest": file_digest(manifest)}
                self.chain.append({**event, "at": read_manifest(manifest.parent).created_at})

    def recover(self) -> None:
        """Put right what a killed writer left: half-built versions go, whole ones are entered everywhere."""
        base = self.root / "versions"
        for left in [*base.glob(".new-*"), *base.glob(".gone-*")]:
            shutil.rmtree(left)
        for folder in (self.root, self.root / "receipts"):
            for left in folder.glob(".*.part"):
                left.unlink()
        self._chain_commits()
        for version in self.chain.purged() & set(self.versions()):
            self.destroy(version)
        self._finish_running()
        self.requeue()
        self.hide_deleted()
        self.queue.scrub()

    def _finish_running(self) -> None:
        """Requests that a killed run was working on: done if the head is theirs, else to be done again."""
        names = [entry.request.request_id for entry in self.queue.entries(State.RUNNING)]
        if not names:
            return
        head = self.manifest()
        if set(names) <= set(head.requests):
            self.queue.move(names, State.PENDING, version=head.version, hide=True)
        else:
            self.queue.move(names, State.PLANNED, "the run was interrupted")

    def requeue(self) -> None:
        """After a rollback: what later versions forgot has to be forgotten again."""
        head = self.manifest()
        if head.restores is None:
            return
        undone = [
            entry.request.request_id
            for entry in self.queue.entries(*CLOSED)
            if entry.version is not None and head.restores < entry.version < head.version
        ]
        self.queue.move(undone, State.RESOLVED, f"rolled back to version {head.restores}")

    def enter(self, version: int, names: list[str]) -> None:
        """Enter a committed version into the queue, and turn the ids of what it forgot into HMACs."""
        self.queue.move(names, State.PENDING, version=version, hide=True)
        self.hide_deleted()
        self.queue.scrub()

    def hide_deleted(self) -> None:
        """Turn the names of removed rows into HMACs in the vocabulary."""
        vocabulary, train = self.vocabulary(), self.head_data().train
        if train.removed is None:
            return
        removed = train.removed.nonzero().flatten().tolist()
        sizes, gone = sizes_of(self.head_data()), {}
        first = 0
        for kind, size in sizes.items():
            rows = [row - first for row in removed if first <= row < first + size]
            gone[kind] = [row for row in rows if vocabulary.ids[kind][row][:5] not in ("", "hmac:")]
            first += size
        if any(gone.values()):
            write(self.root / VOCABULARY, vocabulary.hide(gone, self.key).json())

    def destroy(self, version: int) -> None:
        """Remove a version's folder: first its name, so that no half of it is ever seen, then its files."""
        gone = self.root / "versions" / f".gone-{version:06d}"
        os.replace(self.folder(version), gone)
        shutil.rmtree(gone)
        sync_folder(gone.parent)


def check_free(root: str | os.PathLike[str]) -> Path:
    """Return the folder of a store to be made; raise InputError where something is there already."""
    folder = Path(root)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"the store must be a new or empty folder (got {str(root)!r}); name another one")
    return folder


def create(
    root: str | os.PathLike[str],
    deployment: Deployment,
    model: nn.Module,
    splits: Splits[Graph],
    vocabulary: Vocabulary,
    key: Key,
) -> Store:
    """Make a store whose version 0 is the deployed model.

    Args:
        root: a new or empty folder.
        deployment: what is served.
        model: with its weights.
        splits: what it was trained on, chosen by and scored on.
        vocabulary: external ids of the rows.
        key: the controller's.

    Raises:
        InputError: the folder is in use, or vocabulary and data do not fit; nothing is written.
    """
    folder = check_free(root)
    vocabulary.check(sizes_of(splits))
    for view in splits:
        view.validate()
    with storing(folder):
        (folder / "versions").mkdir(parents=True)
        (folder / "receipts").mkdir()
        write(folder / VOCABULARY, vocabulary.json())
        signed = deployment.model_copy(update={"key": key.fingerprint})
        write(folder / DEPLOYMENT, signed.model_dump_json(indent=2).encode() + b"\n")
        store = Store(folder, key)
        store.queue.undirected = splits.train.undirected
        with writer(folder):
            state = model.state_dict()
            store.commit(state, splits, kind="original", seed=deployment.seed)
    return store
