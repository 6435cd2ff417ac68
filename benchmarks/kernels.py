"""``python -m benchmarks.kernels --json``: each kernel beside its peers, on the same input, in one run.

Lines have the keys ``kernel peer size threads ours_s peer_s ratio``; seconds are medians of ``--repeats`` turns, warm,
and the ratio is the peer's over ours. Every number of threads has a process of its own, since most libraries read it
when they are loaded. With ``--out`` a line is appended as soon as it is measured, and what is there is not measured
again. A peer that is not installed (implicit, torch-sparse, pyg-lib) has no line. ``--plot`` draws what was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numba
import torch
from rich.console import Console
from rich.table import Table

from benchmarks import kernel_graphs, kernel_recsys
from benchmarks.output import append, kept, lines_of, printed, refused
from benchmarks.pairing import Pair, Row, measure
from graphforget.errors import GraphforgetError, InputError, missing_extra, unknown

EDGES = (100_000, 1_000_000, 10_000_000)
INTERACTIONS = tuple(kernel_recsys.SHAPES)
KNOWN = (*kernel_graphs.CASES, *kernel_recsys.CASES)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
CHILD = "GRAPHFORGET_BENCHMARK_THREADS"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.add_argument("--kernels", nargs="+", default=list(KNOWN), metavar="NAME", help=" ".join(KNOWN))
    parser.add_argument("--edges", nargs="*", type=int, default=list(EDGES), metavar="E", help="sizes of the graphs")
    parser.add_argument("--interactions", nargs="*", type=int, default=list(INTERACTIONS), metavar="E")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], metavar="T")
    parser.add_argument("--repeats", type=int, default=7, help="turns of a pair, of which the median counts")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="append the JSON lines here, and go on")
    parser.add_argument("--plot", type=Path, default=None, metavar="FILE", help="draw the lines, log-log")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    flags = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        check(flags)
        if CHILD in os.environ:
            for row in measured(flags, int(os.environ[CHILD]), console):
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()
            return 0
        rows = kept(flags.out)
        for threads in flags.threads:
            for row in in_a_process(list(sys.argv[1:] if argv is None else argv), threads):
                rows.append(row)
                append(flags.out, lines_of([row]))
        if flags.plot is not None:
            plot(rows, flags.plot)
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, table)


def check(flags: argparse.Namespace) -> None:
    """Refuse what cannot be measured.

    Raises:
        InputError: an unknown kernel, or a number that is too small.
    """
    for name in flags.kernels:
        if name not in KNOWN:
            raise unknown("kernel", name, KNOWN)
    for name, least in (("edges", 100), ("interactions", 5_000), ("threads", 1)):
        if any(value < least for value in getattr(flags, name)):
            raise InputError(f"--{name} must be at least {least} (got {min(getattr(flags, name))})")
    if flags.repeats < 1:
        raise InputError(f"--repeats must be at least 1 (got {flags.repeats})")


def in_a_process(argv: Sequence[str], threads: int) -> Iterator[Row]:
    """Measure on so many threads in a process of its own, and yield its rows as they come."""
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), CHILD: str(threads)}
    command = [sys.executable, "-m", "benchmarks.kernels", *argv]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith("{"):  # libraries print too
                yield json.loads(line)
    if child.returncode:
        raise InputError(f"the measurement on {threads} threads failed (exit status {child.returncode}); see above")


def measured(flags: argparse.Namespace, threads: int, console: Console) -> Iterator[Row]:
    """Yield a row for each pair that is asked for and not in ``--out``."""
    torch.set_num_threads(threads)
    numba.set_num_threads(threads)
    done = {tuple(row[name] for name in ("kernel", "peer", "size", "threads")) for row in kept(flags.out)}
    for pair in pairs(flags):
        if (pair.kernel, pair.peer, pair.size, threads) not in done:
            console.print(f"{pair.kernel} {pair.peer} {pair.size:,} on {threads}", highlight=False)
            yield measure(pair, threads, flags.repeats)


def pairs(flags: argparse.Namespace) -> Iterator[Pair]:
    """Yield what is asked for, size by size."""
    for size in flags.edges if set(flags.kernels) & set(kernel_graphs.CASES) else ():
        graph = kernel_graphs.Random(size)
        for name in flags.kernels:
            if name in kernel_graphs.CASES:
                yield from kernel_graphs.CASES[name](graph)
    for size in flags.interactions if set(flags.kernels) & set(kernel_recsys.CASES) else ():
        data = kernel_recsys.Skewed(size)
        for name in flags.kernels:
            if name in kernel_recsys.CASES:
                yield from kernel_recsys.CASES[name](data)


def table(rows: Sequence[Row]) -> Table:
    """Render the rows."""
    made = Table(title="kernels and peers: median seconds; the ratio is the peer's over ours")
    for name in ("kernel", "peer", "size", "threads", "ours_s", "peer_s", "ratio"):
        made.add_column(name, justify="left" if name in ("kernel", "peer") else "right")
    for row in rows:
        numbers = (f"{row['ours_s']:.3g}", f"{row['peer_s']:.3g}", f"{row['ratio']:.3g}")
        made.add_row(row["kernel"], row["peer"], f"{row['size']:,}", str(row["threads"]), *numbers)
    return made


def largest(rows: Sequence[Row]) -> list[Row]:
    """The rows of each kernel's largest input."""
    top: dict[str, int] = {}
    for row in rows:
        top[row["kernel"]] = max(row["size"], top.get(row["kernel"], 0))
    return [row for row in rows if row["size"] == top[row["kernel"]]]


def markdown(rows: Sequence[Row]) -> str:
    """The same as Markdown: a line a pair and size, a column a number of threads."""
    counts = sorted({row["threads"] for row in rows})
    found = {(row["kernel"], row["peer"], row["size"], row["threads"]): row for row in rows}
    heads = "".join(f" ours, {count} thread{'s' * (count > 1)} | peer | ratio |" for count in counts)
    lines = [f"| kernel | peer | size |{heads}", "|---|---|---|" + "---|" * 3 * len(counts)]
    order = list(dict.fromkeys(key[:2] for key in found))
    for kernel, peer, size in sorted({key[:3] for key in found}, key=lambda key: (order.index(key[:2]), key[2])):
        cells = ""
        for count in counts:
            row = found.get((kernel, peer, size, count))
            cells += f" {row['ours_s']:.3g} s | {row['peer_s']:.3g} s | {row['ratio']:.3g}x |" if row else " | | |"
        lines.append(f"| {kernel} | {peer} | {size:,} |{cells}")
    return "\n".join(lines)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw seconds against size, log-log, a panel a kernel; full lines are ours, dashed ones the peers'.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
        from matplotlib.ticker import NullFormatter
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    names = list(dict.fromkeys(row["kernel"] for row in rows))
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    figure, panels = plt.subplots(
        lines, columns, figsize=(3.6 * columns, 3 * lines), squeeze=False, layout="constrained"
    )
    for panel, name in zip(panels.flat, names, strict=False):
        mine = [row for row in rows if row["kernel"] == name]
        for number, peer in enumerate(dict.fromkeys(row["peer"] for row in mine)):
            for threads in sorted({row["threads"] for row in mine}):
                line = sorted(
                    (row["size"], row["peer_s"]) for row in mine if (row["peer"], row["threads"]) == (peer, threads)
                )
                style = {"color": f"C{number + 1}", "marker": "o" if threads == 1 else "s", "markersize": 4}
                panel.plot(*zip(*line, strict=True), "--", label=f"{peer}, {threads}", **style)
        for threads in sorted({row["threads"] for row in mine}):
            line = sorted({row["size"]: row["ours_s"] for row in mine if row["threads"] == threads}.items())
            style = {"color": "C0", "marker": "o" if threads == 1 else "s", "markersize": 4}
            panel.plot(*zip(*line, strict=True), "-", label=f"ours, {threads}", **style)
        panel.set(xscale="log", yscale="log", title=name, xlabel="size", ylabel="seconds")
        panel.xaxis.set_minor_formatter(NullFormatter())  # under a decade their labels lie on one another
        panel.legend(fontsize=6)
    for panel in list(panels.flat)[len(names) :]:
        panel.set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
