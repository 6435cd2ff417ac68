"""Run the cells of a benchmark: resumable, with a table at the end.

Every finished (data set, model, request, method, seed) is appended to the JSON lines in one write and never run again;
a crash loses at most the method that was running.
"""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.arguments import parse
from benchmarks.cell import Bench, Cell
from benchmarks.lira import Lira
from graphforget.attack import AttackResult
from graphforget.cost import Cost, measure
from graphforget.errors import GraphforgetError, InputError
from graphforget.evidence import compare
from graphforget.relearn import relearn_epochs
from graphforget.report import ORIGINAL, Report
from graphforget.train import progress
from graphforget.unlearner import Unlearned, Unlearner

COLUMNS = {
    "link": [
        ("test", "auc"), ("forget", "js_to_gold"), ("retain", "js_to_gold"), ("all", "auc_retain_vs_forget"),
        ("all", "auc_forget_vs_unseen"), ("all", "mi_ratio"), ("all", "seconds"),
    ],
    "node": [
        ("test", "accuracy"), ("forget", "accuracy"), ("forget", "js_to_gold"), ("retain", "js_to_gold"),
        ("all", "mia_auc"), ("all", "seconds"),
    ],
}  # fmt: skip


def main(dataset: str, argv: Sequence[str] | None = None) -> int:
    """Run a data set's benchmark from the command line; returns the exit status."""
    console = Console(stderr=True)
    try:
        flags, methods = parse(dataset, argv)
        report = run(dataset, flags, methods, console)
    except GraphforgetError as error:
        console.print(f"[bold red]error:[/] {error}", highlight=False)
        return 2
    if flags.json:
        sys.stdout.write(report.lines())
    else:
        show(report, flags.task)
    return 0


def run(dataset: str, flags: Any, methods: Mapping[str, Unlearner], console: Console) -> Report:
    """Run every cell that is not finished yet and return the report of all of them."""
    kept = Report.read(flags.out) if flags.out and flags.out.exists() else Report()
    report = Report()
    cells = list(plan(dataset, flags))
    with progress():
        for number, cell in enumerate(cells, 1):
            keys = {**cell.keys, "batches": flags.batches}
            wanted = [key for key in methods if key != "retrain"]
            finished = [row for row in kept.select(**keys) if row["metric"] == "seconds"]
            have = {row["method"] for row in finished}
            for row in finished:
                if row["method"] in wanted and row.get("settings", "") != settings(methods[row["method"]]):
                    raise InputError(
                        f"{flags.out} holds {row['method']} with other settings (got"
                        f" {row.get('settings') or 'defaults'!r}, asked for"
                        f" {settings(methods[row['method']]) or 'defaults'!r}); write to another --out"
                    )
            missing = [key for key in wanted if key not in have]
            if missing or "retrain" not in have:
                console.print(
                    f"[{number}/{len(cells)}] {title_of(keys)}: {' '.join(missing) or 'golds'}", highlight=False
                )
                bench = Bench(cell, flags.data_root, flags.cache, flags.device, flags.batches)
                for block in blocks(bench, {key: methods[key] for key in missing}, flags, "retrain" not in have):
                    append(flags.out, block)
                    kept.rows += block.rows
            report.rows += [row for row in kept.select(**keys) if row["method"] in ("", "retrain", *wanted)]
    return report


def plan(dataset: str, flags: Any) -> Iterator[Cell]:
    """The cells that the flags ask for."""
    sizes = [(ratio, None) for ratio in flags.ratio or []] + [(None, count) for count in flags.count or []]
    for model, (ratio, count), pool, seed in itertools.product(flags.model, sizes, flags.pool, flags.seeds):
        yield Cell(dataset, model, flags.task, flags.kind, ratio, count, pool, seed)


def blocks(bench: Bench, methods: Mapping[str, Unlearner], flags: Any, first: bool) -> Iterator[Report]:
    """Yield the finished rows of original and golds, then of each method."""
    keys = {**bench.cell.keys, "batches": bench.batches}
    original, cost = bench.original()
    golds = [bench.gold(k, len(bench.steps) - 1) for k in range(flags.golds)]
    models = [gold for gold, _ in golds]
    split = bench.whole
    whole = Unlearned(original, bench.splits.train, {})
    lira = Lira(bench, flags.lira) if flags.lira else None
    if first:
        block = compare(bench.task, split, bench.splits.test, original=original, golds=models, keys=keys)
        block.add(ORIGINAL, "", _cost(cost))
        for _, spent in golds:
            block.add("gold", "retrain", _cost(spent))
        if flags.relearn:
            value = relearn_epochs(bench.task, split, original, models[0], seed=bench.cell.seed)
            block.add("gold", "retrain", {("forget", "relearn_epochs"): value})
        if lira:
            block.add("gold", "retrain", _lira(lira.gold(models[0])))
        yield block
    for name, method in methods.items():
        result, spent, history = whole, Cost(flops=0.0), Report(keys)
        for number, step in enumerate(bench.steps):
            record = result.record
            with measure(count_flops=True) as one:
                result = method.unlearn(result.model, bench.task, step, record=record, seed=bench.cell.seed)
            spent = Cost(spent.seconds + one.seconds, max(spent.peak_mib, one.peak_mib), spent.flops + one.flops)
            if bench.batches > 1:
                history.rows += drift(bench, number, name, result, flags.golds, original).rows
        block = compare(
            bench.task, split, bench.splits.test, original=original, golds=models, unlearned={name: result}, keys=keys
        )
        block.rows = [row for row in block.rows if row["role"] == "unlearned"] + history.rows
        if flags.relearn:
            value = relearn_epochs(bench.task, split, original, result, seed=bench.cell.seed)
            block.add("unlearned", name, {("forget", "relearn_epochs"): value})
        if lira:
            block.add("unlearned", name, _lira(lira.attack(method, result)))
        with measure(count_flops=True) as forward:
            bench.task.evaluate(result.model, result.context, split.held_out)
        block.add("unlearned", name, {("all", "forward_flops"): forward.flops})
        for key in ("delta_mean", "reliability", "epochs"):
            if key in result.record:
                block.add("unlearned", name, {("all", key): float(result.record[key])})
        block.add("unlearned", name, _cost(spent))
        if chosen := settings(method):
            block.rows = [{**row, "settings": chosen} for row in block.rows]
        yield block


def settings(method: Unlearner) -> str:
    """The fields of a method that differ from its defaults: rows with other settings are never passed off as these."""
    plain = type(method)()
    changed = {name: value for name, value in vars(method).items() if value != getattr(plain, name)}
    return " ".join(f"{name}={value}" for name, value in sorted(changed.items()))


def drift(bench: Bench, step: int, name: str, result: Unlearned, count: int, original: Any) -> Report:
    """Distance of a sequence's state to the golds of that very step."""
    golds = [bench.gold(k, step)[0] for k in range(count)]
    keys = {**bench.cell.keys, "batches": bench.batches, "step": step + 1}
    found = compare(
        bench.task, bench.steps[step], bench.splits.test,
        original=original, golds=golds, unlearned={name: result}, keys=keys,
    )  # fmt: skip
    found.rows = [
        {**row, "metric": f"step_{row['metric']}", "method": name if row["role"] == "unlearned" else f"{name}:floor"}
        for row in found.rows
        if row["metric"] in ("js_to_gold", "auc", "accuracy") and row["role"] in ("unlearned", "gold_other_seed")
    ]
    return found


def append(path: Path | None, block: Report) -> None:
    """Append rows in one write that reaches the disk; a torn line of an earlier crash is cut off first."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        text = path.read_bytes()
        if text and not text.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(text.rfind(b"\n") + 1)
    with path.open("a", encoding="utf-8") as file:
        file.write(block.lines())
        file.flush()
        os.fsync(file.fileno())


def show(report: Report, task: str) -> None:
    """Print a table for each request, with mean and 95 % interval over seeds."""
    console = Console() if sys.stdout.isatty() else Console(width=150)
    groups: dict[str, Report] = {}
    for row in report.rows:
        if "step" not in row:
            groups.setdefault(title_of({**row, "seed": None}), Report()).rows.append(row)
    for title, group in groups.items():
        seeds = len({row["seed"] for row in group.rows})
        console.print(group.table(COLUMNS[task], f"{title} ({seeds} seed{'s' if seeds > 1 else ''})"))


def title_of(keys: Mapping[str, Any]) -> str:
    """How a request is named to a reader."""
    size = f"{keys['ratio']:g} %" if keys.get("ratio") is not None else f"{keys['count']}"
    seed = "" if keys.get("seed") is None else f", seed {keys['seed']}"
    parts = f", {keys['batches']} batches" if keys.get("batches", 1) > 1 else ""
    return f"{keys['dataset']} {keys['model']} {keys['task']}: {size} {keys['kind']} {keys['pool']}{parts}{seed}"


def _lira(result: AttackResult) -> dict[tuple[str, str], float]:
    return {("all", "u_lira_auc"): result.auc, ("all", "u_lira_tpr_at_1pct_fpr"): result.tpr_at_1pct_fpr}


def _cost(cost: Cost) -> dict[tuple[str, str], float]:
    return {("all", "peak_mib"): cost.peak_mib, ("all", "flops"): cost.flops, ("all", "seconds"): cost.seconds}
