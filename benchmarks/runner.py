"""Run the cells of a benchmark: resumable, with a table at the end.

Every finished (data set, model, request, method, seed) is appended to the JSON lines in one write and never run again;
a crash loses at most the method that was running.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from benchmarks import pool
from benchmarks.arguments import parse
from benchmarks.bench import Bench
from benchmarks.cell import OPTIONAL, Cell, plan, rows_of
from benchmarks.columns import columns_in
from benchmarks.lira import Lira
from benchmarks.output import append
from benchmarks.serve import serve
from graphforget.attack import AttackResult
from graphforget.cost import Cost, measure
from graphforget.errors import Diverged, GraphforgetError, InputError, NotApplicable
from graphforget.evidence import average, compare
from graphforget.membership import attacked
from graphforget.relearn import relearn_epochs, relearn_steps
from graphforget.report import ORIGINAL, Report
from graphforget.train import progress
from graphforget.unlearner import Unlearned, Unlearner


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
        show(report)
    return 0


@dataclass(frozen=True)
class Job:
    """A cell and what of it is missing.

    Args:
        number: of the cell in the plan.
        cell: what is run.
        methods: those without rows.
        first: original and golds have no rows either.
        flags: the command line.
    """

    number: int
    cell: Cell
    methods: Mapping[str, Unlearner]
    first: bool
    flags: Any


def run(dataset: str, flags: Any, methods: Mapping[str, Unlearner], console: Console) -> Report:
    """Run every cell that is not finished yet and return the report of all of them."""
    kept = Report.read(flags.out) if flags.out and flags.out.exists() else Report()
    cells = list(plan(dataset, flags))
    wanted = [key for key in methods if key != "retrain"]
    jobs = []
    for number, cell in enumerate(cells, 1):
        finished = [row for row in rows_of(kept, keys_of(cell, flags)) if row["metric"] == "seconds"]
        have = {row["method"] for row in finished}
        for row in finished:
            if row["method"] in wanted and row.get("settings", "") != settings(methods[row["method"]]):
                raise InputError(
                    f"{flags.out} holds {row['method']} with other settings (got"
                    f" {row.get('settings') or 'defaults'!r}, asked for"
                    f" {settings(methods[row['method']]) or 'defaults'!r}); write to another --out"
                )
        missing = {key: methods[key] for key in wanted if key not in have}
        if missing or "retrain" not in have:
            jobs.append(Job(number, cell, missing, "retrain" not in have, flags))

    def say(job: Job) -> None:
        title = title_of(keys_of(job.cell, flags))
        console.print(f"[{job.number}/{len(cells)}] {title}: {' '.join(job.methods) or 'golds'}", highlight=False)

    with progress():
        for _, block in pool.stream(pieces, jobs, workers=flags.workers, on_ray=flags.ray, start=say):
            if reason := block.rows[-1].get("reason"):
                console.print(f"    {block.rows[-1]['method']} left out: {reason}", highlight=False, markup=False)
            append(flags.out, block.lines())
            kept.rows += block.rows
    report = Report()
    for cell in cells:
        rows = rows_of(kept, keys_of(cell, flags))
        report.rows += [row for row in rows if row["method"] in ("", "retrain", *wanted)]
    return report


def keys_of(cell: Cell, flags: Any) -> dict[str, Any]:
    """The columns that tell a cell's rows from all others."""
    return {**cell.keys, "batches": flags.batches}


def pieces(job: Job) -> Iterator[Report]:
    """Yield the finished rows of a job, method by method."""
    flags = job.flags
    bench = Bench(job.cell, flags.data_root, flags.cache, flags.device, flags.batches)
    yield from blocks(bench, job.methods, flags, job.first)


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
        block.add(ORIGINAL, "", bench.more(whole) | _cost(cost))
        block.add("gold", "retrain", average([bench.more(gold) for gold in models]))
        for k, (_, spent) in enumerate(golds):
            block.add("gold", "retrain", _cost(spent))
            trained = bench.curve(k, len(bench.steps) - 1)
            block.add("gold", "retrain", {("all", "best_epoch"): trained.pop("best_epoch")})
            block.rows[-1] |= {"gold": k, **trained}
        if flags.attacks:
            block.add(ORIGINAL, "", attacked(bench.task, split, bench.splits.test, whole, seed=bench.cell.seed))
            rows = [attacked(bench.task, split, bench.splits.test, gold, seed=bench.cell.seed) for gold in models]
            block.add("gold", "retrain", average(rows))
        if flags.relearn:
            value = relearn_epochs(bench.task, split, original, models[0], seed=bench.cell.seed)
            block.add("gold", "retrain", {("forget", "relearn_epochs"): value, ("forget", "ain"): 1.0})
        if lira:
            block.add("gold", "retrain", _lira(lira.gold(models[0])))
        yield block
    gold_steps = relearn_steps(bench.task, split, original, models[0], seed=bench.cell.seed) if flags.relearn else 0
    for name, method in methods.items():
        try:
            result, spent, history = serve(bench, name, method, flags.golds, whole)
        except (NotApplicable, Diverged) as error:
            yield _signed(left_out(keys, name, str(error)), method)
            continue
        block = compare(
            bench.task, split, bench.splits.test, original=original, golds=models, unlearned={name: result}, keys=keys
        )
        block.rows = [row for row in block.rows if row["role"] == "unlearned"] + history
        block.add("unlearned", name, bench.more(result))
        if flags.attacks:
            block.add("unlearned", name, attacked(bench.task, split, bench.splits.test, result, seed=bench.cell.seed))
        if flags.relearn:
            value = relearn_epochs(bench.task, split, original, result, seed=bench.cell.seed)
            steps = relearn_steps(bench.task, split, original, result, seed=bench.cell.seed)
            ain = steps / gold_steps if gold_steps else float("nan")
            block.add("unlearned", name, {("forget", "relearn_epochs"): value, ("forget", "ain"): ain})
        if lira:
            block.add("unlearned", name, _lira(lira.attack(method, result)))
        if bench.domain.flops:
            with measure(count_flops=True) as forward:
                bench.task.evaluate(result.model, result.context, split.held_out)
            block.add("unlearned", name, {("all", "forward_flops"): forward.flops})
        for key in ("delta_mean", "reliability", "epochs", "remembered", "residual", "tokens", "unlearned"):
            if key in result.record:
                block.add("unlearned", name, {("all", key): float(result.record[key])})
        block.add("unlearned", name, _cost(spent))
        yield _signed(block, method)


def left_out(keys: Mapping[str, Any], name: str, reason: str) -> Report:
    """One row that says why a method has no figures here: the cell counts as finished."""
    block = Report(keys)
    block.add("unlearned", name, {("all", "seconds"): float("nan")})
    block.rows[0]["reason"] = reason
    return block


def _signed(block: Report, method: Unlearner) -> Report:
    """Name a method's settings in every row, where they are not its defaults."""
    if chosen := settings(method):
        block.rows = [{**row, "settings": chosen} for row in block.rows]
    return block


def settings(method: Unlearner) -> str:
    """The fields of a method that differ from its defaults: rows with other settings are never passed off as these."""
    plain = type(method)()
    changed = {name: value for name, value in vars(method).items() if value != getattr(plain, name)}
    return " ".join(f"{name}={value}" for name, value in sorted(changed.items()))


def show(report: Report) -> None:
    """Print a table for each request, with mean and 95 % interval over seeds."""
    console = Console() if sys.stdout.isatty() else Console(width=150)
    for title, group in grouped(report).items():
        seeds = len({row["seed"] for row in group.rows})
        caption = f"{title} ({seeds} seed{'s' if seeds > 1 else ''})"
        console.print(group.table(columns_in(group.rows), caption))
        for text in reasons(group):
            console.print(text, highlight=False, markup=False)


def grouped(report: Report) -> dict[str, Report]:
    """The rows of each request by its title, over all seeds; those of single steps are left out."""
    groups: dict[str, Report] = {}
    for row in report.rows:
        if "step" not in row:
            groups.setdefault(title_of({**row, "seed": None}), Report()).rows.append(row)
    return groups


def reasons(group: Report) -> list[str]:
    """Why methods have no figures for a request, a line each."""
    found = {row["method"]: row["reason"] for row in group.rows if "reason" in row}
    return [f"{method} left out: {reason}" for method, reason in found.items()]


def title_of(keys: Mapping[str, Any]) -> str:
    """How a request is named to a reader."""
    size = f"{keys['ratio']:g} %" if keys.get("ratio") is not None else f"{keys['count']}"
    seed = "" if keys.get("seed") is None else f", seed {keys['seed']}"
    parts = f", {keys['batches']} batches" if keys.get("batches", 1) > 1 else ""
    rest = "".join(f", {name}={keys[name]}" for name in OPTIONAL if keys.get(name) is not None)
    return f"{keys['dataset']} {keys['model']} {keys['task']}: {size} {keys['kind']} {keys['pool']}{rest}{parts}{seed}"


def _lira(result: AttackResult) -> dict[tuple[str, str], float]:
    return {("all", "u_lira_auc"): result.auc, ("all", "u_lira_tpr_at_1pct_fpr"): result.tpr_at_1pct_fpr}


def _cost(cost: Cost) -> dict[tuple[str, str], float]:
    found = {"peak_mib": cost.peak_mib, "flops": cost.flops, "cpu_s": cost.cpu_s, "seconds": cost.seconds}
    return {("all", name): value for name, value in found.items()}
