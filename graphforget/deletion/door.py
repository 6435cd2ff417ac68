"""How a command of the deletion workflow begins and ends: options, the store it opens, what it says of bad input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from graphforget.deletion.output import show
from graphforget.errors import GraphforgetError

if TYPE_CHECKING:
    from graphforget.deletion.store import Store

Root = Annotated[Path, typer.Argument(help="Folder of the store.")]
Requests = Annotated[str | None, typer.Argument(help="New requests: .csv, .jsonl, .parquet, or - for standard input.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="The controller's key; else GRAPHFORGET_KEY.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Delimiter = Annotated[str, typer.Option(help="Delimiter of a CSV.")]
Golds = Annotated[int | None, typer.Option(min=0, help="Models to retrain for the evidence; default: as affordable.")]
Signed = Annotated[Path | None, typer.Option("--sign", help="PEM of a private key that signs the receipts.")]
Operator = Annotated[str | None, typer.Option(help="Who runs it, for the receipt; default: the login name.")]


@contextmanager
def told(as_json: bool) -> Iterator[None]:
    """End with exit code 2 and one line where something is wrong with the input."""
    try:
        yield
    except (GraphforgetError, OSError) as error:
        words = str(error)
        if not isinstance(error, GraphforgetError):  # a path that the user named
            words = (
                f"{str(error.filename or 'a file')!r} cannot be used (got {error.strerror or error}); check the path"
            )
        if as_json:
            show({"error": words, "exit": 2})
        console = Console(stderr=True)
        console.print("[bold red]error:[/]", end=" ")
        console.print(words, highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from error


@contextmanager
def opened(root: Path, key_file: Path | None, *, write: bool = True) -> Iterator[Store]:
    """Open a store, as its only writer unless told otherwise."""
    from graphforget.deletion.keys import load_key
    from graphforget.deletion.store import Store
    from graphforget.train import progress

    store = Store(root, load_key(key_file))
    try:
        if write:
            with store.writing(), progress():
                yield store
        else:
            yield store
    finally:
        store.close()
