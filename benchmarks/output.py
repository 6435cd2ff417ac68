"""How a benchmark that measures ends: rows as JSON lines or as a table, or one line that says what was wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from graphforget.errors import GraphforgetError


def kept(out: Path | None) -> list[dict[str, Any]]:
    """The rows that earlier runs have written to a file; none where there is no file yet."""
    if out is None or not out.exists():
        return []
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def printed(rows: Sequence[Mapping[str, Any]], as_json: bool, table: Callable[[Any], Table]) -> int:
    """Print the rows; returns the exit status of a run that went well."""
    if as_json:
        sys.stdout.write("".join(json.dumps(row) + "\n" for row in rows))
    else:
        Console(width=120).print(table(rows))
    return 0


def refused(error: GraphforgetError) -> int:
    """Print what the user has to mend; returns the exit status of bad input."""
    Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False)
    return 2
