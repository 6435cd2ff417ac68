"""External ids to internal rows: saved with the model, and the place where a deleted person's id turns into an HMAC."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path

from graphforget.deletion.files import canonical
from graphforget.deletion.keys import PREFIX, Key
from graphforget.errors import InputError, missing_extra, unknown

HASHED = "sha256:"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The names of the rows.

    Args:
        ids: ``{"node": (...)}`` or ``{"user": (...), "item": (...)}``, in row order; ``hmac:...`` where deleted, ""
            where a row has no name (padding).

    Raises:
        InputError: an id stands twice.

    Example:
        >>> names = Vocabulary({"node": ("ann", "bob")})
        >>> names.find("node", "bob"), names.find("node", "eve")
        (1, None)
    """

    ids: Mapping[str, tuple[str, ...]]
    _cache: dict[str, dict[str, int]] = field(default_factory=dict, repr=False, init=False)

    def __post_init__(self) -> None:
        for kind, names in self.ids.items():
            seen: set[str] = set()
            for name in names:
                if name and name in seen:
                    raise InputError(f"a vocabulary must name each {kind} once (got {name!r} twice); make ids unique")
                seen.add(name)

    @classmethod
    def numbered(cls, sizes: Mapping[str, int]) -> Vocabulary:
        """The row numbers as ids, where there are no others."""
        return cls({kind: tuple(map(str, range(size))) for kind, size in sizes.items()})

    @cached_property
    def rows(self) -> dict[str, dict[str, int]]:
        """{kind: {id: row}}."""
        return {kind: {name: row for row, name in enumerate(names) if name} for kind, names in self.ids.items()}

    def find(self, kind: str, name: str) -> int | None:
        """The row of an external id, of its SHA-256 (``sha256:HEX``, as DROP sends them) or of an HMAC; else None.

        Raises:
            UnknownName: the vocabulary has no such kind.
        """
        if kind not in self.ids:
            raise unknown("subject kind", kind, self.ids)
        if name.startswith(HASHED):
            return self._hashed(kind).get(name)
        return self.rows[kind].get(name)

    def _hashed(self, kind: str) -> dict[str, int]:
        if kind not in self._cache:
            self._cache[kind] = {
                HASHED + hashlib.sha256(name.encode()).hexdigest(): row
                for name, row in self.rows[kind].items()
                if not name.startswith(PREFIX)
            }
        return self._cache[kind]

    def marked(self, kind: str, row: int, key: Key) -> str:
        """The HMAC of a row's id, deleted or not."""
        name = self.ids[kind][row]
        return name if name.startswith(PREFIX) else key.mark(kind, name)

    def hide(self, rows: Mapping[str, Iterable[int]], key: Key) -> Vocabulary:
        """The vocabulary with the names of some rows turned into HMACs."""
        ids = dict(self.ids)
        for kind, gone in rows.items():
            names = list(ids[kind])
            for row in gone:
                if names[row]:
                    names[row] = self.marked(kind, row, key)
            ids[kind] = tuple(names)
        return Vocabulary(ids)

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise InputError where the vocabulary does not name the rows of the data."""
        found = {kind: len(names) for kind, names in self.ids.items()}
        if found != dict(sizes):
            raise InputError(f"the vocabulary must name {dict(sizes)} rows (got {found}); save the one of this model")

    def json(self) -> bytes:
        """The bytes of ``vocabulary.json``."""
        return canonical({"format": 1, "ids": {kind: list(names) for kind, names in self.ids.items()}})


def load_vocabulary(path: str | PathLike[str]) -> Vocabulary:
    """Read ``{"ids": {"user": [...], "item": [...]}}`` from JSON, or the columns kind, index, id from Parquet.

    Raises:
        InputError: the file is something else.
        MissingExtra: a Parquet file without pyarrow.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(f"there is no vocabulary {str(file)!r}; name the file with the ids of this model")
    if file.suffix == ".parquet":
        return _parquet(file)
    wrong = f"the vocabulary {str(file)!r} must be JSON such as {{'ids': {{'user': ['196'], 'item': ['242']}}}}"
    try:
        ids = json.loads(file.read_text(encoding="utf-8"))["ids"]
        if not all(isinstance(name, str | int) for names in ids.values() for name in names):
            raise InputError(f"{wrong} (got ids that are neither text nor whole numbers)")
        return Vocabulary({kind: tuple(map(str, names)) for kind, names in ids.items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{wrong} (got {type(error).__name__}: {error})") from error


def _parquet(file: Path) -> Vocabulary:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet") from error
    table = parquet.read_table(file)
    if not {"kind", "index", "id"} <= set(table.column_names):
        raise InputError(f"{str(file)!r} must have the columns kind, index, id (got {table.column_names})")
    named: dict[str, dict[int, str]] = {}
    for row in table.select(["kind", "index", "id"]).to_pylist():
        named.setdefault(str(row["kind"]), {})[int(row["index"])] = str(row["id"])
    for kind, names in named.items():
        if sorted(names) != list(range(len(names))):
            raise InputError(f"{str(file)!r} must name the {kind} rows 0 to {len(names) - 1} once each")
    return Vocabulary({kind: tuple(names[row] for row in range(len(names))) for kind, names in named.items()})
