"""``python -m benchmarks.valuation --dataset iris --seeds 1 2 3``: what rows are worth, and what it costs to know.

Rows of a table, a tenth of whose labels are flipped: how well low values find them (``mislabel_auc``), the rank
correlation with exact KNN-Shapley, test accuracy while rows are dropped or added in the order of their values (areas
against random orders; all four are better the larger), and the values of rows that were never valued against those that
they get when they are. ``--dataset airport additive knn`` are games whose Shapley values are known; ``edges users``
ask what a deletion costs in utility: expected by the values of clusters, and by retraining. Trainings and seconds stand
beside every score. Example::

    python -m benchmarks.valuation --dataset iris breast_cancer --seeds 1 2 3 --out valuation.jsonl --plot curves.png
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import valuation_cases as cases
from benchmarks.output import add_flags, append, check_names, kept, printed, refused
from benchmarks.valuation_cases import KnownGame, Rows
from benchmarks.valuation_deletions import DELETIONS, of_deletions
from graphforget.errors import GraphforgetError, InputError, missing_extra
from graphforget.intervals import mean_interval
from graphforget.metrics import auc, spearman
from graphforget.report import ORIGINAL, Report
from graphforget.valuation.banzhaf import banzhaf
from graphforget.valuation.cluster_production import ClusterProductionValuation, ClusterValues
from graphforget.valuation.data_oob import data_oob
from graphforget.valuation.knn_shapley import knn_shapley
from graphforget.valuation.leave_one_out import leave_one_out
from graphforget.valuation.shapley import tmc_shapley
from graphforget.valuation.utility import FloatArray, Values

TRAININGS, SUBSETS, BAGS = 1000, 300, 200


def orders(players: int) -> int:
    """How many orders cost about a thousand trainings."""
    return max(2, TRAININGS // players)


Valuator = Callable[[Rows, int], Values]
ON_GAMES = ("leave_one_out", "tmc_shapley", "banzhaf", "cluster_production")
ROWS: dict[str, Valuator] = {
    "random": lambda rows, seed: Values(np.random.default_rng(seed).random(len(rows.x)), "random", 0, 0.0),
    "leave_one_out": lambda rows, seed: leave_one_out(rows.utility()),
    "tmc_shapley": lambda rows, seed: tmc_shapley(rows.utility(), permutations=orders(len(rows.x)), seed=seed),
    "banzhaf": lambda rows, seed: banzhaf(rows.utility(), samples=SUBSETS, seed=seed),
    "knn_shapley": lambda rows, seed: knn_shapley(rows.x, rows.y, rows.x_val, rows.y_val),
    "data_oob": lambda rows, seed: data_oob(rows.x, rows.y, bags=BAGS, seed=seed),
    "cluster_production": lambda rows, seed: clusters(seed).value(rows.utility(), rows.x, rows.y),
    "cluster_regressor": lambda rows, seed: clusters(seed, "regressor").value(rows.utility(), rows.x, rows.y),
}


def clusters(seed: int, intrinsic: str = "centroid") -> ClusterProductionValuation:
    """Our valuator with its usual settings; the regressor on half as many sampled rows."""
    return ClusterProductionValuation(intrinsic=intrinsic, sampled=50, permutations=10, seed=seed)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.valuation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = (*cases.TABLES, *cases.GAMES, *DELETIONS)
    add = parser.add_argument
    add("--dataset", nargs="+", default=["iris"], metavar="NAME", help=f"{' '.join(known)} (iris)")
    add("--methods", nargs="+", default=list(ROWS), metavar="NAME", help=" ".join(ROWS))
    add("--rows", type=int, default=None, help="rows to value (50 of iris, 100 of others, 60 players of games)")
    add_flags(parser, plot="draw the curves of one table, means over the seeds")
    flags = parser.parse_args(argv)
    try:
        check_names("data set", flags.dataset, known)
        check_names("valuator", flags.methods, ROWS)
        if flags.rows is not None and flags.rows < 10:
            raise InputError(f"--rows must be at least 10 (got {flags.rows})")
        rows = list(measured(flags))
        if flags.plot is not None:
            plot(rows, flags.dataset[0], flags.plot)
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, table)


def measured(flags: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of each (data set, seed, method), from --out where they are there."""
    earlier, console = kept(flags.out), Console(stderr=True)
    for dataset in flags.dataset:
        game, deletion = dataset in cases.GAMES, dataset in DELETIONS
        count = flags.rows or (50 if dataset in ("iris", "knn") else 60 if game else 100)
        methods = [name for name in flags.methods if not game or name in ON_GAMES]
        methods = ["cluster_production"] if deletion else methods
        for seed in flags.seeds:
            case: KnownGame | Rows | None = None
            for method in methods:
                keys = {"dataset": dataset, "rows": count, "method": method, "seed": seed}
                found = [row for row in earlier if all(row.get(key) == value for key, value in keys.items())]
                if not found:
                    console.print(f"{dataset}, seed {seed}: {method}", highlight=False)
                    if case is None and not deletion:
                        case = (cases.game_of if game else cases.rows_of)(dataset, count, seed, flags.data_root)
                    if case is None:
                        block = of_deletions(dataset, seed, flags.data_root)
                    else:
                        block = (
                            of_game(case, method, seed) if isinstance(case, KnownGame) else of_rows(case, method, seed)
                        )
                    block.rows = [{**row, **keys} for row in block.rows]
                    append(flags.out, block.lines())
                    found = block.rows
                yield from found


def of_rows(rows: Rows, method: str, seed: int) -> Report:
    """Value the rows of a table and say how well."""
    values, block, floor = ROWS[method](rows, seed), Report(), rows.floor
    figures = {
        ("all", "mislabel_auc"): auc(_tensor(-values.values[rows.wrong]), _tensor(-values.values[~rows.wrong])),
        ("all", "trainings"): float(values.trainings),
        ("all", "seconds"): values.seconds,
    }
    if method != "knn_shapley":
        near = knn_shapley(rows.x, rows.y, rows.x_val, rows.y_val)
        figures["all", "spearman_knn"] = spearman(_tensor(values.values), _tensor(near.values))
    if isinstance(values, ClusterValues):
        x, y, utility = rows.with_new()
        included = clusters(seed, "regressor" if method == "cluster_regressor" else "centroid").value(utility, x, y)
        said = values.predict(rows.x_new, rows.y_new)
        figures["all", "out_of_sample"] = spearman(_tensor(said), _tensor(included.values[len(rows.x) :]))
    for name, found in cases.curves(rows, values.values).items():
        gap = found - floor[name.partition("_")[0]]
        figures["test", name] = float(gap.mean()) * (-1 if name in ("drop_high", "add_low") else 1)
        for share, value in zip(cases.shares(name), found, strict=True):
            block.add(ORIGINAL, method, {("test", f"accuracy_{name}"): float(value)})
            block.rows[-1]["share"] = float(share)
    block.add(ORIGINAL, method, figures)
    return block


def of_game(game: KnownGame, method: str, seed: int) -> Report:
    """Value the players of a game and compare with what they are worth."""
    utility, block = game.utility(), Report()
    if method == "cluster_production":
        values: Values = clusters(seed).value(utility, game.x, game.y)
    elif method == "tmc_shapley":
        values = tmc_shapley(utility, permutations=100, seed=seed)
    elif method == "banzhaf":
        values = banzhaf(utility, samples=SUBSETS, seed=seed)
    else:
        values = leave_one_out(utility)
    figures = {
        ("all", "spearman_shapley"): spearman(_tensor(values.values), _tensor(game.shapley)),
        ("all", "error"): float(np.abs(values.values - game.shapley).mean() / np.abs(game.shapley).mean()),
        ("all", "trainings"): float(values.trainings),
        ("all", "seconds"): values.seconds,
    }
    block.add(ORIGINAL, method, figures)
    return block


SHOWN = ("mislabel_auc", "spearman_knn", "out_of_sample", "drop_high", "drop_low", "add_high", "add_low")
OF_GAMES = ("spearman_shapley", "error")
OF_DELETIONS = ("rank", "gap", "real", "spread")


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Lay the rows out: a line a data set and method, means over the seeds with the 95 % interval."""
    made = Table()
    for column in ("data set", "method"):
        made.add_column(column)
    metrics = [
        name
        for name in (*OF_GAMES, *OF_DELETIONS, *SHOWN, "trainings", "seconds")
        if any(r["metric"] == name for r in rows)
    ]
    for column in metrics:
        made.add_column(column.replace("_", "\n", 1), justify="right")
    for line in lines(rows, metrics):
        made.add_row(*line)
    return made


def lines(rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> list[list[str]]:
    """The cells of a table."""
    found = []
    for dataset, method in dict.fromkeys((row["dataset"], row["method"]) for row in rows):
        cells = []
        for metric in metrics:
            own = [
                row["value"]
                for row in rows
                if (row["dataset"], row["method"], row["metric"]) == (dataset, method, metric)
                and row["value"] is not None
            ]
            cells.append(_cell(own, 0 if metric == "trainings" else 2 if metric == "seconds" else 3))
        found.append([dataset, method, *cells])
    return found


def markdown(rows: Sequence[dict[str, Any]], metrics: Sequence[str]) -> str:
    """The same as a Markdown table."""
    head = ["data set", "method", *(name.replace("_", " ") for name in metrics)]
    body = [head, ["---", "---", *["---:"] * len(metrics)], *lines(rows, metrics)]
    return "\n".join("| " + " | ".join(line) + " |" for line in body)


SHORT = ("airport", "knn", "edges", "users", "iris", "adult")  # of the README


def tables(rows: Sequence[dict[str, Any]], only: Sequence[str] | None = None) -> str:
    """Every kind of data set as a Markdown table of its own.

    Args:
        rows: measured.
        only: some data sets.
    """
    kinds = (
        (cases.GAMES, OF_GAMES),
        (DELETIONS, OF_DELETIONS),
        (cases.TABLES, ("mislabel_auc", "spearman_knn", "out_of_sample", *SHOWN[3:])),
    )
    found = []
    for names, metrics in kinds:
        own = [row for row in rows if row["dataset"] in names and (only is None or row["dataset"] in only)]
        if own:
            found.append(markdown(own, (*metrics, "trainings", "seconds")))
    return "\n\n".join(found)


def plot(rows: Sequence[dict[str, Any]], dataset: str, path: Path) -> None:
    """Draw the four curves of each method.

    Raises:
        InputError: the data set has none.
        MissingExtra: without matplotlib.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    own = [row for row in rows if row["dataset"] == dataset and "share" in row]
    if not own:
        raise InputError(f"--plot needs a table with curves (got {dataset!r}); known: {', '.join(cases.TABLES)}")
    figure, axes = plt.subplots(1, 4, figsize=(16, 4), sharey=True)
    for axis, name in zip(axes, ("drop_high", "drop_low", "add_high", "add_low"), strict=True):
        for method in dict.fromkeys(row["method"] for row in own):
            part = [row for row in own if row["method"] == method and row["metric"] == f"accuracy_{name}"]
            at = cases.shares(name).tolist()
            mean = [np.mean([row["value"] for row in part if row["share"] == share]) for share in at]
            axis.plot(at, mean, label=method, linestyle=":" if method == "random" else "-", linewidth=1.5)
        verb, _, end = name.partition("_")
        axis.set_title(f"{verb} the {end}est values first")
        axis.set_xlabel(f"share of the rows {'dropped' if verb == 'drop' else 'added'}")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("test accuracy")
    axes[-1].legend(fontsize=8)
    figure.suptitle(f"{dataset}: {len({row['seed'] for row in own})} seeds, a tenth of the labels wrong")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _cell(values: Sequence[float], digits: int) -> str:
    if not values:
        return ""
    mean, low, high = mean_interval(values)
    return f"{mean:,.{digits}f}" + ("" if low != low or digits == 0 else f" ± {(high - low) / 2:.{digits}f}")


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))


if __name__ == "__main__":
    raise SystemExit(main())
