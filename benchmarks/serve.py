"""Run one method on a cell: what it needs before the request, then the request or each of a sequence, with its cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import nn

from benchmarks.bench import Bench
from benchmarks.columns import UTILITY
from graphforget.cost import Cost, measure
from graphforget.evidence import compare
from graphforget.report import Report
from graphforget.unlearner import Unlearned, Unlearner


@runtime_checkable
class Prepares(Protocol):
    """A method that keeps something from training on (shards): built before the request, and timed apart from it."""

    def prepare(self, model: nn.Module, task: Any, data: Any, held_out: Any, *, seed: int) -> Mapping[str, Any]:
        """Return the record of the first request."""


def serve(
    bench: Bench, name: str, method: Unlearner, golds: int, whole: Unlearned
) -> tuple[Unlearned, Cost, list[dict[str, Any]]]:
    """Run a method on the request, or on each of a sequence.

    Args:
        bench: the cell.
        name: catalog key of the method.
        method: what runs.
        golds: number of golds each step of a sequence is compared with.
        whole: the original under all the data.

    Returns:
        The result, its cost, and rows of what came before and of each step.
    """
    result, spent, rows = whole, Cost(flops=0.0, cpu_s=0.0), Report({**bench.cell.keys, "batches": bench.batches})
    if bench.domain.recall is not None:
        result = whole._replace(record=bench.record())
    if isinstance(method, Prepares):
        with measure() as before:
            record = method.prepare(whole.model, bench.task, whole.context, bench.splits.val, seed=bench.cell.seed)
        result = whole._replace(record=record)
        rows.add("unlearned", name, {("all", "prepare_seconds"): before.seconds})
    for number, step in enumerate(bench.steps):
        record = result.record
        with measure(count_flops=bench.domain.flops) as one:
            result = method.unlearn(result.model, bench.task, step, record=record, seed=bench.cell.seed)
        spent = Cost(
            spent.seconds + one.seconds,
            max(spent.peak_mib, one.peak_mib),
            spent.flops + one.flops,
            spent.cpu_s + one.cpu_s,
        )
        if bench.batches > 1:
            rows.rows += drift(bench, number, name, result, golds, whole.model).rows
    return result, spent, rows.rows


def drift(bench: Bench, step: int, name: str, result: Unlearned, count: int, original: nn.Module) -> Report:
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
        if row["metric"] in ("js_to_gold", *UTILITY.values()) and row["role"] in ("unlearned", "gold_other_seed")
    ]
    return found
