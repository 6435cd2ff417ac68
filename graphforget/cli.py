"""The ``graphforget`` command."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from rich.console import Console

from graphforget import __version__
from graphforget.errors import GraphforgetError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    """Make a trained graph model forget, and show the evidence."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def demo(
    ratio: Annotated[float, typer.Option(help="Per cent of the training edges to forget.", min=0.01, max=50)] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of split, request and models.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines instead of a table.")] = False,
) -> None:
    """Forget edges of scikit-learn's digits (a kNN graph): train, unlearn, compare with gold. No network needed."""
    from graphforget.demo import COLUMNS, run_demo

    console = Console(stderr=True)
    try:
        report = run_demo(ratio=ratio, seed=seed, say=lambda text: console.print(text, highlight=False))
    except GraphforgetError as error:
        console.print(f"[bold red]error:[/] {error}", highlight=False)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(report.lines(), nl=False)
        return
    wide = Console() if sys.stdout.isatty() else Console(width=110)
    wide.print(report.table(COLUMNS))
    console.print(verdict(report), highlight=False)


def verdict(report: Any) -> str:
    """One sentence that a newcomer can read: how far from gold, in units of the noise floor."""
    floor = report.value("gold_other_seed", "forget", "js_to_gold")
    parts = []
    for role, method in report.models():
        if role == "unlearned" or role == "original":
            distance = report.value(role, "forget", "js_to_gold", method if role == "unlearned" else None)
            parts.append(f"{method or role} {distance / floor:.1f}x")
    return "Distance to gold on the forgotten edges, in units of the noise floor (gold against gold): " + ", ".join(
        parts
    )
