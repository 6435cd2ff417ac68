"""What the deletion workflow costs and how far it drifts, on real data.

    python -m benchmarks.deletion --data ml100k gowalla --out benchmarks/results/deletion.jsonl

*latency*: a single-user request end to end, from its file to its receipt: intake, resolution, unlearning, the new
version on disk, verification without golds. *drift*: one request after the other, compared with golds of all of them,
in units of the golds' own distance. *queue*: requests a second through intake and resolution. *plan*: predicted by
actual seconds of the methods that apply. Each part is a JSON line with the keys ``part data`` and its figures.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.output import append, kept, lines_of, printed, refused
from graphforget.cost import measure
from graphforget.deletion.choose import applicable
from graphforget.deletion.deployment import Deployment, DriftBudget, method_of, task_of
from graphforget.deletion.keys import Key
from graphforget.deletion.plan import calibrate
from graphforget.deletion.receive import receive
from graphforget.deletion.records import Request
from graphforget.deletion.resolve import Resolver, remaining
from graphforget.deletion.run import Work, resolve_received
from graphforget.deletion.service import serve
from graphforget.deletion.sources import Source, load
from graphforget.deletion.store import Store, create
from graphforget.errors import GraphforgetError
from graphforget.evidence import compare
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.train import TrainRecord, seeded
from graphforget.unlearner import Unlearned
from recsys.models.lightgcn import LightGCN

KEY = Key(b"the key of a benchmark, of no one")
PARTS = ("latency", "queue", "plan", "drift")
RECIPE = {"epochs": 30, "patience": 10, "lr": 2e-2, "batch_size": 8192, "eval_every": 5}  # of recsys.demo
BATCH_SIZES = {"gowalla": 65536}  # others as in the recipe
DIM = 32
GOLDS = 3


def deployed(root: Path, name: str, epochs: int, requests: int) -> Store:
    """Train LightGCN on a data set of recommenders and make a store of it."""
    splits, names = load(Source(name, "recommend"))
    users, items = splits.train.size
    with seeded(0):
        model = LightGCN(users, items, dim=DIM)
    deployment = Deployment(
        factory="recsys.models.lightgcn:LightGCN",
        factory_args={"num_users": users, "num_items": items, "dim": DIM},
        task="recommend",
        recipe={**RECIPE, "epochs": epochs, "batch_size": BATCH_SIZES.get(name, RECIPE["batch_size"])},
        golds=0,
        drift=DriftBudget(requests=max(requests, 1) * 2),
        training_epochs=epochs,
    )
    record = TrainRecord()
    model = task_of(deployment).fit(model, splits.train, splits.val, seed=0, record=record)  # type: ignore[assignment]
    return create(root, deployment, model, splits, names, KEY)


def write_users(path: Path, store: Store, rows: list[int]) -> Path:
    """A request file of users."""
    names = store.vocabulary().ids["user"]
    lines = [f"q{row},user,{names[row]}" for row in rows]
    path.write_text("request_id,subject_kind,subject_id\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def active(store: Store, count: int) -> list[int]:
    """Users, spread evenly over how much they have."""
    train = store.head_data().train
    order = torch.bincount(train.edge_index[0], minlength=train.size[0]).argsort(stable=True)
    order = order[torch.bincount(train.edge_index[0], minlength=train.size[0])[order] > 0]
    picked: list[int] = order[torch.linspace(0, len(order) - 1, count).round().long()].tolist()
    return picked


def latency(folder: Path, name: str, epochs: int) -> dict[str, float]:
    """Seconds of a single-user request, and of its parts."""
    store = deployed(folder / "store", name, epochs, 1)
    first, second = active(store, 4)[1:3]
    found = []
    for user in (first, second):  # the first compiles
        file = write_users(folder / "one.csv", store, [user])
        start = time.perf_counter()
        with store.writing():
            receive(store, file)
            served = serve(store)
        found.append((time.perf_counter() - start, served.outcomes[0].seconds))
    store.close()
    (cold, _), (total, method) = found
    return {"first": cold, "seconds": total, "of_that_method": method}


def drift(folder: Path, name: str, epochs: int, count: int) -> dict[str, float]:
    """Distance to gold after requests one by one, and after one batch of them, in units of the golds' own distance."""
    store = deployed(folder / "store", name, epochs, count)
    whole, users = Work.of(store), active(store, count)
    with store.writing():
        receive(store, write_users(folder / "many.csv", store, users))
        served = serve(store, batch_size=1, verify=False)
    split = ForgetSplit.of(whole.splits.train, ForgetRequest.of("user", sorted(users)), whole.splits.val)
    method = method_of(served.outcomes[0].method, {})
    products = {
        "one_by_one": Unlearned(store.model(), split.retain, {}),
        "one_batch": method.unlearn(whole.model, whole.task, split, seed=1),
    }
    golds = [Retrain().unlearn(whole.model, whole.task, split, seed=100 + k) for k in range(GOLDS)]
    report = compare(whole.task, split, whole.splits.test, original=whole.model, golds=golds, unlearned=products)
    store.close()
    found: dict[str, float] = {"requests": count}
    for part in ("forget", "retain"):
        floor = report.value("gold_other_seed", part, "js_to_gold")
        found |= {f"{name}_{part}": report.value("unlearned", part, "js_to_gold", name) / floor for name in products}
        found[f"original_{part}"] = report.value("original", part, "js_to_gold") / floor
    return found


def queue(folder: Path, name: str, count: int) -> dict[str, float]:
    """Requests a second: intake, and resolution."""
    store = deployed(folder / "store", name, 1, 1)
    users, items = store.vocabulary().ids["user"], store.vocabulary().ids["item"]
    ends = store.head_data().train.edge_index[:, :count].T.tolist()
    rows = [f"q{row},interaction,{users[u]},{items[i]}" for row, (u, i) in enumerate(ends)]
    file = folder / "many.csv"
    file.write_text("request_id,subject_kind,src,dst\n" + "\n".join(rows) + "\n", encoding="utf-8")
    with store.writing():
        start = time.perf_counter()
        receive(store, file)
        middle = time.perf_counter()
        resolve_received(store)
        end = time.perf_counter()
    store.close()
    return {"requests": len(rows), "intake": len(rows) / (middle - start), "resolve": len(rows) / (end - middle)}


def plan_error(folder: Path, name: str, epochs: int) -> dict[str, float]:
    """Predicted by actual seconds of each method on a single-user request, and the mean of |log2| of these ratios."""
    store = deployed(folder / "store", name, epochs, 1)
    work = Work.of(store)
    resolver = Resolver(work.splits, store.vocabulary(), KEY)
    request = Request("q", "user", store.vocabulary().ids["user"][active(store, 3)[1]])
    split, _ = remaining(work.splits, resolver.together([("q", request, resolver.one(request))]))
    if split is None:
        return {}
    names = [method for method, why in applicable(work.task, split).items() if not why]
    prices = {price.method: price.seconds for price in calibrate(store, work, split, names, False, 0.0)}
    ratios = {}
    for method in names:
        expected = prices.get(method)
        if expected is None:
            continue
        with measure() as cost:
            method_of(method, {}).unlearn(work.model, work.task, split, seed=0)
        ratios[method] = expected / cost.seconds
    store.close()
    error = sum(abs(math.log2(each)) for each in ratios.values()) / max(len(ratios), 1)
    return {**ratios, "mean_abs_log2": error}


def figures(part: str, name: str, flags: argparse.Namespace) -> dict[str, Any]:
    """One part's figures, measured in a folder that goes again."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if part == "latency":
            return latency(folder, name, flags.epochs)
        if part == "queue":
            return queue(folder, name, flags.queue)
        if part == "plan":
            return plan_error(folder, name, flags.epochs)
        return drift(folder, name, flags.epochs, flags.requests)


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a figure."""
    found = Table("part", "data", "figure", "value")
    for row in rows:
        for name, value in row.items():
            if name not in ("part", "data"):
                found.add_row(row["part"], row["data"], name, f"{value:,.3g}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS, help="what to measure")
    parser.add_argument("--data", nargs="+", default=["ml100k"], help="for the latency; the rest runs on the first")
    parser.add_argument("--epochs", type=int, default=30, help="of the trainings")
    parser.add_argument("--requests", type=int, default=50, help="of the drift")
    parser.add_argument("--queue", type=int, default=10_000, help="requests of the queue")
    parser.add_argument("--out", type=Path, default=None, help="append each part here; what is there is not run again")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of a table")
    flags = parser.parse_args(argv)
    console = Console(stderr=True)
    known = {(row["part"], row["data"]): row for row in kept(flags.out)}
    rows = []
    try:
        for part in flags.parts:
            for name in flags.data if part == "latency" else flags.data[:1]:
                if (part, name) not in known:
                    console.print(f"{part} on {name}", highlight=False)
                    known[part, name] = {"part": part, "data": name, **figures(part, name, flags)}
                    append(flags.out, lines_of([known[part, name]]))
                rows.append(known[part, name])
    except GraphforgetError as error:
        return refused(error)
    return printed(rows, flags.json, table)


if __name__ == "__main__":
    raise SystemExit(main())
