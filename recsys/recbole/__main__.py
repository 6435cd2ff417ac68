"""``python -m recsys.recbole``: unlearn from a checkpoint of RecBole and write the new one with its data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from graphforget.errors import GraphforgetError, InputError
from recsys.recbole.bridge import METHODS, USUAL, evaluate, unlearn
from recsys.recbole.checkpoint import load, save, writable

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    checkpoint: Annotated[Path, typer.Argument(help="The .pth that RecBole's trainer wrote.")],
    out: Annotated[Path, typer.Argument(help="The new .pth; its data goes into a folder beside it.")],
    user: Annotated[list[str] | None, typer.Option(help="Raw id of a user to forget; once for each.")] = None,
    item: Annotated[list[str] | None, typer.Option(help="Raw id of an item to forget; once for each.")] = None,
    interaction: Annotated[
        list[str] | None, typer.Option(help="USER,ITEM of a single interaction to forget; once for each.")
    ] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="MODALITY,ITEM whose features are withdrawn; once for each.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder with NAME.inter; else the one of the checkpoint.")] = None,
    method: Annotated[str, typer.Option(help=f"One of {' '.join(METHODS)}.")] = USUAL,
    skip_missing: Annotated[bool, typer.Option("--skip-missing", help="Go on without unknown ids.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
) -> None:
    """Make a trained model of RecBole forget users, items, single interactions or the features of items."""
    console = Console(stderr=True)
    try:
        writable(out)
        features: dict[str, list[str]] = {}
        for modality, token in _pairs("feature", "MODALITY,ITEM", feature):
            features.setdefault(modality, []).append(token)
        run = load(checkpoint, data)
        result = unlearn(
            *(run.model, run.train_data, run.valid_data, run.test_data),
            users=user,
            items=item,
            interactions=_pairs("interaction", "USER,ITEM", interaction),
            features=features,
            method=method,
            skip_missing=skip_missing,
            seed=seed,
        )
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


def _pairs(flag: str, form: str, given: list[str] | None) -> list[tuple[str, str]]:
    """Two words with a comma between them, of each time a flag is given."""
    found = []
    for text in given or []:
        words = text.split(",")
        if len(words) != 2 or not all(words):
            raise InputError(f"--{flag} must be {form} (got {text!r}); ids that hold a comma need recbole.unlearn")
        found.append((words[0], words[1]))
    return found


if __name__ == "__main__":
    app()
