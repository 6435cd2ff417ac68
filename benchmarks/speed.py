"""``python -m benchmarks.speed dblp cs``: what each method costs beside gold and GNNDelete, in one run on one request.

Gold is trained once, here and now; every method runs ``--repeat`` times, of which the median counts. Rows have the keys
``dataset model kind pool method seconds cpu_s gold_ratio gnndelete_ratio flops forward_flops peak_mib``; a ratio says
how many times less processor time the method takes, which on one thread is how many times faster it is, and holds
beside other work as well, as wall seconds do not.
Operations are counted in a run of its own, since counting slows (see ``graphforget.cost``).
Settings of a method may follow its key: ``d2dgn_calibrated.refresh=0,epochs=10``. With ``--out`` the rows of a request
are appended when all its methods are measured, and a request that is there already is not measured again.
"""

from __future__ import annotations

import argparse
import math
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
from benchmarks.domains import Domain, of
from benchmarks.graphs import GRAPHS
from benchmarks.output import append, kept, lines_of, printed, refused
from graphforget.cost import Cost, measure
from graphforget.errors import GraphforgetError, unknown
from graphforget.methods.retrain import Retrain
from graphforget.unlearner import Unlearned, Unlearner

SEED = 0
NAMES = ("dataset", "model", "kind", "pool", "method")
KEYS = ("seconds", "cpu_s", "gold_ratio", "gnndelete_ratio", "flops", "forward_flops", "peak_mib")
COLUMNS = (
    "method",
    "processor seconds",
    "gold's / its",
    "GNNDelete's / its",
    "operations",
    "of a forward pass",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("datasets", nargs="*", default=["dblp"], help="names of data sets")
    parser.add_argument("--model", default=None, help="the usual one of the domain unless named")
    parser.add_argument("--task", default=None, help="likewise")
    parser.add_argument("--kind", default=None, help="what is forgotten, likewise")
    parser.add_argument("--pool", nargs="+", default=["out_legacy"], help="of the edges; other domains: random")
    parser.add_argument("--ratio", type=float, default=None, help="per cent of the training elements, likewise")
    parser.add_argument("--methods", nargs="+", default=None, metavar="KEY[.FIELD=VALUE,...]", help="likewise")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each method, of which the median counts")
    parser.add_argument("--data-root", type=Path, default=None, help="folder of the data sets")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/results/.cache"), help="trained originals")
    parser.add_argument("--out", type=Path, default=None, help="append the JSON lines here")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    flags = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        rows = [
            row
            for name in flags.datasets
            for cell in cells(name, flags)
            for row in known(flags.out, cell) or measured(cell, flags, console)
        ]
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, table)


def cells(dataset: str, flags: Any) -> Iterator[Cell]:
    """The requests of one data set.

    Raises:
        UnknownName: a task, kind, model or pool that its domain has not.
    """
    domain = of(dataset)
    task = flags.task or next(iter(domain.tasks))
    if task not in domain.tasks:
        raise unknown("task", task, tuple(domain.tasks))
    kind, model = flags.kind or domain.tasks[task], flags.model or domain.model
    pools = flags.pool if domain is GRAPHS else ["random" if pool == "out_legacy" else pool for pool in flags.pool]
    asked = [("kind", kind, domain.kinds), ("model", model, domain.models)]
    for name, value, there in asked + [("pool", pool, domain.pools) for pool in pools]:
        if value not in there:
            raise unknown(name, value, there)
    for pool in pools:
        yield Cell(dataset, model, task, kind, flags.ratio or domain.ratio, None, pool, SEED)


def known(out: Path | None, cell: Cell) -> list[dict[str, Any]]:
    """The rows of a request that an earlier run has written."""
    return [row for row in kept(out) if all(row[name] == getattr(cell, name) for name in NAMES[:-1])]


def measured(cell: Cell, flags: Any, console: Console) -> list[dict[str, Any]]:
    """Measure one request and append its rows to ``flags.out``."""
    domain = of(cell.dataset)
    texts = flags.methods or [key for key in domain.methods if key != "retrain"]
    usual = domain.fields
    methods = {text: method_of(text, usual.get(text.partition(".")[0], {})) for text in texts}
    rows = list(rows_of(cell, domain, methods, flags, console))
    append(flags.out, lines_of(rows))
    return rows


def rows_of(
    cell: Cell, domain: Domain, methods: Mapping[str, Unlearner], flags: Any, console: Console
) -> Iterator[dict[str, Any]]:
    """Yield gold's row, then a row a method."""
    named = {name: getattr(cell, name) for name in NAMES[:-1]}
    title = " ".join(named.values())
    bench = Bench(cell, flags.data_root, flags.cache)
    original, _ = bench.original()
    split = bench.whole
    console.print(f"{title}: training gold", highlight=False)
    with measure() as cost:
        gold = Retrain().unlearn(original, bench.task, split, seed=100)
    rows: list[dict[str, Any]] = [
        {
            **named,
            "method": "retrain",
            "seconds": cost.seconds,
            "cpu_s": cost.cpu_s,
            "peak_mib": cost.peak_mib,
            "flops": training_flops(bench, original, gold) if domain.flops else float("nan"),
            "forward_flops": forward(bench, gold) if domain.flops else float("nan"),
        }
    ]
    for key, method in methods.items():
        console.print(f"{title}: {key}", highlight=False)

        def ready(method: Unlearner = method) -> Callable[[], Unlearned]:
            fresh = Bench(cell, flags.data_root, flags.cache)  # nothing computed for another method is at hand
            part, record = fresh.whole, fresh.record()
            return lambda: method.unlearn(original, fresh.task, part, record=record, seed=SEED)

        result, found = timed(ready, flags.repeat, domain.flops)
        looked = forward(bench, result) if domain.flops else float("nan")
        rows.append({**named, "method": key, **found, "forward_flops": looked})
    reference = {row["method"]: row for row in rows}
    for row in rows:
        row["gold_ratio"] = reference["retrain"]["cpu_s"] / row["cpu_s"]
        row["gnndelete_ratio"] = reference.get("gnndelete", {"cpu_s": float("nan")})["cpu_s"] / row["cpu_s"]
    yield from rows


def timed(ready: Callable[[], Callable[[], Unlearned]], repeat: int, count: bool) -> tuple[Unlearned, dict[str, float]]:
    """Median seconds and peak memory over some runs on data loaded anew; operations counted in one more."""
    costs: list[Cost] = []
    for _ in range(repeat):
        run = ready()
        with measure() as cost:
            run()
        costs.append(cost)
    run = ready()
    with measure(count_flops=count) as counted:
        result = run()
    found = {
        "seconds": statistics.median(cost.seconds for cost in costs),
        "cpu_s": statistics.median(cost.cpu_s for cost in costs),
        "peak_mib": max(cost.peak_mib for cost in costs),
        "flops": counted.flops,
    }
    return result, found


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
    for name in (*NAMES, *KEYS):
        made.add_column(name, justify="left" if name in NAMES else "right")
    for row in rows:
        made.add_row(*[row[name] for name in NAMES], *[f"{row[key]:.3g}" for key in KEYS])
    return made


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The same as Markdown: a table a request, and one of all requests for which no operations were counted."""
    requests: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        requests.setdefault(tuple(row[name] for name in NAMES[:-1]), []).append(row)
    plain = {request: own for request, own in requests.items() if all(math.isnan(row["flops"]) for row in own)}
    parts = [_together(plain)] if plain else []
    for request, own in requests.items():
        if request in plain:
            continue
        lines = [" ".join(request), "", *_head(COLUMNS)]
        for row in own:
            ratios = f"{row['gold_ratio']:.1f}x | {row['gnndelete_ratio']:.1f}x"
            counts = f"{row['flops']:.2e} | {row['forward_flops']:.2e}"
            line = f"| {row['method']} | {row['cpu_s']:.2f} | {ratios} | {counts} |"
            lines.append(line.replace("nanx", "").replace("nan", ""))  # no GNNDelete there, or nothing counted
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _together(requests: Mapping[tuple[str, ...], Sequence[dict[str, Any]]]) -> str:
    """A line a request: processor seconds of each method, and how many times less than gold's that is."""
    methods = list(dict.fromkeys(row["method"] for own in requests.values() for row in own))
    lines = _head(["processor seconds", *methods])
    for request, own in requests.items():
        found = {row["method"]: f"{row['cpu_s']:.2f} ({row['gold_ratio']:.1f}x)" for row in own}
        found |= {row["method"]: f"{row['cpu_s']:.2f}" for row in own if row["method"] == "retrain"}
        cells = [" ".join(request), *(found.get(method, "") for method in methods)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _head(columns: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


if __name__ == "__main__":
    raise SystemExit(main())
