"""What the commands of the deletion workflow print: JSON objects, lines and tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from graphforget.deletion.confirm import Confirmed
    from graphforget.deletion.prices import Plan, UtilityCost
    from graphforget.deletion.receive import Received

SHOWN = 20  # lines of a list in a terminal


def show(found: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(found, ensure_ascii=False, default=str))


def say(text: str) -> None:
    """Print a line on progress, apart from the result."""
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def tell(text: str) -> None:
    """Print a line of the result."""
    typer.echo(text)


def received_row(found: Received | None) -> dict[str, Any]:
    """Return what a file of requests gave, for the JSON."""
    if found is None:
        return {}
    refused = [each._asdict() for each in found.refused]
    return {"taken": found.taken, "repeated": found.repeated, "refused": refused}


def print_refusals(found: Received | None) -> None:
    """Print how many requests a file gave, and why its first bad rows were refused."""
    if found is None:
        return
    tell(f"taken: {found.taken}, known already: {found.repeated}, refused: {len(found.refused)}")
    listed([f"  line {each.line}: {each.reason}" for each in found.refused], "  ")


def listed(lines: Sequence[str], indent: str = "") -> None:
    """Print the first lines, and how many more there are."""
    for line in lines[:SHOWN]:
        tell(line)
    if len(lines) > SHOWN:
        tell(f"{indent}and {len(lines) - SHOWN} more (--json lists them all)")


def wide() -> Console:
    """Return a console that does not fold a table where the output is no terminal."""
    return Console() if sys.stdout.isatty() else Console(width=110)


def print_plan(found: Plan) -> None:
    """Print what waits, what it touches, and the price of each method."""
    print_states(found.states)
    if not found.requests:
        tell("nothing waits for a run")
        return
    counts = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in found.counts.items())
    tell(f"{found.requests} requests: {counts}")
    if found.affected:
        near = found.affected
        tell(
            f"within {near['hops']:.0f} hops: {near['nodes']:,.0f} nodes ({near['nodes_share']:.1%}), "
            f"{near['edges']:,.0f} edges ({near['edges_share']:.1%})"
        )
    table = Table("method", "seconds", "MiB", "", box=None)
    for price in found.prices:
        if not price.applies and price.reason.startswith("needs a task"):
            continue  # of another domain
        seconds = "" if price.seconds is None else f"{price.seconds:,.2f}"
        mib = "" if price.mib is None else f"{price.mib:,.0f}"
        table.add_row(price.method, seconds, mib, price.reason)
    if found.prices:
        wide().print(table)
    if found.utility is not None:
        tell(_utility(found.utility))
    tell(f"recommended: {found.recommended}: {found.reason}")


def _utility(cost: UtilityCost) -> str:
    """What a batch is expected to cost in utility, in a line or two."""
    if cost.fall is None or cost.whole is None or cost.spread is None or cost.error is None:
        return f"utility: not estimated: {cost.reason}"
    when = "for an earlier plan" if cost.cached else "now"
    made = (
        f"{cost.trainings} trainings of {cost.epochs} epochs, each without a cluster of the data, {cost.seconds:.1f} s"
    )
    return (
        f"utility: {cost.metric} {cost.whole:.4f} is expected to become {cost.whole - cost.fall:.4f} (standard error"
        f" {cost.error:.4f}) by retraining; seeds alone: {cost.spread:.4f}\n"
        f"  an estimate from {made} {when}"
    )


def print_states(states: Mapping[str, int]) -> None:
    """Print how many requests are in each state."""
    tell("requests: " + (", ".join(f"{count} {state}" for state, count in states.items()) or "none"))


def verdict_row(one: Confirmed) -> dict[str, Any]:
    """Return a verdict for the JSON."""
    return {"version": one.version, "outcome": one.outcome, "reasons": list(one.reasons), "digest": one.receipt.digest}


def print_verdicts(done: list[Confirmed]) -> None:
    """Print each version's verdict and its first reasons."""
    for one in done:
        tell(f"version {one.version}: {one.outcome}")
        for reason in one.reasons[:3]:
            tell(f"  {reason}")
        if len(one.reasons) > 3:
            tell(f"  and {len(one.reasons) - 3} more in the receipt")
