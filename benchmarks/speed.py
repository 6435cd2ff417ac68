"""``python -m benchmarks.speed dblp cs``: what each method costs beside gold and GNNDelete, in one run on one request.

Gold is trained once, here and now; every method runs ``--repeat`` times, of which the median counts. Rows have the keys
``dataset pool method seconds gold_ratio gnndelete_ratio flops forward_flops peak_mib``; a ratio says how many times
faster the method is. Operations are counted in a run of its own, since counting slows (see ``graphforget.cost``).
Settings of a method may follow its key: ``d2dgn_calibrated.refresh=0,epochs=10``. With ``--out`` the rows of a request
are appended when all its methods are measured, and a request that is there already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.arguments import method_of
from benchmarks.bench import Bench
from benchmarks.cell import Cell
from benchmarks.graphs import GRAPHS
from benchmarks.output import kept, printed, refused
from graphforget.cost import Cost, measure
from graphforget.errors import GraphforgetError
from graphforget.methods.retrain import Retrain
from graphforget.unlearner import Unlearned, Unlearner

SEED = 0
KEYS = ("seconds", "gold_ratio", "gnndelete_ratio", "flops", "forward_flops", "peak_mib")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("datasets", nargs="*", default=["dblp"], help="names of data sets")
    parser.add_argument("--pool", nargs="+", default=["out_legacy"], help="of the edges")
    parser.add_argument("--ratio", type=float, default=2.5, help="per cent of the training edges")
    parser.add_argument("--methods", nargs="+", default=list(GRAPHS.methods[1:]), metavar="KEY[.FIELD=VALUE,...]")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each method, of which the median counts")
    parser.add_argument("--data-root", type=Path, default=None, help="folder of the data sets")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/results/.cache"), help="trained originals")
    parser.add_argument("--out", type=Path, default=None, help="append the JSON lines here")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    flags = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        methods = {text: method_of(text) for text in flags.methods}
        rows = [
            row
            for name in flags.datasets
            for pool in flags.pool
            for row in known(flags.out, name, pool) or measured(name, pool, methods, flags, console)
        ]
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, table)


def known(out: Path | None, dataset: str, pool: str) -> list[dict[str, Any]]:
    """The rows of a request that an earlier run has written."""
    return [row for row in kept(out) if (row["dataset"], row["pool"]) == (dataset, pool)]


def measured(
    dataset: str, pool: str, methods: Mapping[str, Unlearner], flags: Any, console: Console
) -> list[dict[str, Any]]:
    """Measure one request and append its rows to ``flags.out``."""
    rows = list(rows_of(dataset, pool, methods, flags, console))
    if flags.out:
        with flags.out.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    return rows


def rows_of(
    dataset: str, pool: str, methods: Mapping[str, Unlearner], flags: Any, console: Console
) -> Iterator[dict[str, Any]]:
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
    for key, method in methods.items():
        console.print(f"{dataset} {pool}: {key}", highlight=False)

        def ready(method: Unlearner = method) -> Callable[[], Unlearned]:
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


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The same as Markdown, a table a request."""
    parts = []
    for dataset, pool in dict.fromkeys((row["dataset"], row["pool"]) for row in rows):
        lines = [
            f"{dataset} {pool}",
            "",
            "| method | seconds | gold's time / its | GNNDelete's time / its | operations | of a forward pass |",
            "|---|---|---|---|---|---|",
        ]
        for row in rows:
            if (row["dataset"], row["pool"]) == (dataset, pool):
                ratios = f"{row['gold_ratio']:.1f}x | {row['gnndelete_ratio']:.1f}x"
                counts = f"{row['flops']:.2e} | {row['forward_flops']:.2e}"
                lines.append(f"| {row['method']} | {row['seconds']:.2f} | {ratios} | {counts} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
