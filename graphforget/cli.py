"""The ``graphforget`` command."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Annotated, Any

import typer
from rich.console import Console

from graphforget import __version__
from graphforget.deletion import commands, readings
from graphforget.errors import GraphforgetError, MissingExtra

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(commands.app)
app.add_typer(readings.app)


class Half(str, Enum):
    """Which part of the demo runs."""

    graph = "graph"
    recommender = "recommender"
    both = "both"


@app.callback()
def main() -> None:
    """Make a trained graph model or recommender forget, and show the evidence."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command()
def demo(
    half: Annotated[Half, typer.Option(help="Which part to run.")] = Half.both,
    ratio: Annotated[float, typer.Option(help="Per cent of the training edges to forget.", min=0.01, max=50)] = 5.0,
    seed: Annotated[int, typer.Option(help="Seed of split, request and models.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines instead of tables.")] = False,
) -> None:
    """Train, unlearn, compare with gold: a GNN on scikit-learn's digits forgets edges, a recommender a user.

    The second half reads MovieLens 100K from the RecBole wheel. No network needed.
    """
    console = Console(stderr=True)
    try:
        if half is not Half.recommender:
            _graph(console, ratio, seed, as_json)
        if half is not Half.graph:
            _recommender(console, seed, as_json)
    except MissingExtra as error:
        if half is not Half.both:
            _fail(console, error)
        console.print(f"[bold]the recommender half is left out:[/] {error}", highlight=False)
    except GraphforgetError as error:
        _fail(console, error)


def _graph(console: Console, ratio: float, seed: int, as_json: bool) -> None:
    from graphforget.demo import COLUMNS, run_demo

    report = run_demo(ratio=ratio, seed=seed, say=lambda text: console.print(text, highlight=False))
    _show(report, COLUMNS, as_json)
    if not as_json:
        console.print(verdict(report, "edges"), highlight=False)


def _recommender(console: Console, seed: int, as_json: bool) -> None:
    from recsys.demo import COLUMNS, run_demo

    report, story = run_demo(seed=seed, say=lambda text: console.print(text, highlight=False))
    _show(report, COLUMNS, as_json)
    if not as_json:
        console.print(verdict(report, "ratings"), highlight=False)
        console.print(story, highlight=False, markup=False)


def _show(report: Any, columns: list[tuple[str, str]], as_json: bool) -> None:
    if as_json:
        typer.echo(report.lines(), nl=False)
        return
    wide = Console() if sys.stdout.isatty() else Console(width=110)
    wide.print(report.table(columns))


def _fail(console: Console, error: GraphforgetError) -> None:
    console.print("[bold red]error:[/]", end=" ")
    console.print(str(error), highlight=False, markup=False)
    raise typer.Exit(2) from error


def verdict(report: Any, what: str = "edges") -> str:
    """One sentence that a newcomer can read: how far from gold, in units of the noise floor.

    Args:
        report: of the demo.
        what: the forgotten elements, in the plural.
    """
    floor = report.value("gold_other_seed", "forget", "js_to_gold")
    parts = []
    for role, method in report.models():
        if role == "unlearned" or role == "original":
            distance = report.value(role, "forget", "js_to_gold", method if role == "unlearned" else None)
            times = distance / floor
            parts.append(f"{method or role} " + (f"{times:,.0f}x" if times >= 100 else f"{times:.1f}x"))
    where = f"Distance to gold on the forgotten {what}, in units of the noise floor (gold against gold): "
    return where + ", ".join(parts)
