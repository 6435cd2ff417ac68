"""``python -m benchmarks.klom DATASET --models N``: KL of margins over many models, beside its floor (slow).

N originals that differ by their seed are trained on everything, each method unlearns the same request from every one of
them, and the margins of each image are compared with those of N golds (arXiv:2410.23232). The floor compares N other
golds with the same ones: with few models it is far from 0, and under 50 nothing can be read. That is 3 N trainings;
each is cached by itself, and with ``--out`` a finished method is not run again.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.arguments import method_of
from benchmarks.bench import Bench
from benchmarks.cell import Cell
from benchmarks.images import IMAGES
from benchmarks.output import append, kept, lines_of, printed, refused
from graphforget.errors import GraphforgetError, InputError, unknown
from graphforget.evidence import thinned
from graphforget.metrics import klom
from graphforget.task import Batch
from graphforget.train import bar, progress
from graphforget.unlearner import Unlearned
from graphforget.vision.data import DATASETS

READABLE = 50  # models under which 20 bins say nothing
USUAL = ["finetune", "duck", "del", "d2dgn_calibrated"]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure one request; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.klom", description=__doc__)
    add = parser.add_argument
    add("dataset", nargs="?", default="mnist", help=f"one of {', '.join(DATASETS)} (mnist)")
    add("--models", type=int, default=100, metavar="N", help="originals, and golds of either side (100)")
    add("--methods", nargs="+", default=USUAL, metavar="KEY[.FIELD=VALUE,...]", help=" ".join(USUAL))
    add("--model", default=IMAGES.model, metavar="NAME", help=" ".join(IMAGES.models))
    add("--kind", default="sample", metavar="KIND", help=f"what is forgotten: {' '.join(IMAGES.kinds)} (sample)")
    add("--seed", type=int, default=0, help="of split and request (0)")
    add("--data-root", type=Path, default=None, help="folder of the data sets")
    add("--cache", type=Path, default=Path("benchmarks/results/.cache"), help="trained originals and golds")
    add("--out", type=Path, default=None, metavar="FILE", help="append the JSON lines here; finished methods are kept")
    add("--json", action="store_true", help="print JSON lines instead of a table")
    flags = parser.parse_args(argv)
    try:
        with progress():
            rows = list(measured(flags))
    except GraphforgetError as error:
        return refused(error)
    if flags.models < READABLE:
        Console(stderr=True).print(f"{flags.models} models: under {READABLE} KLoM is mostly its floor", style="yellow")
    return printed(rows, flags.json, table)


def measured(flags: Any) -> Iterator[dict[str, Any]]:
    """Yield a row a model and part: floor, original, then the methods."""
    for kind, value, known in (
        ("image data set", flags.dataset, DATASETS),
        ("kind", flags.kind, IMAGES.kinds),
        ("model", flags.model, IMAGES.models),
    ):
        if value not in known:
            raise unknown(kind, value, tuple(known))
    if flags.models < 2:
        raise InputError(f"--models must be at least 2 (got {flags.models})")
    methods = {text: method_of(text, IMAGES.fields.get(text.partition(".")[0])) for text in flags.methods}
    count = IMAGES.counts.get(flags.kind)
    ratio = None if count else IMAGES.ratio
    cell = Cell(flags.dataset, flags.model, "image", flags.kind, ratio, count, "random", flags.seed)
    bench = Bench(cell, flags.data_root, flags.cache)
    keys = {"dataset": cell.dataset, "model": cell.model, "kind": cell.kind, "seed": cell.seed, "models": flags.models}
    earlier = [row for row in kept(flags.out) if all(row[name] == value for name, value in keys.items())]
    batches = parts(bench)
    golds = [margins(bench, bench.gold(k)[0], batches) for k in _counted("golds", 2 * flags.models)]
    oracle = _stacked(golds[flags.models :])
    originals = [bench.original(k)[0] for k in _counted("originals", flags.models)]

    def told(name: str, own: dict[str, Tensor], seconds: float) -> list[dict[str, Any]]:
        each = {part: klom(own[part], oracle[part]) for part in own}
        figures = {part: {"mean": float(v.mean()), "q95": float(v.quantile(0.95))} for part, v in each.items()}
        rows = [{**keys, "method": name, "part": part, **figures[part], "seconds": seconds} for part in figures]
        append(flags.out, lines_of(rows))
        return rows

    def unlearned(name: str) -> tuple[dict[str, Tensor], float]:
        found, start = [], time.perf_counter()
        for k in _counted(name, flags.models):
            result = methods[name].unlearn(originals[k], bench.task, bench.whole, seed=k)
            found.append(margins(bench, result, batches))
        return _stacked(found), (time.perf_counter() - start) / flags.models

    for name in ("floor", "original", *methods):
        if finished := [row for row in earlier if row["method"] == name]:
            yield from finished
        elif name == "floor":
            yield from told(name, _stacked(golds[: flags.models]), 0.0)
        elif name == "original":
            whole = [Unlearned(model, bench.splits.train, {}) for model in originals]
            yield from told(name, _stacked([margins(bench, each, batches) for each in whole]), 0.0)
        else:
            yield from told(name, *unlearned(name))


def parts(bench: Bench) -> dict[str, Batch]:
    """The images that are asked about: of each part at most as many as an attack takes."""
    views = {"forget": bench.whole.forget, "retain": bench.whole.untouched, "test": bench.splits.test}
    found = {name: bench.task.elements(bench.whole.retain, view) for name, view in views.items()}
    return {name: batch.take(thinned(batch.size)) for name, batch in found.items()}


def margins(bench: Bench, result: Unlearned, batches: dict[str, Batch]) -> dict[str, Tensor]:
    """{part: [B]} a model's margins: the label's logit less the log-sum-exp of the others."""
    ask, task = bench.task.teacher(result.model, result.context), bench.task
    return {name: task.scores(ask(batch), batch).cpu() for name, batch in batches.items()}  # type: ignore[attr-defined]


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Lay the rows out, a line a model."""
    made = Table(title="KLoM to gold: mean (95 % quantile) over images")
    heads, lines = laid_out(rows)
    for column in heads:
        made.add_column(column, justify="left" if column in ("dataset", "method") else "right")
    for line in lines:
        made.add_row(*line)
    return made


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The same as Markdown."""
    heads, lines = laid_out(rows)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *lines))


def laid_out(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """The heads of the columns, and the cells of a line a model."""
    names = list(dict.fromkeys(row["part"] for row in rows))
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        own = {row["part"]: row for row in rows if row["method"] == method}
        one = next(iter(own.values()))
        cells = [f"{own[part]['mean']:.2f} ({own[part]['q95']:.2f})" for part in names]
        lines.append([one["dataset"], str(one["models"]), method, *cells, f"{one['seconds']:.1f}"])
    return ["dataset", "models", "method", *names, "seconds"], lines


def _stacked(found: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {part: torch.stack([each[part] for each in found]) for part in found[0]}


def _counted(title: str, total: int) -> Iterator[int]:
    with bar(title, total) as advance:
        for number in range(total):
            yield number
            advance()


if __name__ == "__main__":
    raise SystemExit(main())
