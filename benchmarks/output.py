"""What benchmarks share at their edges: the flags of a measurement, rows that are kept, and how one ends.

Rows are appended when they are finished, in one write that reaches the disk; a line that a crash has torn is cut off by
the next write and passed over until then.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from graphforget.errors import GraphforgetError, unknown


def add_flags(parser: argparse.ArgumentParser, *, cache: str = "", plot: str = "") -> None:
    """Add the flags that measurements have in common: seeds, folders, and where the rows go.

    Args:
        parser: gets them.
        cache: what is kept there; no such flag where it is empty.
        plot: what is drawn, likewise.
    """
    add = parser.add_argument
    add("--seeds", nargs="+", type=int, default=[1, 2, 3], metavar="S", help="of data, order and models (1 2 3)")
    add("--data-root", type=Path, default=None, help="folder of the data sets")
    if cache:
        add("--cache", type=Path, default=Path("benchmarks/results/.cache"), help=cache)
    add("--out", type=Path, default=None, metavar="FILE", help="append the JSON lines here; finished rows are kept")
    add("--json", action="store_true", help="print JSON lines instead of a table")
    if plot:
        add("--plot", type=Path, default=None, metavar="FILE", help=plot)


def check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Refuse names that are not known, before anything is read.

    Raises:
        UnknownName: with the nearest known one.
    """
    among = tuple(known)
    for name in names:
        if name not in among:
            raise unknown(kind, name, among)


def kept(out: Path | None) -> list[dict[str, Any]]:
    """The rows that earlier runs have written to a file; none where there is no file yet."""
    if out is None or not out.exists():
        return []
    lines = out.read_text(encoding="utf-8").split("\n")[:-1]  # what stands behind the last break was torn by a crash
    return [json.loads(line) for line in lines]


def lines_of(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def append(out: Path | None, lines: str) -> None:
    """Append lines to a file, if there is one, in one write; a torn line of an earlier crash is cut off first."""
    if out is None or not lines:
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        text = out.read_bytes()
        if text and not text.endswith(b"\n"):
            with out.open("r+b") as file:
                file.truncate(text.rfind(b"\n") + 1)
    with out.open("a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def printed(rows: Sequence[Mapping[str, Any]], as_json: bool, table: Callable[[Any], Table]) -> int:
    """Print the rows; returns the exit status of a run that went well."""
    if as_json:
        sys.stdout.write(lines_of(rows))
    else:
        Console(width=120).print(table(rows))
    return 0


def plain(title: str, rows: Sequence[Mapping[str, Any]], name: str) -> Table:
    """Render every column of the rows, ``name`` to the left."""
    made = Table(title=title)
    for key in rows[0] if rows else ():
        made.add_column(key, justify="left" if key == name else "right")
    for row in rows:
        made.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    return made


def refused(error: GraphforgetError) -> int:
    """Print what the user has to mend; returns the exit status of bad input."""
    Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False)
    return 2
