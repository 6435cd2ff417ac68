"""``python -m benchmarks.active --dataset digits_images``: which labels to buy, and which retained rows to replay.

``--part labels``: a model learns from a few labelled images, asks for more by a strategy and is trained anew, round by
round: test accuracy against labels, and its mean over the rounds. ``--part replay``: a tenth of the training images is
deleted by gradient ascent, and the model is repaired on some retained images, chosen by the strategy; accuracies and
the distance to gold (Jensen-Shannon, mean of two golds) beside the floor. Example::

    python -m benchmarks.active --dataset digits_images mnist --seeds 1 2 3 --out active.jsonl --plot labels.png
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

from benchmarks.output import add_flags, append, check_names, kept, printed, refused
from graphforget.active.replay import ChosenReplay
from graphforget.active.seen import look
from graphforget.active.strategies import STRATEGIES, choose
from graphforget.errors import GraphforgetError, InputError, missing_extra
from graphforget.evidence import compare
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.intervals import mean_interval
from graphforget.methods.retrain import Retrain
from graphforget.report import ORIGINAL, Report
from graphforget.samples import Samples
from graphforget.splits import Splits
from graphforget.train import Recipe
from graphforget.vision.data import DATASETS, load_splits
from graphforget.vision.models import build
from graphforget.vision.task import ImageClassification

PARTS = ("labels", "replay")
TASK = ImageClassification(recipe=Recipe(epochs=60, patience=15, lr=2e-3, batch_size=32, eval_every=1))
POOL, SAMPLE = 1000, 1000
FORGOTTEN, GOLDS = 0.1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.active", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", nargs="+", default=["digits_images"], metavar="NAME", help=f"{' '.join(DATASETS)} (digits_images)")
    add("--part", nargs="+", default=list(PARTS), metavar="PART", help="labels replay")
    add("--methods", nargs="+", default=list(STRATEGIES), metavar="NAME", help=" ".join(STRATEGIES))
    add("--model", default="mlp", help="of the images (mlp)")
    add("--start", type=int, default=20, help="labels to begin with (20)")
    add("--query", type=int, default=20, help="labels a round (20)")
    add("--rounds", type=int, default=8, help="rounds (8)")
    add("--replay", type=int, default=100, help="retained images that are replayed (100)")
    add_flags(parser, plot="draw accuracy against labels of the first data set")
    flags = parser.parse_args(argv)
    try:
        check_names("data set", flags.dataset, DATASETS)
        check_names("part", flags.part, PARTS)
        check_names("strategy", flags.methods, STRATEGIES)
        for name in ("start", "query", "rounds", "replay"):
            if getattr(flags, name) < 1:
                raise InputError(f"--{name} must be at least 1 (got {getattr(flags, name)})")
        rows = list(measured(flags))
        if flags.plot is not None:
            plot(rows, flags.dataset[0], flags.plot)
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, table)


def measured(flags: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of each (data set, part, seed, strategy), from --out where they are there."""
    earlier, console = kept(flags.out), Console(stderr=True)
    for dataset in flags.dataset:
        card = DATASETS[dataset]
        for part in flags.part:
            for seed in flags.seeds:
                done: dict[str, list[dict[str, Any]]] = {}
                shape = {"start": flags.start, "query": flags.query, "rounds": flags.rounds}
                keys = {"dataset": dataset, "model": flags.model, "task": part, "seed": seed}
                keys |= shape if part == "labels" else {"replay": flags.replay}
                names = [*flags.methods] if part == "labels" else ["", *flags.methods]
                for name in names:
                    done[name] = [row for row in earlier if _matches(row, keys, name)]
                if all(done.values()):
                    yield from (row for rows in done.values() for row in rows)
                    continue
                splits = load_splits(dataset, root=flags.data_root, seed=seed)
                model = build(flags.model, card.shape, card.classes)
                replay = Replay(splits, model, keys, seed, flags.replay) if part == "replay" else None
                for name in names:
                    if not done[name]:
                        console.print(f"{dataset} {part}, seed {seed}: {name or 'original and golds'}", highlight=False)
                        block = replay.of(name) if replay is not None else labels(splits, model, keys, name, flags)
                        append(flags.out, block.lines())
                        done[name] = block.rows
                    yield from done[name]


def _matches(row: dict[str, Any], keys: dict[str, Any], name: str) -> bool:
    own = row["role"] in (ORIGINAL, "gold", "gold_other_seed") if not name else row["method"] == name
    return own and all(row.get(key) == value for key, value in keys.items())


def labels(splits: Splits[Samples], model: nn.Module, keys: dict[str, Any], strategy: str, flags: Any) -> Report:
    """Ask for labels round after round; every round trains anew."""
    seed, train = int(keys["seed"]), splits.train
    rng = torch.Generator().manual_seed(seed)
    order = train.rows()[torch.randperm(train.size, generator=rng)]
    known, block, start, scores = order[: flags.start], Report(keys), time.perf_counter(), []
    if flags.start + flags.query * flags.rounds > train.size:
        raise InputError(f"--start, --query and --rounds ask for more than the {train.size} images there are")
    for turn in range(flags.rounds + 1):
        view = train.view(train.mask_of(known))
        learned = TASK.fit(TASK.fresh(model, seed), view, splits.val, seed=seed + turn)
        scores.append(TASK.evaluate(learned, view, splits.test)["accuracy"])
        block.add("unlearned", strategy, {("test", "accuracy"): scores[-1]})
        block.rows[-1]["labels"] = len(known)
        if turn == flags.rounds:
            break
        left = order[~torch.isin(order, known)]
        left = left[torch.randperm(len(left), generator=rng)]
        pool, sample = (
            look(learned, TASK, train, train.view(train.mask_of(rows))) for rows in (left[:POOL], left[-SAMPLE:])
        )
        seen = look(learned, TASK, train, view).features
        taken = choose(strategy, pool, flags.query, seed=seed + turn, labelled=seen, sample=sample)
        known = torch.cat([known, taken])
    figures = {("test", "mean_accuracy"): float(np.mean(scores)), ("all", "seconds"): time.perf_counter() - start}
    block.add("unlearned", strategy, figures)
    return block


class Replay:
    """One request and what all strategies are compared with.

    Args:
        splits: of the images.
        model: never trained.
        keys: of the rows.
        seed: of the original; golds have their own.
        count: retained images that are replayed.
    """

    def __init__(self, splits: Splits[Samples], model: nn.Module, keys: dict[str, Any], seed: int, count: int) -> None:
        rows = splits.train.rows()
        gone = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
        request = ForgetRequest.of("sample", gone[: round(FORGOTTEN * len(rows))])
        self.splits, self.keys, self.seed, self.count = splits, keys, seed, count
        self.split = ForgetSplit.of(splits.train, request, splits.val)
        self.original = TASK.fit(TASK.fresh(model, seed), splits.train, splits.val, seed=seed)
        self.golds = [Retrain().unlearn(self.original, TASK, self.split, seed=seed + 100 + k) for k in range(GOLDS)]

    def of(self, strategy: str) -> Report:
        """The rows of a strategy; of "" those of original, golds and floor."""
        start = time.perf_counter()
        method = ChosenReplay(strategy=strategy or "random", count=self.count)
        result = {strategy: method.unlearn(self.original, TASK, self.split, seed=self.seed)} if strategy else {}
        spent = time.perf_counter() - start
        block = compare(
            TASK,
            self.split,
            self.splits.test,
            original=self.original,
            golds=self.golds,
            unlearned=result,
            keys=self.keys,
        )
        if strategy:
            block.rows = [row for row in block.rows if row["role"] == "unlearned"]
            block.add("unlearned", strategy, {("all", "seconds"): spent})
        return block


OF_LABELS = (("test", "mean_accuracy"), ("all", "seconds"))
OF_REPLAY = (
    ("test", "accuracy"), ("retain", "accuracy"), ("forget", "accuracy"),
    ("forget", "js_to_gold"), ("retain", "js_to_gold"), ("test", "js_to_gold"), ("all", "seconds"),
)  # fmt: skip
SAID = {ORIGINAL: "original", "gold": "gold", "gold_other_seed": "floor"}


def lines(rows: Sequence[dict[str, Any]], part: str) -> list[list[str]]:
    """The cells of a part's table, means over the seeds with the 95 % interval."""
    own = [row for row in rows if row["task"] == part and "labels" not in row]
    columns = OF_LABELS if part == "labels" else OF_REPLAY
    found = []
    for dataset, role, name in dict.fromkeys((row["dataset"], row["role"], row["method"]) for row in own):
        cells = []
        for where, metric in columns:
            wanted = (dataset, role, name, where, metric)
            values = [r["value"] for r in own if tuple(r[k] for k in COLUMNS) == wanted and r["value"] is not None]
            cells.append(_cell(values, metric))
        found.append([dataset, SAID.get(role, name), *cells])
    return found


COLUMNS = ("dataset", "role", "method", "part", "metric")


def _heads(part: str) -> list[str]:
    columns = OF_LABELS if part == "labels" else OF_REPLAY
    heads = [f"{metric}, {where}".replace("_", " ").removesuffix(", all") for where, metric in columns]
    return ["data set", "strategy", *heads]


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Lay the rows out, a table a part."""
    both = Table.grid()
    for part in PARTS:
        if any(row["task"] == part for row in rows):
            made = Table(*_heads(part), title=part)
            for line in lines(rows, part):
                made.add_row(*line)
            both.add_row(made)
    return both


def markdown(rows: Sequence[dict[str, Any]], part: str) -> str:
    """A part as a Markdown table."""
    heads = _heads(part)
    body = [heads, ["---", "---", *["---:"] * (len(heads) - 2)], *lines(rows, part)]
    return "\n".join("| " + " | ".join(line) + " |" for line in body)


def plot(rows: Sequence[dict[str, Any]], dataset: str, path: Path) -> None:
    """Draw test accuracy against labels.

    Raises:
        InputError: no row has labels.
        MissingExtra: without matplotlib.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    own = [row for row in rows if row["dataset"] == dataset and "labels" in row]
    if not own:
        raise InputError(f"--plot needs the part 'labels' of {dataset!r}; ask for it with --part labels")
    figure, axis = plt.subplots(figsize=(7, 5))
    for name in dict.fromkeys(row["method"] for row in own):
        part = [row for row in own if row["method"] == name]
        at = sorted({row["labels"] for row in part})
        mean = [np.mean([row["value"] for row in part if row["labels"] == count]) for count in at]
        axis.plot(at, mean, label=name, linestyle=":" if name == "random" else "-", marker=".", linewidth=1.5)
    axis.set_xlabel("labels")
    axis.set_ylabel("test accuracy")
    axis.set_title(f"{dataset}: {len({row['seed'] for row in own})} seeds")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _cell(values: Sequence[float], metric: str) -> str:
    if not values:
        return ""
    mean, low, high = mean_interval(values)
    digits = 1 if metric == "seconds" else 4
    return f"{mean:.{digits}f}" + ("" if low != low else f" ± {(high - low) / 2:.{digits}f}")


if __name__ == "__main__":
    raise SystemExit(main())
