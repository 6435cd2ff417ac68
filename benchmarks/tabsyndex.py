"""``python -m benchmarks.tabsyndex --dataset wine adult``: synthetic tables, and do they still tell of deleted rows.

Each generator is fitted on everything (original), and twice on what is left once a tenth of the rows is removed (gold,
and the floor). Their rows are scored against real rows that none of them saw (TabSynDex and its five components) beside
the ceiling, which real rows reach; privacy stands beside it: the share nearer to the fitted rows than to as many unseen
ones (.5 is no copying), the same of the removed rows, and the distance to them. ``copies`` draws real rows again: a
control that the score alone rewards. ``--plot`` draws the components while the VAE learns. Example::

    python -m benchmarks.tabsyndex --dataset wine --seeds 1 2 3 --out tabsyndex.jsonl --plot components.png
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Printed

from benchmarks.output import add_flags, append, check_names, kept, printed, refused
from graphforget.errors import GraphforgetError, InputError
from graphforget.intervals import mean_interval
from graphforget.report import Report
from graphforget.tabular.cart import Cart
from graphforget.tabular.data import DATASETS, load_table
from graphforget.tabular.gaussian_copula import GaussianCopula
from graphforget.tabular.generator import Generator, Sampler, sampler
from graphforget.tabular.plots import draw_components
from graphforget.tabular.privacy import closeness
from graphforget.tabular.stand_in import judge
from graphforget.tabular.table import Table
from graphforget.tabular.tabsyndex import COMPONENTS, TabSynDex, tabsyndex
from graphforget.tabular.vae import Vae

REMOVED = 0.1


@dataclass(frozen=True)
class Copies:
    """Real rows again, with replacement: the control that a score without privacy rewards."""

    def fit(self, table: Table, *, seed: int = 0) -> Sampler:
        """Keep the rows."""
        values = table.values.copy()
        return sampler(table, lambda count, seed: np.random.default_rng(seed).choice(values, count))


GENERATORS: dict[str, Generator] = {
    "gaussian_copula": GaussianCopula(),
    "cart": Cart(),
    "vae": Vae(),
    "copies": Copies(),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tabsyndex", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", nargs="+", default=["wine"], metavar="NAME", help=f"{' '.join(DATASETS)} (wine)")
    add("--methods", nargs="+", default=list(GENERATORS), metavar="NAME", help=" ".join(GENERATORS))
    add("--rows", type=int, default=600, help="rows to learn from, and as many that are held out (600)")
    add_flags(parser, plot="draw the components while the VAE learns")
    flags = parser.parse_args(argv)
    try:
        check_names("table", flags.dataset, DATASETS)
        check_names("generator", flags.methods, GENERATORS)
        rows = list(measured(flags))
        if flags.plot is not None:
            train, held_out, _ = parts(load_table(flags.dataset[0], flags.data_root), flags.rows, flags.seeds[0])
            draw_components(watched(train, held_out, flags.seeds[0]), flags.plot)
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, table)


def parts(table: Table, count: int, seed: int) -> tuple[Table, Table, np.typing.NDArray[np.bool_]]:
    """(train, held-out, which of train are removed): as many rows each, drawn without replacement.

    Raises:
        InputError: the table has too few rows, or a column is constant in those drawn.
    """
    if not 50 <= count <= table.size // 2:
        raise InputError(f"--rows must lie in [50, {table.size // 2}], half of the table (got {count})")
    rng = np.random.default_rng(seed)
    order = rng.permutation(table.size)
    gone = rng.permutation(count) < REMOVED * count
    return table.rows(order[:count]), table.rows(order[count : 2 * count]), gone


def measured(flags: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of each (data set, seed, generator), from --out where they are there."""
    earlier, console = kept(flags.out), Console(stderr=True)
    for dataset in flags.dataset:
        for seed in flags.seeds:
            for method in ("real", *flags.methods):
                keys = {"dataset": dataset, "rows": flags.rows, "generator": method, "seed": seed}
                found = [row for row in earlier if all(row.get(key) == value for key, value in keys.items())]
                if not found:
                    console.print(f"{dataset}, seed {seed}: {method}", highlight=False)
                    start = time.perf_counter()
                    train, held_out, gone = parts(load_table(dataset, flags.data_root), flags.rows, seed)
                    if method == "real":
                        block = real_rows(train, held_out)
                    else:
                        block = judge(GENERATORS[method], train, gone, held_out, name=method, seed=seed).report
                    block.add("gold", "retrain", {("all", "seconds"): time.perf_counter() - start})
                    block.rows = [{**row, **keys} for row in block.rows]
                    append(flags.out, block.lines())
                    found = block.rows
                yield from found


def real_rows(train: Table, held_out: Table) -> Report:
    """The ceiling: real rows in the place of synthetic ones."""
    block, score = Report(), tabsyndex(held_out, train)
    fresh, other = train.halves(0)
    figures = {("test", "tabsyndex"): score.score, **{("test", each): getattr(score, each) for each in COMPONENTS}}
    near = closeness(fresh, other, held_out.rows(np.arange(other.size)))
    block.add("gold", "retrain", {**figures, ("retain", "share_nearer"): near.share_nearer})
    return block


def watched(train: Table, held_out: Table, seed: int) -> list[tuple[int, TabSynDex]]:
    """[(epoch, score)] while the VAE learns."""
    found: list[tuple[int, TabSynDex]] = []

    def look(epoch: int, model: Sampler) -> None:
        found.append((epoch, tabsyndex(held_out, model.sample(train.size, seed=seed))))

    Vae().fit(train, seed=seed, every=10, watch=look)
    return found


SHOWN = (
    ("gold", "tabsyndex"),
    *(("gold", each) for each in COMPONENTS),
    ("gold", "share_nearer"),
    ("gold", "copies"),
    ("original", "removed_nearer"),
    ("gold", "removed_nearer"),
    ("gold_other_seed", "removed_nearer"),
    ("original", "to_removed"),
    ("gold", "to_removed"),
)
ROLE = {"gold": "", "original": ", original", "gold_other_seed": ", floor"}


def lines(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """The cells of a table: a line a data set and generator, means over the seeds with the 95 % interval."""
    found = []
    for dataset, method in dict.fromkeys((row["dataset"], row["generator"]) for row in rows):
        cells = []
        for role, metric in SHOWN:
            wanted = (dataset, method, role, metric)
            own = [r["value"] for r in rows if (r["dataset"], r["generator"], r["role"], r["metric"]) == wanted]
            cells.append(_cell(own))
        found.append([dataset, method, *cells])
    return found


def table(rows: Sequence[dict[str, Any]]) -> Printed:
    """Lay the rows out."""
    made = Printed("data set", "generator")
    for role, metric in SHOWN:
        made.add_column(f"{metric}{ROLE[role]}".replace("_", "\n"), justify="right")
    for line in lines(rows):
        made.add_row(*line)
    return made


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The same as a Markdown table."""
    names = [f"{metric.replace('_', ' ')}{ROLE[role]}" for role, metric in SHOWN]
    body = [["data set", "generator", *names], ["---", "---", *["---:"] * len(names)], *lines(rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in body)


def _cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, low, high = mean_interval(values)
    return f"{mean:.3f}" + ("" if low != low else f" ± {(high - low) / 2:.3f}")


if __name__ == "__main__":
    raise SystemExit(main())
