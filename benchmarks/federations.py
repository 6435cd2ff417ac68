"""The federated part of the benchmarks: image classifiers whose training data lie with clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from benchmarks.arguments import PARTITIONS
from benchmarks.cell import Cell
from benchmarks.domains import Asked, Domain, Drawn
from graphforget.errors import InputError
from graphforget.federated import clients, selectors
from graphforget.federated.clients import Clients
from graphforget.federated.history import History
from graphforget.federated.metrics import Attack, backdoor_success, membership_accuracy, teach
from graphforget.federated.rounds import Rounds
from graphforget.report import Row
from graphforget.splits import Splits
from graphforget.unlearner import Unlearned
from graphforget.vision import data
from graphforget.vision.models import MODELS, build
from graphforget.vision.task import ImageClassification

PREFIX = "federated_"
CLIENTS, ALPHA, TARGET = 10, 0.5, 0


def load(cell: Cell, root: Path | None) -> Splits[Clients[Any]]:
    """Load the cell's images, and deal the training rows out to clients, both by its seed."""
    splits = data.load_splits(cell.dataset.removeprefix(PREFIX), root=root, seed=cell.seed)
    rows, y, number = splits.train.rows(), splits.train.y, cell.clients or CLIENTS
    how = cell.partition or PARTITIONS[0]
    if how == "iid":
        ids = clients.iid(rows, number, seed=cell.seed)
    elif how == "shards":
        ids = clients.shards(rows, y, number, seed=cell.seed)
    else:
        ids = clients.dirichlet(rows, y, number, alpha=ALPHA, seed=cell.seed)
    return Splits(*(Clients(part, "sample", ids) for part in splits))


def draw(cell: Cell, splits: Splits[Clients[Any]]) -> Drawn:
    """Draw the cell's request; in the pool ``backdoor`` the leaving client has planted one."""
    request = selectors.draw(splits, cell.kind, ratio=cell.ratio, count=cell.count, seed=cell.seed)
    if cell.pool != "backdoor":
        return Drawn(splits, request)
    if cell.kind != "client":
        raise InputError(f"the pool backdoor is for --kind client (got {cell.kind}); it has random")
    client = int(request.parts["client"][0])
    return Drawn(selectors.plant_backdoor(splits, client, target=TARGET, seed=cell.seed), request, TARGET)


def blank(cell: Cell, splits: Splits[Clients[Any]], root: Path | None) -> nn.Module:
    """Build a never-trained network for the images' shape."""
    card = data.DATASETS[cell.dataset.removeprefix(PREFIX)]
    return build(cell.model, card.shape, card.classes)


def shape(cell: Cell) -> Any:
    """How the data are dealt out decides the rounds."""
    return [cell.clients or CLIENTS, cell.partition or PARTITIONS[0]]


_TAUGHT: WeakKeyDictionary[Any, Attack] = WeakKeyDictionary()


def more(asked: Asked, result: Unlearned) -> Row:
    """FedEraser's membership attack, and the success of the backdoor where there is one."""
    task, split, test = asked.task, asked.split, asked.test
    if split not in _TAUGHT:
        _TAUGHT[split] = teach(task, asked.original(), split.data, test)
    found = {("all", "mia_accuracy"): membership_accuracy(_TAUGHT[split], task, result.model, split.forget, test)}
    if asked.target is not None:
        found["test", "backdoor"] = backdoor_success(task, result.model, test, asked.target)
    return found


def _domain(model: str, recipe: Rounds) -> Domain:
    return Domain(
        subject="a federated image classifier",
        tasks={"federated": "client"},
        kinds=selectors.KINDS,
        pools=("random", "backdoor"),
        models=tuple(MODELS),
        model=model,
        methods=(
            "retrain", "finetune", "gradient_ascent", "conda", "conda_released", "fed_eraser", "pga", "fedaf",
            "d2dgn", "d2dgn_calibrated",
        ),
        ratio=50.0,
        recipes={"federated": recipe},
        load=load,
        draw=draw,
        build=blank,
        shape=shape,
        fields={
            "finetune": {"lr": 1e-3, "epochs": 5},
            "gradient_ascent": {"lr": 1e-4},
            "d2dgn": {"epochs": 10},
            "d2dgn_calibrated": {"refresh": 5, "refresh_lr": 1e-3, "epochs": 5, "lr": 1e-3},
        },
        flags=("partition", "clients"),
        counts={"client": 1, "class": 1},
        task_with={"inner": ImageClassification()},
        flops=False,
        more=more,
        recall=lambda path: {"history": History.load(path)},
    )  # fmt: skip


DIGITS = _domain("mlp", Rounds(epochs=40, local_epochs=2, eval_every=10, keep="updates"))
IMAGES = _domain("cnn_small", Rounds(epochs=20, lr=3e-3, batch_size=64, keep="updates"))
FEDERATIONS = {
    f"{PREFIX}digits_images": DIGITS,
    **{f"{PREFIX}{name}": IMAGES for name in ("mnist", "notmnist", "cifar10")},
}
