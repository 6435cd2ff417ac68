"""Read deletion requests from CSV, JSON lines, Parquet or standard input, row by row.

A bad row is refused with its line, its value and the remedy, and the good rows go on. Every line of a CSV is one
record: a quote that is never closed spoils its own line and not the rest of the file. Ids are taken as they are, as
text: they are never part of a path, a query or a page.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from graphforget.deletion.keys import PREFIX
from graphforget.deletion.records import PAIRED, SUBJECT_KINDS, Request
from graphforget.errors import InputError, missing_extra, unknown

COLUMNS = (
    "request_id",
    "received_at",
    "subject_kind",
    "subject_id",
    "src",
    "dst",
    "relation",
    "t_from",
    "t_to",
    "basis",
    "deadline",
)
NEEDED = ("request_id", "subject_kind")
DELIMITERS = ",;\t|"
REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/#-]{0,127}")
BASIS = re.compile(r"|erasure|opt_out|exempt(:[\w .,/-]{1,200})?")
CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")
LONGEST = 1024  # characters of an id
LATEST = 9000  # year: a deadline is counted from the receipt, and the calendar ends in 9999
SHOWN = 80  # characters of a value in a message


class Refusal(NamedTuple):
    """A row that was not taken.

    Args:
        line: in the file, the header is 1; of Parquet the row, from 1.
        reason: what was expected, the value, and the remedy.
        request_id: where the row has a usable one, else "".
    """

    line: int
    reason: str
    request_id: str = ""


class Row(NamedTuple):
    """A request and the line it stands in."""

    line: int
    request: Request


def read_requests(
    source: str | PathLike[str], *, delimiter: str = ",", now: datetime | None = None
) -> Iterator[Row | Refusal]:
    """Read requests one by one.

    Args:
        source: a .csv, .jsonl or .parquet file, or ``-`` for standard input (JSON lines where the first byte is a
            brace, else CSV).
        delimiter: of a CSV.
        now: the time of receipt of rows that name none.

    Yields:
        :class:`Row` or :class:`Refusal`, in the order of the file.

    Raises:
        InputError: the file as a whole cannot be read: missing, no UTF-8, an unknown ending, a header without the
            needed columns or with another delimiter.
    """
    received = (now or datetime.now(timezone.utc)).isoformat(timespec="seconds")
    for line, found in _records(source, delimiter):
        if isinstance(found, str):
            yield Refusal(line, found)
            continue
        try:
            yield Row(line, parse(found, received))
        except InputError as error:
            name = found.get("request_id", "").strip()
            yield Refusal(line, str(error), name if REQUEST_ID.fullmatch(name) else "")


def parse(cells: Mapping[str, str], received: str) -> Request:
    """Make a request of the cells of one row.

    Args:
        cells: column -> text.
        received: the time of receipt where the row names none.

    Raises:
        InputError: a value that cannot be used.

    Example:
        >>> parse({"request_id": "r1", "subject_kind": "user", "subject_id": "196"}, "2026-11-21").subject
        '196'
    """
    text = {name: (cells.get(name) or "").strip() for name in COLUMNS}
    if not REQUEST_ID.fullmatch(text["request_id"]):
        raise InputError(
            f"request_id must be 1 to 128 letters, digits and ._:/#-, a letter or digit first "
            f"(got {_short(text['request_id'])}); number the row"
        )
    kind = text["subject_kind"]
    if kind not in SUBJECT_KINDS:
        raise unknown("subject_kind", kind[:SHOWN], SUBJECT_KINDS)
    paired = kind in PAIRED
    names = ("src", "dst") if paired else ("subject_id",)
    others = ("subject_id",) if paired else ("src", "dst")
    if extra := [name for name in others if text[name]]:
        raise InputError(f"a request for one {kind} names {' and '.join(names)} (got also {extra[0]}); empty that cell")
    ids = [_id(name, text[name]) for name in names]
    if not BASIS.fullmatch(text["basis"]):
        raise InputError(
            f"basis must be empty, erasure, opt_out, exempt or exempt:REASON (got {_short(text['basis'])}); correct it"
        )
    if text["relation"]:
        _id("relation", text["relation"])
    t_from, t_to = (_moment(name, text[name]) for name in ("t_from", "t_to"))
    if t_from is not None and t_to is not None and not t_from < t_to:
        raise InputError(f"t_from must lie before t_to (got {_short(text['t_from'])} and {_short(text['t_to'])})")
    return Request(
        request_id=text["request_id"],
        kind=kind,
        subject=ids[0],
        other=ids[1] if paired else "",
        received_at=_date("received_at", text["received_at"]) or received,
        deadline=_date("deadline", text["deadline"]),
        basis=text["basis"],
        relation=text["relation"],
        t_from=t_from,
        t_to=t_to,
    )


def _id(name: str, value: str) -> str:
    if not value:
        raise InputError(f"{name} is empty (got ''); name the subject")
    if len(value) > LONGEST or CONTROL.search(value):
        raise InputError(f"{name} must be up to {LONGEST} printable characters (got {_short(value)}); correct the id")
    if value.startswith(PREFIX):
        raise InputError(f"{name} must be an id of the data, not a keyed hash (got {_short(value)}); name the raw id")
    return value


def _date(name: str, value: str) -> str:
    if not value:
        return ""
    try:
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
        whole = (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
        if whole.year > LATEST:
            raise ValueError
    except (ValueError, OverflowError) as error:  # the first and the last day of all, in another zone, overflow
        raise InputError(
            f"{name} must be a date such as 2026-11-21 or 2026-11-21T10:00:00Z, up to the year {LATEST} "
            f"(got {_short(value)}); correct it"
        ) from error
    return whole.isoformat(timespec="seconds")


def _moment(name: str, value: str) -> float | None:
    if not value:
        return None
    try:
        number = float(value)
    except ValueError:
        return datetime.fromisoformat(_date(name, value)).timestamp()
    if not math.isfinite(number):
        raise InputError(f"{name} must be a finite number of seconds or a date (got {_short(value)})")
    return number


def _short(value: str) -> str:
    return repr(value if len(value) <= SHOWN else value[:SHOWN] + "...")


def _records(source: str | PathLike[str], delimiter: str) -> Iterator[tuple[int, dict[str, str] | str]]:
    """(line, cells or what is wrong with the line) of every row."""
    if delimiter not in DELIMITERS or len(delimiter) != 1:
        raise InputError(f"delimiter must be a comma, a semicolon, a tab or a bar (got {delimiter!r})")
    with _opened(source) as (file, ending):
        if ending == ".parquet":
            yield from _parquet(cast(BinaryIO, file))
        elif ending == ".jsonl":
            yield from ((at, _jsonl(line)) for at, line in enumerate(_lines(file), 1) if line.strip())
        else:
            yield from _csv(_lines(file), delimiter)


@contextmanager
def _opened(source: str | PathLike[str]) -> Iterator[tuple[Iterable[bytes], str]]:
    if str(source) == "-":
        stream = sys.stdin.buffer
        first = stream.readline()
        jsonl = first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
        yield chain([first], stream), ".jsonl" if jsonl else ".csv"
        return
    path = Path(source)
    if path.suffix not in (".csv", ".jsonl", ".parquet"):
        raise InputError(f"requests come as .csv, .jsonl or .parquet, or - for standard input (got {str(source)!r})")
    if not path.is_file():
        raise InputError(f"there is no request file {str(source)!r}; check the path")
    with path.open("rb") as file:
        yield file, path.suffix


def _lines(file: Iterable[bytes]) -> Iterator[str]:
    for at, raw in enumerate(file, 1):
        line = raw.removeprefix(b"\xef\xbb\xbf") if at == 1 else raw
        if at == 1 and line[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise InputError("the request file must be UTF-8 (got UTF-16); save it as CSV UTF-8")
        yield line.decode("utf-8", errors="surrogateescape").rstrip("\r\n")


def _csv(lines: Iterator[str], delimiter: str) -> Iterator[tuple[int, dict[str, str] | str]]:
    header = [name.strip().lower() for name in _cells(next(lines, ""), delimiter) or []]
    _check_header(header, delimiter)
    for at, line in enumerate(lines, 2):
        if not line.strip():
            continue
        cells = _cells(line, delimiter)
        if any("\udc80" <= sign <= "\udcff" for sign in line):
            yield at, f"the line is not UTF-8 (got {_short(line.encode(errors='replace').decode())}); save it as UTF-8"
        elif cells is None:
            yield at, f"a quote is not closed or not doubled (got {_short(line)}); mend the quotes of this line"
        elif len(cells) != len(header):
            yield at, f"the line must have {len(header)} cells as the header (got {len(cells)}: {_short(line)})"
        else:
            yield at, dict(zip(header, cells, strict=True))


def _check_header(header: list[str], delimiter: str) -> None:
    if missing := [name for name in NEEDED if name not in header]:
        for other in DELIMITERS:
            if other != delimiter and len(header) == 1 and other in header[0]:
                raise InputError(
                    f"the header must be separated by {delimiter!r} (got {other!r} in {_short(header[0])}); "
                    f"pass --delimiter {other!r}"
                )
        raise InputError(f"the header must name {', '.join(NEEDED)} (got {_short(', '.join(header))}): {missing[0]}?")
    if twice := [name for name in header if header.count(name) > 1]:
        raise InputError(f"the header must name each column once (got {twice[0]!r} twice); rename one")
    for name in header:
        if name not in COLUMNS:
            raise unknown("column", name[:SHOWN], COLUMNS)


def _cells(line: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _jsonl(line: str) -> dict[str, str] | str:
    if any("\udc80" <= sign <= "\udcff" for sign in line):
        return "the line is not UTF-8; save the file as UTF-8"
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"the line must be one JSON object (got {_short(line)}: {type(error).__name__}); mend it"
    return _texts(found) if isinstance(found, dict) else f"the line must be one JSON object (got {_short(line)})"


def _texts(found: Mapping[str, Any]) -> dict[str, str] | str:
    cells = {}
    for name, value in found.items():
        if name not in COLUMNS:
            return str(unknown("column", str(name)[:SHOWN], COLUMNS))
        if isinstance(value, bool | list | dict):
            return f"{name} must be text or a number (got {_short(str(value))})"
        if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
            return f"{name} holds half of a character (a lone surrogate); correct the id"
        whole = isinstance(value, float) and value.is_integer()
        cells[name] = "" if value is None else str(int(value)) if whole else str(value)
    return cells


def _parquet(file: BinaryIO) -> Iterator[tuple[int, dict[str, str] | str]]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet") from error
    try:
        table = parquet.ParquetFile(file)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"the request file is no Parquet (got {str(error)[:SHOWN]}); write it again") from error
    _check_header([name.lower() for name in table.schema_arrow.names], ",")
    at = 0
    for batch in table.iter_batches():
        for row in batch.to_pylist():
            at += 1
            yield (
                at,
                _texts(
                    {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
                ),
            )
