"""What benchmarks without a single request share: one run a (method, seed), appended when it is finished, never again.

A line is a figure in the form of :mod:`graphforget.report`: the run's keys, then ``role method part metric value``. The
figure ``seconds`` of the part ``all`` says that a run is whole.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.output import add_flags, append, check_names, kept, lines_of, printed, refused
from graphforget.errors import Diverged, GraphforgetError, InputError
from graphforget.intervals import mean_interval
from graphforget.report import Row
from graphforget.train import progress

Runs = list[tuple[str, str, Row]]  # (role, method, figures)
Columns = Mapping[tuple[str, str], str]  # (part, metric) -> heading


def parser(name: str, text: str | None, methods: Sequence[str], data: Sequence[str]) -> argparse.ArgumentParser:
    """The flags that all of them have."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=text,
        epilog=f"example: python -m benchmarks.{name} --data {data[0]} --methods {' '.join(methods[:2])} --seeds 1",
    )
    add = made.add_argument
    add("--data", default=data[0], metavar="NAME", help=f"{' '.join(data)} ({data[0]})")
    add("--methods", nargs="+", default=list(methods), metavar="NAME", help=" ".join(methods))
    add_flags(made, cache="trained models")
    return made


def check(flags: Any, methods: Iterable[str], data: Iterable[str]) -> None:
    """Refuse names that are not known, before anything is read.

    Raises:
        InputError: an unknown name.
    """
    check_names("method", flags.methods, methods)
    check_names("data set", [flags.data], data)


def collected(
    flags: Any,
    keys: Mapping[str, Any],
    methods: Sequence[str],
    measure: Callable[[str, int], Runs],
) -> list[dict[str, Any]]:
    """The rows of every method and seed: those kept in ``--out``, and those that were missing.

    Args:
        flags: the command line.
        keys: columns that tell this setting's rows from others.
        methods: what is run.
        measure: (method, seed) -> its figures.
    """
    console, rows = Console(stderr=True), []
    earlier = [row for row in kept(flags.out) if all(row.get(name) == value for name, value in keys.items())]
    with progress():
        for seed in flags.seeds:
            for method in methods:
                own = [row for row in earlier if row["seed"] == seed and row.get("run") == method]
                if any(row["metric"] == "seconds" for row in own):
                    rows += own
                    continue
                start = time.perf_counter()
                try:
                    runs = measure(method, seed)
                except Diverged as error:
                    console.print(f"    {method} left out: {error}", highlight=False, markup=False)
                    continue
                runs.append((runs[0][0], runs[0][1], {("all", "seconds"): time.perf_counter() - start}))
                lines = [
                    {**keys, "seed": seed, "run": method, "role": role, "method": name}
                    | {"part": part, "metric": metric, "value": float(value)}
                    for role, name, figures in runs
                    for (part, metric), value in figures.items()
                ]
                append(flags.out, lines_of(lines))
                rows += lines
                console.print(f"seed {seed} {method}: {time.perf_counter() - start:.1f} s", highlight=False)
    return rows


def cells(rows: Sequence[Mapping[str, Any]], columns: Columns) -> list[list[str]]:
    """A line a model: its name, then mean and 95 % interval over seeds of each column."""
    found = []
    for name in dict.fromkeys(row["method"] for row in rows):
        line = [name]
        for part, metric in columns:
            own = [
                row["value"]
                for row in rows
                if (row["method"], row["part"], row["metric"]) == (name, part, metric) and row["value"] == row["value"]
            ]
            line.append(_text(own))
        found.append(line)
    return found


def _text(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, low, high = mean_interval(list(values))
    digits = 1 if abs(mean) >= 10 else 3
    return f"{mean:.{digits}f}" + ("" if low != low else f" ± {(high - low) / 2:.{digits}f}")


def table(rows: Sequence[Mapping[str, Any]], columns: Columns, title: str) -> Table:
    """Lay the rows out for a terminal."""
    made = Table(title=title, title_justify="left")
    made.add_column("method")
    for heading in columns.values():
        made.add_column(heading, justify="right")
    for line in cells(rows, columns):
        made.add_row(*line)
    return made


def markdown(rows: Sequence[Mapping[str, Any]], columns: Columns) -> str:
    """The same as Markdown."""
    lines = [["method", *columns.values()], ["---"] * (len(columns) + 1), *cells(rows, columns)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def ended(flags: Any, work: Callable[[], Sequence[Mapping[str, Any]]], columns: Columns, title: str) -> int:
    """Run, print and return the exit status."""
    try:
        rows = work()
        if not rows:
            raise InputError("no run was finished (see above); nothing can be shown")
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, lambda found: table(found, columns, title))
