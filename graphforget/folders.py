"""Where the files of a data set are, and what is said when one is missing or broken.

Order: the folder given, else the environment variable GRAPHFORGET_DATA; then the cache, GRAPHFORGET_CACHE or ./data.
Files in a user's folder are used in place and never written to.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from graphforget.errors import InputError


class BadFile(InputError):
    """A file that is not what its card says."""

    def __init__(self, path: Path, reason: str, remedy: str = "get it again") -> None:
        super().__init__(f"{path}: {reason}; {remedy}")
        self.path, self.reason = path, reason


@contextmanager
def reading(path: Path) -> Iterator[Path]:
    """Turn whatever reading a broken file raises into :class:`BadFile`, which names it."""
    try:
        yield path
    except BadFile:
        raise
    except (EOFError, IndexError, KeyError, OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise BadFile(path, f"cannot be read, half-downloaded or corrupt ({type(error).__name__}: {error})") from error


def data_root(root: str | PathLike[str] | None) -> Path | None:
    """Return the user's data folder: the argument, else GRAPHFORGET_DATA, else None.

    Raises:
        InputError: it names no folder.
    """
    named, by = (root, "root") if root is not None else (os.environ.get("GRAPHFORGET_DATA"), "GRAPHFORGET_DATA")
    if not named:
        return None
    if not Path(named).is_dir():
        raise InputError(f"{by} must name a folder (got {str(named)!r})")
    return Path(named)


def cache_root() -> Path:
    """Return the folder that downloads go to: GRAPHFORGET_CACHE, else ./data."""
    return Path(os.environ.get("GRAPHFORGET_CACHE") or "data")


def bases(root: str | PathLike[str] | None) -> list[Path]:
    """Return where to look, in order: the user's folder, if there is one, and the cache."""
    return [base for base in (data_root(root), cache_root()) if base is not None]


def holder(folder: str, names: Iterable[str], root: str | PathLike[str] | None) -> Path | None:
    """Return the folder that holds all files: ``folder`` below a place of :func:`bases`, or the place itself.

    None where there is none.
    """
    wanted = list(names)
    for base in bases(root):
        for place in (base / folder, base):
            if all((place / name).is_file() for name in wanted):
                return place
    return None


def in_place(
    title: str, folder: str, names: Iterable[str], source: str, root: str | PathLike[str] | None
) -> list[Path]:
    """Return the files of a data set that is never fetched, from ``folder`` (or the root itself) below a root.

    Args:
        title: of the data set, for the message.
        folder: its own, below the root.
        names: of its files.
        source: where a reader gets them.
        root: see :func:`data_root`.

    Raises:
        InputError: a file is missing; it names the data set, the file, where it was looked for and its source.
    """
    wanted = list(names)
    if (place := holder(folder, wanted, root)) is not None:
        return [place / name for name in wanted]
    places = [base / folder for base in bases(root)]
    absent = next(name for name in wanted if not (places[0] / name).is_file())
    raise InputError(
        f"{title} is not on disk: no {absent} in {' or '.join(str(place.absolute()) for place in places)}; get it"
        f" from {source} and point GRAPHFORGET_DATA (or root) at the folder that holds {folder}/{absent}"
    )
