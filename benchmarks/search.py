"""``python -m benchmarks.search digits_images``: small networks that are cheap to train again.

Cells are searched on the training images (EmoNAS-style, our design on DARTS), and the network that is found is trained
from scratch without one class, as every gold is: parameters, operations of a forward of one image, seconds to gold, and
accuracy on the test images that stay, beside random cells of the same size (the control of every search), a small CNN
and ResNet-18. ``moving`` are clips of which only the motion differs, as dynamic images; ``moving_mean`` is their
control, the mean frame.

Example: python -m benchmarks.search moving --seeds 1 2 3 --out search.jsonl
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.output import add_flags, append, check_names, printed, refused
from graphforget.cost import measure
from graphforget.errors import GraphforgetError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.intervals import mean_interval
from graphforget.methods.retrain import Retrain
from graphforget.report import Report
from graphforget.samples import Samples, split_rows
from graphforget.search.darts import Search
from graphforget.search.data import moving
from graphforget.search.dynamic import dynamic
from graphforget.search.models import NAMES, CellNet, Edge, Genotype
from graphforget.splits import Splits
from graphforget.train import Recipe, progress, seeded
from graphforget.vision import data
from graphforget.vision.models import MODELS, build
from graphforget.vision.task import ImageClassification

MADE = ("moving", "moving_mean")
CELLS = ("searched", "searched_second", "random_cells")
USUAL = ("searched", "random_cells", "cnn_small", "resnet18")
WIDTH, LAYERS, NODES = 8, 3, 2  # of the discrete network
RECIPE = Recipe(epochs=30, patience=10, lr=3e-3, batch_size=32, eval_every=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Search and train; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    known = (*MADE, *data.DATASETS)
    add("dataset", nargs="?", default="digits_images", help=f"one of {', '.join(known)} (digits_images)")
    add("--methods", nargs="+", default=list(USUAL), metavar="NAME", help=f"of {' '.join((*CELLS, *MODELS))}")
    add("--search-epochs", type=int, default=8, metavar="N", help="passes of the search (8)")
    add("--epochs", type=int, default=RECIPE.epochs, metavar="N", help="of the training, at most (30)")
    add_flags(parser)
    flags = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        check_names("data set", [flags.dataset], known)
        check_names("network", flags.methods, (*CELLS, *MODELS))
        with progress():
            report = Report({}, [row for seed in flags.seeds for row in measured(flags, seed, console)])
    except GraphforgetError as error:
        return refused(error)
    return printed(report.rows, flags.json, lambda rows: table(Report({}, rows)))


def measured(flags: Any, seed: int, console: Console) -> Iterator[dict[str, Any]]:
    """Yield the rows of one seed, network by network; what is finished is not run again."""
    keys = {"dataset": flags.dataset, "seed": seed, "epochs": flags.epochs, "search_epochs": flags.search_epochs}
    kept = Report.read(flags.out) if flags.out and flags.out.exists() else Report()
    splits = load(flags.dataset, flags.data_root, seed)
    shape = tuple(splits.train.x.shape[1:])
    classes = int(splits.train.y.max()) + 1
    task = ImageClassification(recipe=Recipe(**{**vars(RECIPE), "epochs": flags.epochs}))
    split = ForgetSplit.of(splits.train, ForgetRequest.of("class", [seed % classes]), splits.val)
    staying = splits.test.scrub({"class": torch.tensor([seed % classes])}, splits.train)
    for name in flags.methods:
        wanted = {**keys, "method": name}
        if finished := [row for row in kept.rows if all(row.get(k) == v for k, v in wanted.items())]:
            yield from finished
            continue
        console.print(f"{flags.dataset}, seed {seed}: {name}", highlight=False)
        model, searched = network(name, task, splits.train, (shape, classes), flags, seed)
        start = time.perf_counter()
        gold = Retrain().unlearn(model, task, split, seed=seed)
        seconds = time.perf_counter() - start
        with measure(count_flops=True) as forward, torch.no_grad():
            gold.model.eval()(splits.train.x[:1])
        block = Report(keys)
        figures = {
            "parameters": sum(p.numel() for p in gold.model.parameters()),
            "forward_flops": forward.flops,
            "search_seconds": searched,
            "seconds": seconds,
            "epochs": len(gold.record["curve"]),
        }
        block.add("gold", name, {("all", metric): value for metric, value in figures.items()})
        scores = task.evaluate(gold.model, split.retain, staying)
        block.add("gold", name, {("test", "accuracy"): scores["accuracy"]})
        append(flags.out, block.lines())
        yield from block.rows


def load(name: str, root: Path | None, seed: int) -> Splits[Samples]:
    """Load images, or make clips and turn each into one image."""
    if name not in MADE:
        return data.load_splits(name, root=root, seed=seed)
    clips, label = moving(480, size=12, seed=seed)
    return split_rows(dynamic(clips, label) if name == "moving" else Samples(clips.mean(1), label), seed=seed)


def network(
    name: str, task: ImageClassification, train: Samples, size: tuple[Any, int], flags: Any, seed: int
) -> tuple[nn.Module, float]:
    """Build a network, and say how long its search took."""
    shape, classes = size
    if name in MODELS:
        with seeded(seed):
            return build(name, shape, classes), 0.0
    if name == "random_cells":
        genotype, seconds = drawn(seed), 0.0
    else:
        order = "second" if name.endswith("second") else "first"
        search = Search(order=order, nodes=NODES, layers=LAYERS, epochs=flags.search_epochs)
        genotype, _, seconds = search.run(task, train, seed=seed)
    with seeded(seed):
        return CellNet(shape, classes, genotype, width=WIDTH, layers=LAYERS), seconds


def drawn(seed: int) -> Genotype:
    """Random cells: two different states and any operation but none for each edge."""
    rng = np.random.default_rng(seed)

    def cell() -> tuple[Edge, ...]:
        states = [int(s) for node in range(NODES) for s in sorted(rng.permutation(2 + node)[:2])]
        return tuple((NAMES[int(rng.integers(1, len(NAMES)))], state) for state in states)

    return Genotype(cell(), cell())


SHOWN = {
    "parameters": ("parameters", "{:,.0f}"),
    "forward_flops": ("operations of a forward", "{:,.0f}"),
    "search_seconds": ("seconds of the search", "{:.0f}"),
    "seconds": ("seconds to gold", "{:.1f}"),
    "accuracy": ("test accuracy", "{:.3f}"),
}


def lines_of(report: Report) -> Iterator[list[str]]:
    """The cells of a table, a line a data set and network."""
    for dataset, method in dict.fromkeys((row["dataset"], row["method"]) for row in report.rows):
        cells = [dataset, method]
        for metric, (_, form) in SHOWN.items():
            values = [row["value"] for row in report.select(dataset=dataset, method=method, metric=metric)]
            mean, low, high = mean_interval(values)
            text = form.format(mean)
            cells.append(text if low != low or low == high else f"{text} ±{form.format((high - low) / 2)}")
        yield cells


def table(report: Report) -> Table:
    """Lay the rows out for a terminal."""
    made = Table(title="Gold without one class: mean, and 95 % interval over seeds")
    for number, name in enumerate(("data", "network", *(name for name, _ in SHOWN.values()))):
        made.add_column(name, justify="left" if number < 2 else "right")
    for cells in lines_of(report):
        made.add_row(*cells)
    return made


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Render the table in Markdown."""
    head = ("data", "network", *(name for name, _ in SHOWN.values()))
    lines = ["| " + " | ".join(cells) + " |" for cells in lines_of(Report({}, list(rows)))]
    return "\n".join(["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *lines])


if __name__ == "__main__":
    raise SystemExit(main())
