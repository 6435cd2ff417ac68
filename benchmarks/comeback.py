"""``python -m benchmarks.comeback cora``: unlearned or merely concealed?

Half of the forgotten are shown to each model again for a few steps, and the other half are asked about; and a share psi
of the original's answer is mixed into the model's own. The figure is the chance that a forgotten element is believed
more than one that no model ever saw (AUC), beside gold's own. ``--plot FILE`` draws both curves.

Example: python -m benchmarks.comeback cora --seeds 1 2 3 --out comeback.jsonl --plot comeback.png
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks import domains
from benchmarks.arguments import method_of
from benchmarks.bench import Bench
from benchmarks.cell import Cell
from benchmarks.output import add_flags, append, check_names, printed, refused
from benchmarks.serve import serve
from graphforget.comeback import PSIS, STEPS, Comeback, comeback
from graphforget.errors import Diverged, GraphforgetError, InputError, NotApplicable
from graphforget.intervals import mean_interval
from graphforget.report import ORIGINAL, Report, Row
from graphforget.train import progress
from graphforget.unlearner import Unlearned

GOLDS = 2


@dataclass(frozen=True)
class Question:
    """One request that is probed.

    Args:
        model: key of the model.
        task: catalog key of the task.
        kind: what is forgotten.
        ratio: per cent.
        pool: where it is drawn.
        methods: those that run unless told otherwise.
    """

    model: str
    task: str
    kind: str
    ratio: float
    pool: str
    methods: tuple[str, ...]


_EDGES = ("utu", "finetune", "gradient_ascent", "gnndelete", "d2dgn", "d2dgn_calibrated")
QUESTIONS = {
    "cora": Question("gcn", "link", "edge", 2.5, "out_legacy", _EDGES),
    "digits": Question("gcn", "link", "edge", 2.5, "random", _EDGES),
    "ml100k": Question(
        "bpr", "recommend", "user", 5.0, "random", ("row_reset", "finetune", "d2dgn", "mmrecun", "mmrecun_calibrated")
    ),
    "digits_images": Question(
        "mlp", "image", "sample", 10.0, "random", ("finetune", "gradient_ascent", "ssd", "salun", "d2dgn_calibrated")
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Probe the models of one request; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comeback", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("dataset", nargs="?", default="digits", help=f"one of {', '.join(QUESTIONS)} (digits)")
    add(
        "--methods", nargs="+", default=None, metavar="KEY[.FIELD=VALUE,...]", help="methods, else those that are usual"
    )
    add_flags(parser, cache="trained originals and golds", plot="draw the two curves (extra report)")
    flags = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        with progress():
            report = Report({}, [row for seed in flags.seeds for row in measured(flags, seed, console)])
        if flags.plot:
            plot(report, flags.plot)
    except GraphforgetError as error:
        return refused(error)
    return printed(report.rows, flags.json, lambda rows: table(Report({}, rows)))


def measured(flags: Any, seed: int, console: Console) -> Iterator[dict[str, Any]]:
    """Yield the rows of one seed: original, golds, methods; what is finished is not run again."""
    check_names("data set", [flags.dataset], QUESTIONS)
    asked = QUESTIONS[flags.dataset]
    usual = domains.of(flags.dataset).fields
    names = flags.methods or asked.methods
    methods = {text: method_of(text, usual.get(text.partition(".")[0])) for text in names}
    cell = Cell(flags.dataset, asked.model, asked.task, asked.kind, asked.ratio, None, asked.pool, seed)
    bench = Bench(cell, flags.data_root, flags.cache)
    kept = Report.read(flags.out) if flags.out and flags.out.exists() else Report()
    kept.rows = [row for row in kept.rows if all(row.get(name) == value for name, value in cell.keys.items())]
    original = bench.original()[0]

    def probe(role: str, name: str, results: Sequence[Unlearned], cost: Row) -> list[dict[str, Any]]:
        block = Report(cell.keys)
        for result in results:
            block.add(role, name, figures(bench, original, result, seed) | cost)
        append(flags.out, block.lines())
        return block.rows

    for name in ("", "retrain", *methods):
        if finished := [row for row in kept.rows if row["method"] == name]:
            yield from finished
            continue
        console.print(f"{flags.dataset}, seed {seed}: {name or 'original'}", highlight=False)
        if not name:
            yield from probe(ORIGINAL, "", [Unlearned(original, bench.splits.train, {})], {})
        elif name == "retrain":
            yield from probe("gold", name, [bench.gold(k)[0] for k in range(GOLDS)], {})
        else:
            start = time.perf_counter()
            whole = Unlearned(original, bench.splits.train, {})
            try:
                result = serve(bench, name, methods[name], GOLDS, whole)[0]
            except (NotApplicable, Diverged) as error:
                console.print(f"    {name} left out: {error}", highlight=False, markup=False)
                continue
            yield from probe("unlearned", name, [result], {("all", "seconds"): time.perf_counter() - start})


def figures(bench: Bench, original: nn.Module, result: Unlearned, seed: int) -> Row:
    """Both curves of one model."""
    found = comeback(bench.task, bench.whole, like_the_forgotten(bench), original, result, seed=seed)
    row: Row = {("forget", f"relearned@{n}"): value for n, value in found.relearned.items()}
    return row | {("forget", f"guided@{psi:g}"): value for psi, value in found.guided.items()}


def like_the_forgotten(bench: Bench) -> Any:
    """The test part; of users, their own test interactions."""
    test = bench.splits.test
    if bench.cell.kind != "user":
        return test
    users: Tensor = bench.whole.request.parts["user"]  # type: ignore[union-attr]
    own = test.edge_index[0].unsqueeze(1).eq(users.to(test.edge_index.device)).any(1)
    if not bool(own.any()):
        raise InputError("none of the forgotten users has a test interaction; use another seed or a higher ratio")
    return test.with_edges(own.nonzero().flatten())


def curves(report: Report) -> dict[str, Comeback]:
    """Mean over seeds (and golds) of each model's curves, original and gold first."""
    found = {}
    for role, method in report.models():
        rows = report.select(role=role, method=method)
        points: dict[str, dict[float, float]] = {"relearned": {}, "guided": {}}
        for kind, at in [*(("relearned", n) for n in STEPS), *(("guided", psi) for psi in PSIS)]:
            values = [row["value"] for row in rows if row["metric"] == f"{kind}@{at:g}"]
            if values:
                points[kind][at] = sum(values) / len(values)
        name = {"original": "original", "gold": "gold"}.get(role, method)
        found[name] = Comeback({int(n): v for n, v in points["relearned"].items()}, points["guided"])
    return found


SHOWN = {
    "relearned@0": "at once",
    "relearned@2": "2 steps",
    "relearned@5": "5 steps",
    "relearned@50": "50 steps",
    "guided@0.15": "psi .15",
    "guided@0.35": "psi .35",
}
HEAD = ("model", *SHOWN.values(), "steps to halfway", "psi to halfway")


def lines_of(report: Report) -> list[list[str]]:
    """The cells of a table of one data set, a line a model."""
    mean, found = curves(report), []
    level = halfway(mean)
    for (role, method), (name, curve) in zip(report.models(), mean.items(), strict=True):
        values = [[row["value"] for row in report.select(role=role, method=method, metric=c)] for c in SHOWN]
        ends = [_reached(curve.steps_to(level)), _reached(curve.psi_to(level))]
        found.append([name, *(_interval(each) for each in values), *ends])
    return found


def table(report: Report) -> Table:
    """Lay the figures out for a terminal."""
    made = Table(title="AUC of the forgotten against the never seen, 95 % interval over seeds")
    for column in HEAD:
        made.add_column(column, justify="left" if column == "model" else "right")
    for cells in lines_of(report):
        made.add_row(*cells)
    return made


def markdown(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Render a table for each data set, under its command: {data set: Markdown}."""
    found = {}
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        own = Report({}, [row for row in rows if row["dataset"] == dataset])
        seeds = " ".join(str(seed) for seed in sorted({row["seed"] for row in own.rows}))
        asked = QUESTIONS[dataset]
        command = f"python -m benchmarks.comeback {dataset} --seeds {seeds}"
        lines = [
            f"`{command}`: {asked.ratio:g} % of the {asked.kind}s, {asked.model}",
            "",
            "| " + " | ".join(HEAD) + " |",
            "|---" * len(HEAD) + "|",
            *("| " + " | ".join(cells) + " |" for cells in lines_of(own)),
        ]
        found[dataset] = "\n".join(lines)
    return found


def _reached(value: float) -> str:
    return "never" if value == float("inf") else f"{value:g}"


def halfway(mean: dict[str, Comeback]) -> float:
    """The AUC between gold's and the original's at psi 0: what counts as having come back."""
    return (mean["gold"].guided[0.0] + mean["original"].guided[0.0]) / 2


def _interval(values: Sequence[float]) -> str:
    if not values:
        return "-"
    middle, low, high = mean_interval(list(values))
    return f"{middle:.3f}" if low != low else f"{middle:.3f} ±{(high - low) / 2:.3f}"


def plot(report: Report, path: Path) -> None:
    """Draw both curves of every model.

    Raises:
        MissingExtra: without matplotlib.
    """
    from benchmarks.pictures import lines

    found = curves(report)
    lines(
        path,
        [
            ("relearning steps on one half of the forgotten", {n: c.relearned for n, c in found.items()}),
            ("psi, the original's share of the answer", {n: c.guided for n, c in found.items()}),
        ],
        "AUC, forgotten against never seen",
    )


if __name__ == "__main__":
    raise SystemExit(main())
