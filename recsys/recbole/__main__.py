"""``python -m recsys.recbole``: unlearn from a checkpoint of RecBole and write the new one with its data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from graphforget.errors import GraphforgetError
from recsys.recbole.bridge import METHODS, evaluate, unlearn
from recsys.recbole.checkpoint import load, save

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    checkpoint: Annotated[Path, typer.Argument(help="The .pth that RecBole's trainer wrote.")],
    out: Annotated[Path, typer.Argument(help="The new .pth; its data goes into a folder beside it.")],
    user: Annotated[list[str] | None, typer.Option(help="Raw id of a user to forget; once for each.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="Raw id of an item to forget; once for each.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with NAME.inter; else the one of the checkpoint.")] = None,
    method: Annotated[str, typer.Option(help=" ".join(METHODS))] = "row_reset",
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Go on without unknown ids.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Make a trained model of RecBole forget users and items."""
    console = Console(stderr=True)
    try:
        run = load(checkpoint, data)
        given = (run.model, run.train_data, run.valid_data, run.test_data)
        result = unlearn(*given, users=user, items=item, method=method, skip_missing=skip_missing, seed=seed)
        before = evaluate(run.model, run.train_data, run.test_data)
        after = evaluate(result.model, result.train_data, result.test_data)
        folder = save(result, out)
    except GraphforgetError as error:
        console.print("[bold red]error:[/]", end=" ")
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    table = Table("test", "before", "after", title=f"{out}, data in {folder}", title_justify="left")
    for name, value in before.items():
        table.add_row(name, f"{value:.4f}", f"{after[name]:.4f}")
    Console().print(table)
    for place, text in result.report.items():
        console.print(f"{place}: {text}", highlight=False, markup=False, soft_wrap=True)
    if result.skipped:
        console.print(f"left out, unknown: {', '.join(result.skipped)}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    app()
