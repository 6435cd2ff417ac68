"""``python -m benchmarks.limits --json``: what memory alone would take, where a kernel misses an aim or trails a peer.

Lines have the keys ``kernel size bytes lines gb_s lines_s limit_s ours_s share``. ``bytes`` are read or written in
order, ``lines`` are cache lines (64 bytes) at places that cannot be foreseen; each is divided by what this machine does
of it at best on one thread (the fastest of many short turns, so that a busy machine does not count): ``limit_s``.
``ours_s`` is the measured time on one thread from ``--results``, and ``share`` the part of it that the limit explains.

*k_hop_n*: the row's bounds and the ids of every node that is expanded, and again of every node found: three lines each.
*propagation*: two layers forward and backward, four products; each reads an id, a value and a row of 64 numbers an
entry and writes a row a node. *evaluation*: what the ranking adds to the matrix product: it reads all scores once.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from benchmarks import kernel_graphs
from benchmarks.kernel_recsys import DIM, LAYERS, RANKED, SHAPES
from benchmarks.output import plain, printed, refused
from graphforget import kernels
from graphforget.errors import GraphforgetError, InputError

Row = dict[str, Any]
LINE, TURNS = 64, 40
RESULTS = Path(__file__).parent / "results" / "kernels.jsonl"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE", help="lines of benchmarks.kernels")
    parser.add_argument("--edges", type=int, default=10_000_000, metavar="E", help="size of the k-hop's graph")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    flags = parser.parse_args(argv)
    try:
        if not flags.results.is_file():
            raise InputError(f"{flags.results} is no file; run python -m benchmarks.kernels --out {flags.results}")
        rows = list(limits([json.loads(line) for line in flags.results.open(encoding="utf-8")], flags.edges))
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, partial(plain, "what memory alone would take", name="kernel"))


def limits(measured: Sequence[Row], edges: int) -> Iterator[Row]:
    """Yield a row for each kernel and size that was measured on one thread."""
    times = {(row["kernel"], row["size"]): row["ours_s"] for row in measured if row["threads"] == 1}
    gb_s, lines_s = in_order(), at_random()
    graph = kernel_graphs.Random(edges)
    for kernel, size in sorted(times):
        moved, lines = 0, 0
        if kernel.startswith("k_hop_") and size == len(graph.csr[1]):
            lines = 3 * visited(graph, int(kernel.rpartition("_")[2]))
        elif kernel == "propagation" and size in SHAPES:
            moved = 2 * LAYERS * (2 * size * (8 + 4 + 4 * DIM) + sum(SHAPES[size]) * 4 * DIM)
        elif kernel == "evaluation":
            moved = 4 * RANKED * size
        if moved or lines:
            limit, ours = moved / gb_s / 1e9 + lines / lines_s, times[kernel, size]
            yield {
                "kernel": kernel,
                "size": size,
                "bytes": moved,
                "lines": lines,
                "gb_s": gb_s,
                "lines_s": lines_s,
                "limit_s": limit,
                "ours_s": ours,
                "share": limit / ours,
            }


def visited(graph: kernel_graphs.Random, seeds: int) -> int:
    """Rows that a 2-hop walk from some seeds and the edges among what it finds read."""
    distance = kernels.k_hop_distance(*graph.csr, graph.nodes(seeds, 1), 2)
    return int((distance >= 0).sum() + ((distance >= 0) & (distance < 2)).sum())


def in_order(size: int = 2**25) -> float:
    """Gigabytes a second that one thread reads in order."""
    array = np.ones(size // 8)
    return size / 1e9 / fastest(lambda: _sum(array))


def at_random(size: int = 2**27, count: int = 400_000) -> float:
    """Cache lines a second that one thread reads at random places, which it knows in advance."""
    array = np.ones(size // 8)
    places = np.random.default_rng(0).integers(0, size // 8, count)
    return count / fastest(lambda: _gather(array, places))


def fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of many turns, after one that compiles."""
    work()
    found = []
    for _ in range(TURNS):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return min(found)


@njit(cache=True)
def _sum(array: npt.NDArray[np.float64]) -> float:
    a = b = c = d = 0.0
    for i in range(0, len(array), 4):  # four sums: one would wait for itself
        a += array[i]
        b += array[i + 1]
        c += array[i + 2]
        d += array[i + 3]
    return a + b + c + d


@njit(cache=True)
def _gather(array: npt.NDArray[np.float64], places: npt.NDArray[np.int64]) -> float:
    total = 0.0
    for place in places:
        total += array[place]
    return total


if __name__ == "__main__":
    raise SystemExit(main())
