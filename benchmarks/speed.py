"""``python -m benchmarks.speed dblp cs``: what each method costs beside gold and GNNDelete, in one run on one request.

Gold is trained once, here and now; every method runs ``--repeat`` times, of which the median counts. Rows have the keys
``dataset pool method seconds gold_ratio gnndelete_ratio flops forward_flops peak_mib``; a ratio says how many times
faster the method is. Operations are counted in a run of its own, since counting slows (see ``graphforget.cost``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.bench import Bench
from benchmarks.cell import Cell
from benchmarks.graphs import GRAPHS
from graphforget import catalog
from graphforget.cost import Cost, measure
from graphforget.errors import GraphforgetError
from graphforget.methods.retrain import Retrain
from graphforget.unlearner import Unlearned

SEED = 0
KEYS = ("seconds", "gold_ratio", "gnndelete_ratio", "flops", "forward_flops", "peak_mib")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("datasets", nargs="*", default=["dblp"], help="names of data sets")
    parser.add_argument("--pool", nargs="+", default=["out_legacy"], help="of the edges")
    parser.add_argument("--ratio", type=float, default=2.5, help="per cent of the training edges")
    parser.add_argument("--methods", nargs="+", default=list(GRAPHS.methods[1:]), metavar="KEY")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each method, of which the median counts")
    parser.add_argument("--data-root", type=Path, default=None, help="folder of the data sets")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/results/.cache"), help="trained originals")
    parser.add_argument("--out", type=Path, default=None, help="write the JSON lines here")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    flags = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        rows = [row for name in flags.datasets for pool in flags.pool for row in rows_of(name, pool, flags, console)]
    except GraphforgetError as error:
        console.print(f"[bold red]error:[/] {error}", highlight=False)
        return 2
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if flags.out:
        flags.out.write_text(text, encoding="utf-8")
    if flags.json:
        sys.stdout.write(text)
    else:
        Console(width=120).print(table(rows))
    return 0


def rows_of(dataset: str, pool: str, flags: Any, console: Console) -> Iterator[dict[str, Any]]:
    """Yield gold's row, then a row a method."""
    cell = Cell(dataset, GRAPHS.model, "link", "edge", flags.ratio, None, pool, SEED)
    bench = Bench(cell, flags.data_root, flags.cache)
    original, _ = bench.original()
    split = bench.whole
    console.print(f"{dataset} {pool}: training gold", highlight=False)
    with measure() as cost:
        gold = Retrain().unlearn(original, bench.task, split, seed=100)
    rows: list[dict[str, Any]] = [
        {
            "dataset": dataset,
            "pool": pool,
            "method": "retrain",
            "seconds": cost.seconds,
            "peak_mib": cost.peak_mib,
            "flops": training_flops(bench, original, gold),
            "forward_flops": forward(bench, gold),
        }
    ]
    for key in flags.methods:
        console.print(f"{dataset} {pool}: {key}", highlight=False)
        method = catalog.method(key)()

        def ready(method: Any = method) -> Callable[[], Unlearned]:
            fresh = Bench(cell, flags.data_root, flags.cache)  # nothing computed for another method is at hand
            part = fresh.whole
            return lambda: method.unlearn(original, fresh.task, part, seed=SEED)

        result, found = timed(ready, flags.repeat)
        rows.append({"dataset": dataset, "pool": pool, "method": key, **found, "forward_flops": forward(bench, result)})
    reference = {row["method"]: row["seconds"] for row in rows}
    for row in rows:
        row["gold_ratio"] = reference["retrain"] / row["seconds"]
        row["gnndelete_ratio"] = reference.get("gnndelete", float("nan")) / row["seconds"]
    yield from rows


def timed(ready: Callable[[], Callable[[], Unlearned]], repeat: int) -> tuple[Unlearned, dict[str, float]]:
    """Median seconds and peak memory over some runs on data loaded anew; operations counted in one more."""
    costs: list[Cost] = []
    for _ in range(repeat):
        run = ready()
        with measure() as cost:
            run()
        costs.append(cost)
    run = ready()
    with measure(count_flops=True) as counted:
        result = run()
    seconds = statistics.median(cost.seconds for cost in costs)
    return result, {"seconds": seconds, "peak_mib": max(cost.peak_mib for cost in costs), "flops": counted.flops}


def training_flops(bench: Bench, original: Any, gold: Unlearned) -> float:
    """Operations of gold's whole training: those of two short ones, carried on to its epochs."""
    task, split = bench.task, bench.whole
    counts = []
    for epochs in (2, 4):
        short = replace(task, recipe=replace(bench.recipe, epochs=epochs))
        with measure(count_flops=True) as cost:
            Retrain().unlearn(original, short, split, seed=100)
        counts.append(cost.flops)
    run = int(gold.record["curve"][-1][0]) + 1
    return float(counts[0] + (run - 2) * (counts[1] - counts[0]) / 2)


def forward(bench: Bench, result: Unlearned) -> float:
    """Operations of one look at the held-out data: what the product costs from now on."""
    with measure(count_flops=True) as cost:
        bench.task.evaluate(result.model, result.context, bench.whole.held_out)
    return cost.flops


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Render the rows."""
    made = Table(title="cost of unlearning; ratios are gold's or GNNDelete's seconds over the method's")
    for name in ("dataset", "pool", "method", *KEYS):
        made.add_column(name, justify="left" if name in ("dataset", "pool", "method") else "right")
    for row in rows:
        made.add_row(row["dataset"], row["pool"], row["method"], *[f"{row[key]:.3g}" for key in KEYS])
    return made


if __name__ == "__main__":
    raise SystemExit(main())
