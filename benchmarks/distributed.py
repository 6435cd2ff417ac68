"""``python -m benchmarks.distributed --json``: several processes against one, on the same batches of the same data.

Lines have the keys ``domain processes elements epochs seconds cpu_s one_seconds one_cpu_s ratio cpu_ratio difference``.
``ratio`` is the throughput of the processes over that of one, by the clock; ``cpu_ratio`` the same by the processor
time of the busiest process: what the clock would say if every process had a core to itself (waiting for messages costs
no processor time). ``difference`` is the largest absolute difference of any weight after the training. The data are
random, of a fixed seed; each process computes on one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.output import append, lines_of, plain, printed, refused
from benchmarks.pool import one_thread
from graphforget.errors import GraphforgetError, InputError, unknown
from graphforget.gnn.models import GraphSAGE
from graphforget.gnn.task import LinkPrediction, NodeClassification
from graphforget.graph import Graph
from graphforget.parallel import workers
from graphforget.task import Task
from graphforget.train import Recipe, descend, seeded
from recsys.models.lightgcn import LightGCN
from recsys.task import Recommendation

CHILD = "GRAPHFORGET_BENCHMARK_FOLDER"
FAN_OUTS, WIDTH, CLASSES = (10, 5), 128, 16
Case = tuple[Task[Graph], nn.Module, Graph]


def _graph(nodes: int) -> Graph:
    rng = torch.Generator().manual_seed(0)
    pairs = torch.randint(nodes, (2, 10 * nodes), generator=rng)
    pairs = pairs[:, pairs[0] != pairs[1]]
    y = torch.randint(CLASSES, (nodes,), generator=rng)
    return Graph.from_edges(pairs, nodes, features={"x": torch.randn(nodes, WIDTH, generator=rng)}, y=y)


def link(nodes: int) -> Case:
    """GraphSAGE on sampled neighbourhoods, edges against non-edges."""
    task = LinkPrediction(Recipe(batch_size=8192), fan_outs=FAN_OUTS)
    return task, GraphSAGE(WIDTH, WIDTH, 64), _graph(nodes)


def node(nodes: int) -> Case:
    """GraphSAGE on sampled neighbourhoods, labels of nodes."""
    task = NodeClassification(Recipe(batch_size=2048), fan_outs=FAN_OUTS)
    return task, GraphSAGE(WIDTH, WIDTH, CLASSES), _graph(nodes)


def recommender(nodes: int) -> Case:
    """LightGCN, a third of the nodes items, twenty interactions a user."""
    rng, items = torch.Generator().manual_seed(0), nodes // 3
    users = nodes - items
    pairs = torch.stack([torch.arange(users).repeat(20), torch.randint(items, (20 * users,), generator=rng)])
    graph = Graph(pairs.unique(dim=1), (users, items), bipartite=True)
    return Recommendation(Recipe(batch_size=8192)), LightGCN(users, items), graph


DOMAINS: Mapping[str, Callable[[int], Case]] = {"link": link, "node": node, "recommender": recommender}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distributed", description=__doc__)
    parser.add_argument("--domains", nargs="+", default=list(DOMAINS), metavar="NAME", help=" ".join(DOMAINS))
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="processes beside one")
    parser.add_argument("--nodes", type=int, default=10_000, help="size of the random graphs")
    parser.add_argument("--epochs", type=int, default=2, help="epochs that are timed, after one that warms")
    parser.add_argument("--out", type=Path, default=None, metavar="FILE", help="append the JSON lines here")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    flags = parser.parse_args(argv)
    if CHILD in os.environ:
        train(flags, Path(os.environ[CHILD]))
        return 0
    try:
        check(flags)
        rows = list(compared(flags, list(sys.argv[1:] if argv is None else argv)))
    except GraphforgetError as error:
        return refused(error)
    append(flags.out, lines_of(rows))
    return printed(rows, flags.json, partial(plain, "several processes against one", name="domain"))


def check(flags: argparse.Namespace) -> None:
    """Refuse what cannot be measured.

    Raises:
        InputError: an unknown domain, or a number that is too small.
    """
    for name in flags.domains:
        if name not in DOMAINS:
            raise unknown("domain", name, DOMAINS)
    for name, least in (("processes", 2), ("nodes", 100), ("epochs", 1)):
        if getattr(flags, name) < least:
            raise InputError(f"--{name} must be at least {least} (got {getattr(flags, name)})")


def train(flags: argparse.Namespace, folder: Path) -> None:
    """Train every domain as one of the processes, and leave times and weights in a folder."""
    torch.set_num_threads(1)
    with workers("gloo") as group:
        for name in flags.domains:
            with seeded(0) as rng:
                task, model, graph = DOMAINS[name](flags.nodes)
                _epochs(task, model, graph, rng, 1)
                begun, cpu = time.perf_counter(), time.process_time()
                elements = _epochs(task, model, graph, rng, flags.epochs)
                spent = {"seconds": time.perf_counter() - begun, "cpu_s": time.process_time() - cpu}
            note = {"elements": elements // flags.epochs, **spent}
            (folder / f"{name}-{group.size}-{group.rank}.json").write_text(json.dumps(note), encoding="utf-8")
            if group.first:
                save_file(model.state_dict(), folder / f"{name}-{group.size}.safetensors")


def _epochs(task: Task[Graph], model: nn.Module, graph: Graph, rng: torch.Generator, epochs: int) -> int:
    """Train, and return the number of elements that were asked."""
    seen = 0

    def steps(epoch: int) -> Iterator[Tensor]:
        nonlocal seen
        for batch in task.batches(graph, graph, rng):
            seen += batch.size
            yield task.loss(model, graph, batch)

    descend(model, steps, epochs=epochs, lr=1e-3)
    return seen


def compared(flags: argparse.Namespace, argv: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Run one process, then several, and yield a row a domain.

    Raises:
        InputError: a training failed.
    """
    with tempfile.TemporaryDirectory() as made, one_thread():
        folder = Path(made)
        for count in (1, flags.processes):
            command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
            command += ["-m", "benchmarks.distributed", *argv]
            done = subprocess.run(command, env={**os.environ, CHILD: made}, stdout=sys.stderr, check=False)
            if done.returncode:
                raise InputError(f"the training with {count} processes failed (exit status {done.returncode})")
        for name in flags.domains:
            yield row(name, folder, flags)


def row(name: str, folder: Path, flags: argparse.Namespace) -> dict[str, Any]:
    """Compare what the trainings of a domain have left."""
    notes = {
        count: [json.loads((folder / f"{name}-{count}-{rank}.json").read_text("utf-8")) for rank in range(count)]
        for count in (1, flags.processes)
    }
    alone = notes[1][0]
    seconds, cpu = (max(note[key] for note in notes[flags.processes]) for key in ("seconds", "cpu_s"))
    one, many = (load_file(folder / f"{name}-{count}.safetensors") for count in (1, flags.processes))
    return {
        "domain": name,
        "processes": flags.processes,
        "elements": alone["elements"],
        "epochs": flags.epochs,
        "seconds": seconds,
        "cpu_s": cpu,
        "one_seconds": alone["seconds"],
        "one_cpu_s": alone["cpu_s"],
        "ratio": alone["seconds"] / seconds,
        "cpu_ratio": alone["cpu_s"] / cpu,
        "difference": max(float((value - many[key]).abs().max()) for key, value in one.items()),
    }


if __name__ == "__main__":
    raise SystemExit(main())
