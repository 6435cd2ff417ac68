"""``python -m benchmarks.scale --json``: the cost of a small request against the size of the graph.

Lines have the keys ``method edges request seconds peak_mib epoch_seconds`` and what they stand on: ``graph``,
``scope``, ``region`` (nodes), ``arrays_mib`` (CSR and features) and ``resident_mib``. Every graph has a process of its
own. There the arrays are opened, the kernels are warm, and each repeat forgets other edges; ``seconds`` is the median.
``peak_mib`` is the highest resident memory while that ran, above what the process held after its imports; mapped pages
count. ``epoch_seconds`` is one full-batch training epoch of the same model on the same graph, measured afterwards.
``cpu_seconds`` and ``epoch_cpu_seconds`` are the processor's time for the same, which a busy machine stretches less.

Power-law graphs: ten directed edges a node, both ends of an edge drawn with a density that falls as id^-1/2 (degree
exponent 3), 32 features. ``--mapped`` leaves the arrays in their files (for 10^8 edges); ``--tables`` takes a model
that learns a row of 64 numbers a node instead of reading features, and leaves the rows in their file. ``--real`` names
data sets.
``--accuracy`` also trains an original and two golds, unlearns in full and locally, and reports on the forgotten edges
the distance to gold (``js_original js_local js_full``) beside that of the golds to one another (``floor``), how far
local is from full (``js_local_to_full``), and the scores on test edges (``test_original test_local test_full``: AUC; of
a recommender recall@20). Where a method does not apply in full, ``full_refused`` says why, and the rest of it is null.
``d2dgn_calibrated`` asks first whether anything is remembered (here mostly: no); ``d2dgn_calibrated_trained`` trains
whatever the answer, and so does ``d2dgn_calibrated_quick``, without its refresh, with 10 epochs, a linear calibration
and half the reach.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.output import append, kept, lines_of, printed, refused
from benchmarks.pool import THREADS
from benchmarks.scale_cases import METHODS, PAPERS, PIECE, REAL, label, measured
from graphforget.errors import GraphforgetError, InputError, missing_extra, unknown
from graphforget.mapped import write_edges

EDGES = (100_000, 1_000_000, 10_000_000)
DENSITY, WIDTH = 10, 32
KNOWN = f"{' '.join(METHODS)} (all of these by default) {' '.join(PAPERS)}"
Row = dict[str, Any]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--edges", nargs="*", type=int, default=list(EDGES), metavar="E", help="power-law graphs")
    parser.add_argument("--real", nargs="*", default=[], metavar="NAME", help=" ".join(REAL))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="NAME", help=KNOWN)
    parser.add_argument("--request", type=int, default=100, help="edges to forget")
    parser.add_argument("--repeats", type=int, default=5, help="requests, of which the median counts")
    parser.add_argument("--mapped", action="store_true", help="leave the arrays in their files")
    parser.add_argument("--tables", action="store_true", help="a mapped table with a row a node instead of features")
    parser.add_argument("--threads", type=int, default=1, metavar="T")
    parser.add_argument("--no-epoch", action="store_true", help="do not time a training epoch")
    parser.add_argument("--accuracy", action="store_true", help="compare with gold and the full scope (real graphs)")
    parser.add_argument("--folder", type=Path, default=None, metavar="DIR", help="keep the graphs here")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="append the JSON lines here, and go on")
    parser.add_argument("--plot", type=Path, default=None, metavar="FILE", help="draw the lines, log-log")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    parser.add_argument("--child", default=None, help=argparse.SUPPRESS)
    flags = parser.parse_args(argv)
    console = Console(stderr=True)
    try:
        check(flags)
        if flags.child is not None:
            for row in measured(flags, flags.child):
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()
            return 0
        with tempfile.TemporaryDirectory() as scratch:
            rows = list(collected(flags, list(sys.argv[1:] if argv is None else argv), Path(scratch), console))
        if flags.plot is not None:
            plot(rows, flags.plot)
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, table)


def check(flags: argparse.Namespace) -> None:
    """Refuse what cannot be measured.

    Raises:
        InputError: an unknown name, or a number that is too small.
    """
    for kind, given, known in (("method", flags.methods, [*METHODS, *PAPERS]), ("data set", flags.real, REAL)):
        for name in given:
            if name not in known:
                raise unknown(kind, name, known)
    for name, least in (("request", 1), ("repeats", 1), ("threads", 1)):
        if getattr(flags, name) < least:
            raise InputError(f"--{name} must be at least {least} (got {getattr(flags, name)})")
    if flags.tables and flags.real:
        raise InputError(f"--tables is for power-law graphs (got --real {' '.join(flags.real)}); leave one of them out")
    if flags.edges and min(flags.edges) < 20 * flags.request:
        raise InputError(f"--edges must be at least 20 times the request (got {min(flags.edges)})")


def collected(flags: argparse.Namespace, argv: list[str], scratch: Path, console: Console) -> Iterator[Row]:
    """Yield what ``--out`` holds, then what is measured, graph by graph."""
    rows = kept(flags.out)
    yield from rows
    done = {_key(row) for row in rows}
    for name in [*(f"power-law-{edges}" for edges in flags.edges), *flags.real]:
        called = name if name in REAL else label(name, flags)
        if all((called, method, flags.request, flags.threads) in done for method in flags.methods):
            continue
        console.print(called, highlight=False)
        target = name
        if name not in REAL:
            target = str(power_law(int(name.rsplit("-", 1)[1]), flags.folder or scratch))
        for row in in_a_process([*argv, "--child", target], flags.threads):
            if _key(row) in done:
                continue
            append(flags.out, lines_of([row]))
            yield row


def _key(row: Row) -> tuple[str, str, int, int]:
    return row["graph"], row["method"], row["request"], row.get("threads", 1)


def power_law(edges: int, folder: Path) -> Path:
    """Write a power-law graph of about so many directed edges, in pieces, unless it is there."""
    path = folder / f"power-law-{edges}"
    if path.exists():
        return path
    nodes = edges // DENSITY

    def pieces() -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
        draw = np.random.default_rng(0)
        for start in range(0, edges // 2, PIECE):
            uniform = draw.random((2, min(PIECE, edges // 2 - start)))
            yield (nodes * uniform**2).astype(np.int64)

    def rows() -> Iterator[np.ndarray[Any, np.dtype[np.float32]]]:
        draw = np.random.default_rng(1)
        for start in range(0, nodes, PIECE):
            yield draw.standard_normal((min(PIECE, nodes - start), WIDTH), dtype=np.float32)

    folder.mkdir(parents=True, exist_ok=True)
    return write_edges(pieces, (nodes, nodes), path, features={"x": (WIDTH, rows)})


def in_a_process(argv: Sequence[str], threads: int) -> Iterator[Row]:
    """Measure one graph in a process of its own, and yield its rows as they come."""
    command = [sys.executable, "-m", "benchmarks.scale", *argv]
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads))}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            if line.startswith("{"):  # libraries print too
                yield json.loads(line)
    if child.returncode:
        raise InputError(f"the measurement failed (exit status {child.returncode}); see above")


def table(rows: Sequence[Row]) -> Table:
    """Render the rows."""
    names = ("graph", "method", "edges", "seconds", "epoch_seconds", "peak_mib", "arrays_mib", "scope", "region")
    made = Table(title="a small request against the size of the graph")
    for name in names:
        made.add_column(name, justify="left" if name in ("graph", "method", "scope") else "right")
    for row in rows:
        made.add_row(*(f"{row[name]:.3g}" if isinstance(row[name], float) else str(row[name]) for name in names))
    return made


def markdown(rows: Sequence[Row]) -> str:
    """The same as Markdown: every graph and method; then, of real graphs, the distance to gold, local and in full."""
    lines = [
        "| graph | directed edges | method | seconds | an epoch costs | peak | its arrays | region |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: (not row["graph"].startswith("power-law"), row["edges"], row["graph"])):
        epoch = "" if row["epoch_seconds"] is None else f"{row['epoch_seconds'] / row['seconds']:.3g}x"
        region = f"{row['region']:,} nodes" if row["region"] else ""
        graph = row["graph"] + (f", {row['threads']} threads" if row.get("threads", 1) > 1 else "")
        cells = (f"{row['seconds']:.2g} s", epoch, f"{row['peak_mib']:.0f} MiB", f"{row['arrays_mib']:.0f} MiB", region)
        lines.append(f"| {graph} | {row['edges']:,} | {row['method']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| graph | method | JS to gold: original | local | full | floor | test: original | local | full | in full |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "floor" in row:
            distances = " | ".join(_cell(row[key], ".2g") for key in ("js_original", "js_local", "js_full", "floor"))
            tests = " | ".join(_cell(row[f"test_{which}"], ".3f") for which in ("original", "local", "full"))
            seconds = "does not apply" if row["full_seconds"] is None else f"{row['full_seconds']:.3g} s"
            lines.append(f"| {row['graph']} | {row['method']} | {distances} | {tests} | {seconds} |")
    return "\n".join(lines)


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw seconds and peak memory of power-law graphs against their edges, log-log.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise missing_extra("matplotlib", "report") from error
    figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    drawn = [row for row in rows if row["graph"].startswith("power-law") and row.get("threads", 1) == 1]
    mine = sorted((row for row in drawn if not row["graph"].endswith("-tables")), key=lambda row: row["edges"])
    for number, method in enumerate(dict.fromkeys(row["method"] for row in mine)):
        for style, ending in (("o-", ""), ("s:", "-mapped")):
            line = [row for row in mine if row["method"] == method and row["graph"].endswith("-mapped") == bool(ending)]
            edges, label = [row["edges"] for row in line], f"{method}{', from files' if ending else ''}"
            for panel, key in zip(panels, ("seconds", "peak_mib"), strict=True):
                if line:
                    panel.plot(edges, [max(row[key], 1e-6) for row in line], style, color=f"C{number}", label=label)
    for panel, key, label in zip(panels, ("epoch_seconds", "arrays_mib"), ("one epoch", "arrays"), strict=True):
        points = sorted({(row["edges"], row[key]) for row in mine if row[key] is not None})
        panel.plot([edges for edges, _ in points], [value for _, value in points], "k--", label=label)
    for panel, key in zip(panels, ("seconds", "peak MiB"), strict=True):
        panel.set(xscale="log", yscale="log", xlabel="directed edges", ylabel=key)
    named = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    raise SystemExit(main())
