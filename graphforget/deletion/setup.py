"""Make a store: from the user's model, weights and data, from a RecBole checkpoint, or from the demo's model."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

from torch import nn

from graphforget.deletion.bridge import data_of, is_recbole, load_run, wrapped
from graphforget.deletion.deployment import (
    Deployment,
    blank_model,
    read_weights,
    sizes_of,
    task_of,
    with_weights,
)
from graphforget.deletion.keys import Key
from graphforget.deletion.sources import Source, load
from graphforget.deletion.store import Store, check_free, create
from graphforget.deletion.vocabulary import Vocabulary
from graphforget.errors import InputError
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.graph import Graph
from graphforget.splits import Splits
from graphforget.task import Task
from graphforget.train import Recipe, TrainRecord, seeded

DEMO_RECIPE = {"epochs": 400, "patience": 150, "lr": 5e-3}  # of graphforget.demo


def deploy(
    root: str | PathLike[str],
    deployment: Deployment,
    weights: str | PathLike[str] | None,
    source: Source | None,
    key: Key,
) -> Store:
    """Make a store of a trained model; model, weights, task and data are tried out together first.

    Args:
        root: a new or empty folder.
        deployment: what is served.
        weights: .safetensors or a ``state_dict``; None for a RecBole checkpoint, which has its own.
        source: of the data; None for a RecBole checkpoint.
        key: the controller's.

    Raises:
        InputError: parts that do not fit together; nothing is written.
    """
    if is_recbole(deployment.factory):
        found = load_run(deployment)
        model, (splits, names) = wrapped(found), data_of(found)
    else:
        model = blank_model(deployment)
        if weights is None or source is None:
            raise InputError("a model needs its weights and its data (got none of one); pass --weights and --data")
        splits, names = load(source)
        model = with_weights(model, read_weights(Path(weights)), str(weights))
    try_out(task_of(deployment, model), model, splits)
    return create(root, deployment, model.eval(), splits, names, key)


def try_out(task: Task[Any], model: nn.Module, splits: Splits[Graph]) -> None:
    """Run the model once on its data, as a request would; raise InputError where they do not fit."""
    graph = splits.train
    first = int(graph.nodes()[0])
    if graph.removed is not None:
        first = int((~graph.removed).nonzero()[0])
    request = ForgetRequest.of("edge", graph.pairs()[:, :1]) if graph.num_edges else ForgetRequest.of("node", [first])
    try:
        split = ForgetSplit.of(graph, request, splits.val)
        if graph.num_edges and type(task).__name__ == "NodeClassification":
            split = ForgetSplit.of(graph, ForgetRequest.of("node", [first]), splits.val)
        task.check(model, split)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"the model does not run on its data (got {type(error).__name__}: {str(error)[:200]}); "
            "check that data and weights belong together"
        ) from error


def deploy_demo(root: str | PathLike[str], key: Key, *, seed: int = 0, say: Callable[[str], None]) -> Store:
    """Train the demo's GCN on scikit-learn's digits and make a store of it; the nodes are called ``image-0`` and so on.

    Args:
        root: a new or empty folder.
        key: the controller's.
        seed: of split and model.
        say: receives a line before the training.
    """
    check_free(root)  # before the training
    splits, _ = load(Source("digits", "link", seed=seed))
    width = int(splits.train.x.shape[1])
    deployment = Deployment(
        factory="graphforget.gnn.models:GCN",
        factory_args={"in_channels": width},
        task="link",
        recipe=dict(DEMO_RECIPE),
        seed=seed,
    )
    names = Vocabulary({"node": tuple(f"image-{row}" for row in range(sizes_of(splits)["node"]))})
    say(f"training the demo's GCN on digits: {splits.train.num_nodes} images, {splits.train.num_edges // 2} edges")
    task, record = task_of(deployment), TrainRecord()
    with seeded(seed):
        blank = blank_model(deployment)
    model = task.fit(blank, splits.train, splits.val, seed=seed, record=record)
    known = {"training_seconds": record.seconds, "training_epochs": epochs_of(record, Recipe(**DEMO_RECIPE))}  # type: ignore[arg-type]
    return create(root, deployment.model_copy(update=known), model, splits, names, key)


def epochs_of(record: TrainRecord, recipe: Recipe) -> int:
    """How many epochs a training took."""
    return record.curve[-1][0] + 1 if record.curve else recipe.epochs
