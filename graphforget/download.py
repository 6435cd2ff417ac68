"""Where the files of a data set are: found in place, or fetched once into a cache.

Order: the folder given, else the environment variable GRAPHFORGET_DATA; then the cache, GRAPHFORGET_CACHE or ./data.
Files in a user's folder are used in place and never written to; only the cache is. The addresses are those of PyG's and
OGB's own downloaders, whose functions are not used: they leave half a file behind when interrupted and PyG's skips the
check of the server's certificate. A file appears under its name only once it is whole.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Protocol

from graphforget.errors import InputError
from graphforget.folders import BadFile, cache_root, data_root, reading
from graphforget.whole import whole

log = logging.getLogger(__name__)

TIMEOUT = 60  # seconds without a byte


class Card(Protocol):
    """What has to be known of a data set to find its files; every domain's card has it."""

    @property
    def title(self) -> str:
        """As papers write it."""

    @property
    def folder(self) -> str:
        """Below the data root."""

    @property
    def files(self) -> Mapping[str, str]:
        """Path below the folder -> SHA-256, or "" where it is not known."""

    @property
    def url(self) -> str:
        """A folder, or the one archive that holds the files; "" where nothing can be fetched."""

    @property
    def pinned(self) -> bool:
        """A download must have the checksums."""


def in_cache(path: Path, root: Path | None) -> bool:
    """Say whether a file may be replaced: it lies in the cache, and not in a folder the user named."""
    full, cache = path.resolve(), cache_root().resolve()
    users = root is not None and root.resolve() != cache and full.is_relative_to(root.resolve())
    return full.is_relative_to(cache) and not users


def locate(card: Card, base: Path | None) -> dict[str, Path] | None:
    """Return path of the card -> file below ``base`` (or the card's own folder); None if one is missing."""
    for folder in () if base is None else (base / card.folder, base):
        found = {name: folder / name for name in card.files}
        if all(path.is_file() for path in found.values()):
            return found
    return None


def obtain(card: Card, root: str | PathLike[str] | None) -> dict[str, Path]:
    """Return path of the card -> file, fetched into the cache where it is not on disk.

    Raises:
        InputError: a file is missing and cannot be fetched; it names the data set, the file and where to put it.
    """
    user, cache = data_root(root), cache_root()
    found = locate(card, user) or locate(card, cache)
    if found is not None:
        return found
    target = cache / card.folder
    missing = [name for name in card.files if not (target / name).is_file()]
    try:
        if not card.url:
            raise FileNotFoundError("no address is known")
        if card.url.endswith(".zip"):
            _fetch_archive(card, target, missing)
        else:
            for name in missing:
                log.info("fetching %s of %s", name, card.title)
                _fetch(card.url + name.rpartition("/")[2], target / name, card.files[name] if card.pinned else "")
    except OSError as error:  # urllib's errors are OSErrors too
        absent = [name for name in card.files if not (target / name).is_file()]
        near = [name for name in absent if user is None or not (user / card.folder / name).is_file()]
        places = " and ".join(str(place.absolute() / card.folder) for place in (user, cache) if place is not None)
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{card.title} is not on disk: no {', '.join(near or absent)} in {places}; fetching"
            f"{card.url and f' from {card.url}'} failed ({reason}); put the files into {target.absolute()}, or point "
            "GRAPHFORGET_DATA (or root) at a folder that holds "
            f"{card.folder}/{absent[0] if absent else ''}"
        ) from error
    return {name: target / name for name in card.files}


def again(card: Card, bad: BadFile, root: str | PathLike[str] | None) -> dict[str, Path]:
    """Name a bad file of the cache, remove it and fetch it again.

    Raises:
        BadFile: the file lies in a folder of the user, where nothing is ever removed.
        InputError: it cannot be fetched.
    """
    if not in_cache(bad.path, data_root(root)):
        raise bad
    log.warning("%s is removed and fetched again: %s", bad.path, bad.reason)
    bad.path.unlink(missing_ok=True)
    try:
        return obtain(card, root)
    except BadFile:
        raise
    except InputError as error:
        raise InputError(f"{bad.path} was bad and has been removed ({bad.reason}); {error}") from error


def _fetch(url: str, path: Path, sha: str = "") -> None:
    """Fetch a file; it appears under its name only once it is whole and, where a checksum is given, right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with whole(path) as part:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as reply, part.open("wb") as file:
            while chunk := reply.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
            said = reply.headers.get("Content-Length") if reply.headers else None
            if said is not None and int(said) != file.tell():
                raise urllib.error.URLError(f"{file.tell()} of {said} bytes came")
        if sha and digest.hexdigest() != sha:
            raise BadFile(path, f"{url} gave SHA-256 {digest.hexdigest()}, expected {sha}", "nothing was kept")


def _fetch_archive(card: Card, target: Path, missing: list[str]) -> None:
    """Fetch a zip archive and take the missing files out of it, by their last name; nothing else is unpacked."""
    archive = target / card.url.rpartition("/")[2]
    log.info("fetching %s of %s", archive.name, card.title)
    _fetch(card.url, archive)
    try:
        with reading(archive), zipfile.ZipFile(archive) as packed:
            members: Mapping[str, str] = {each.rpartition("/")[2]: each for each in packed.namelist()}
            for name in missing:
                path = target / name
                if path.name not in members:
                    raise BadFile(archive, f"holds no {path.name}")
                path.parent.mkdir(parents=True, exist_ok=True)
                with whole(path) as part, packed.open(members[path.name]) as source, part.open("wb") as file:
                    shutil.copyfileobj(source, file)
    finally:
        archive.unlink(missing_ok=True)
