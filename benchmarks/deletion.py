"""What the deletion workflow costs and how far it drifts, on real data.

    python -m benchmarks.deletion --data ml100k gowalla --requests 50 --queue 10000 --json

*latency*: a single-user request end to end, from its file to its receipt: intake, resolution, unlearning, the new
version on disk, verification without golds. *drift*: one request after the other, compared with golds of all of them,
in units of the golds' own distance. *queue*: requests a second through intake and resolution. *plan*: predicted by
actual seconds of the methods that apply.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

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
from graphforget.evidence import compare
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.methods.retrain import Retrain
from graphforget.train import TrainRecord, seeded
from graphforget.unlearner import Unlearned
from recsys.models.lightgcn import LightGCN

KEY = Key(b"the key of a benchmark, of no one")
RECIPE = {"epochs": 30, "patience": 10, "lr": 2e-2, "batch_size": 8192, "eval_every": 5}  # of recsys.demo
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
        recipe={**RECIPE, "epochs": epochs},
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


def plan_error(folder: Path, name: str, epochs: int) -> dict[str, Any]:
    """Predicted by actual seconds of each method on a single-user request; the error is the mean of |log2|."""
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
    return {"predicted_by_actual": ratios, "mean_abs_log2": error}


def main() -> None:
    """Read the flags and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["ml100k"], help="for the latency; the rest runs on the first")
    parser.add_argument("--epochs", type=int, default=30, help="of the trainings")
    parser.add_argument("--requests", type=int, default=50, help="of the drift; 0 leaves it out")
    parser.add_argument("--queue", type=int, default=10_000, help="requests of the queue; 0 leaves it out")
    parser.add_argument("--plan", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--json", action="store_true", help="on one line")
    flags = parser.parse_args()
    found: dict[str, Any] = {"data": flags.data, "threads": torch.get_num_threads(), "latency": {}}
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        for name in ("queue", "drift", "plan", *flags.data):
            (base / name).mkdir()
        for name in flags.data:
            found["latency"][name] = latency(base / name, name, flags.epochs)
        first = flags.data[0]
        if flags.queue:
            found["queue"] = queue(base / "queue", first, flags.queue)
        if flags.plan:
            found["plan"] = plan_error(base / "plan", first, flags.epochs)
        if flags.requests:
            found["drift"] = drift(base / "drift", first, flags.epochs, flags.requests)
    print(json.dumps(found) if flags.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
