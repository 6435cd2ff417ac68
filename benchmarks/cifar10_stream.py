"""``python -m benchmarks.cifar10_stream``: classes come and go under a bounded buffer (arXiv:2408.11374).

The classes come in parts; once some parts have come, two of them are forgotten, and then the last part comes. CIFAR-10
and the other images: five parts of two classes, parts 1 and 3 are forgotten before part 4 comes. Cora (``--data cora``,
a graph that grows by the nodes of a class at a time): classes 1 and 3 of seven go before class 6 comes. ``joint`` is
trained by the task's recipe on what is left, all of it at once and to convergence: two of them, the gold and its floor.

Accuracies are means over the classes' own, on test data. ``forgotten`` is that of the forgotten classes at the end,
``at once`` when each request had just been served; chance is one over the number of classes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks import series
from graphforget import catalog, metrics
from graphforget.continual.stream import Continual, Learner
from graphforget.errors import InputError, unknown
from graphforget.forget import ForgetRequest
from graphforget.gnn.data import load_splits as load_graph
from graphforget.gnn.models import MODELS as GNNS
from graphforget.gnn.task import NodeClassification
from graphforget.graph import Graph
from graphforget.report import Row
from graphforget.splits import Splits
from graphforget.task import Batch, Task
from graphforget.train import Recipe, seeded
from graphforget.vision.data import DATASETS
from graphforget.vision.data import load_splits as load_images
from graphforget.vision.models import MODELS, build
from graphforget.vision.task import ImageClassification
from graphforget.whole import whole

METHODS = ("uniclun", "er", "der++", "ewc", "lwf", "only_new")
DATA = ("cifar10", "mnist", "digits_images", "cora")
JOINTS = 2
COLUMNS = {
    ("retain", "accuracy"): "accuracy, retained",
    ("forget", "accuracy"): "forgotten",
    ("forget", "accuracy_at_once"): "forgotten, at once",
    ("retain", "js_to_gold"): "JS to joint, retained",
    ("forget", "js_to_gold"): "JS to joint, forgotten",
    ("all", "held"): "forgotten in the buffer",
    ("all", "seconds"): "seconds",
}


class World(NamedTuple):
    """A data set in parts.

    Args:
        task: how models run.
        splits: train, validation and test.
        parts: labels that come together, in order.
        gone: numbers of the parts that are forgotten before the last one comes.
    """

    task: Task[Any]
    splits: Splits[Any]
    parts: list[list[int]]
    gone: tuple[int, int]

    @property
    def forgotten(self) -> list[int]:
        """The labels that are forgotten."""
        return [label for part in self.gone for label in self.parts[part]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stream from the command line; returns the exit status."""
    made = series.parser("cifar10_stream", __doc__, METHODS, DATA)
    made.add_argument("--model", default=None, metavar="NAME", help=f"{' '.join(MODELS)}; gcn for cora (cnn_small)")
    made.add_argument("--buffer", type=int, default=500, metavar="N", help="elements kept of the past (500)")
    made.add_argument("--epochs", type=int, default=10, metavar="N", help="passes over each part (10)")
    made.add_argument("--lr", type=float, default=None, metavar="LR", help="of SGD (.1), or of Adam for cora (.01)")
    made.add_argument("--joint-epochs", type=int, default=60, metavar="N", help="of the joint model, at most (60)")
    flags = made.parse_args(argv)
    return series.ended(flags, lambda: run(flags), COLUMNS, f"{flags.data}: classes that come and go")


def run(flags: Any) -> list[dict[str, Any]]:
    """Every method and seed; joint first."""
    series.check(flags, METHODS, DATA)
    flags.model = flags.model or ("gcn" if flags.data == "cora" else "cnn_small")
    known = GNNS if flags.data == "cora" else MODELS
    if flags.model not in known:
        raise unknown("model", flags.model, tuple(known))
    flags.lr = flags.lr or (0.01 if flags.data == "cora" else 0.1)
    keys = {"dataset": flags.data, "model": flags.model, "buffer": flags.buffer, "epochs": flags.epochs, "lr": flags.lr}
    keys["joint_epochs"] = flags.joint_epochs

    def measure(method: str, seed: int) -> series.Runs:
        now = world(flags.data, flags.data_root, flags.joint_epochs, seed)
        most = sum(len(part) for part in now.parts[:-1])
        if flags.buffer < most:
            raise InputError(
                f"--buffer must hold an element of each of {most} classes (got buffer={flags.buffer}); give it more"
            )
        joints = [joint(flags, now, seed, k) for k in range(JOINTS)]
        return of_joints(now, joints) if method == "joint" else of_learner(flags, method, now, joints, seed)

    return series.collected(flags, keys, ["joint", *flags.methods], measure)


@lru_cache(maxsize=1)
def world(name: str, root: Path | None, epochs: int, seed: int) -> World:
    """Load a data set and say which labels come when."""
    if name == "cora":
        task: Task[Any] = NodeClassification(recipe=Recipe(epochs=200, patience=30, lr=0.01))
        return World(task, load_graph(name, root=root, task="node", seed=seed), [[k] for k in range(7)], (1, 3))
    task = ImageClassification(recipe=Recipe(epochs=epochs, patience=10, batch_size=128, lr=1e-3, eval_every=1))
    return World(task, load_images(name, root=root, seed=seed), [[2 * k, 2 * k + 1] for k in range(5)], (1, 3))


def blank(flags: Any, now: World, seed: int) -> nn.Module:
    """A never-trained network."""
    with seeded(seed):
        if isinstance(now.splits.train, Graph):
            return GNNS[flags.model](now.splits.train.x.shape[1], 64, len(now.parts))
        card = DATASETS[flags.data]
        return build(flags.model, card.shape, card.classes)


def joint(flags: Any, now: World, seed: int, number: int) -> tuple[nn.Module, Any]:
    """(a model trained on what is left at once, its context); kept in the cache."""
    request = ForgetRequest.of("node_class" if isinstance(now.splits.train, Graph) else "class", now.forgotten)
    context = now.splits.train.partition(request.parts)[1]
    own = 1000 * seed + 100 + number
    model = blank(flags, now, own)
    key = ["joint", flags.data, flags.model, seed, own, asdict(now.task.recipe)]  # type: ignore[arg-type]
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
    path = flags.cache / f"stream-{flags.data}-{flags.model}-{seed}-{name}.safetensors"
    if path.exists():
        model.load_state_dict(load_file(path))
        return model.eval(), context
    held_out = now.splits.val.scrub(request.parts, now.splits.train)
    now.task.fit(model, context, held_out, seed=own)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as part:
        save_file({name: value.detach().clone() for name, value in model.state_dict().items()}, part)
    return model, context


def of_joints(now: World, joints: Sequence[tuple[nn.Module, Any]]) -> series.Runs:
    """The golds' figures, and the distance between them."""
    runs: series.Runs = []
    answers = [answered(now, *each) for each in joints]
    accuracy: dict[tuple[str, str], list[float]] = {}
    for outputs, batch in answers:
        for key, value in accuracies(now, outputs, batch).items():
            accuracy.setdefault(key, []).append(value)
    runs.append(("gold", "joint", {key: sum(values) / len(values) for key, values in accuracy.items()}))
    runs.append(("gold_other_seed", "joint, other seed (floor)", apart(now, answers[0], answers[1:])))
    return runs


def of_learner(flags: Any, method: str, now: World, joints: Sequence[tuple[nn.Module, Any]], seed: int) -> series.Runs:
    """Run the stream with one learner."""
    kind = catalog.learner(method)
    given = {"buffer": flags.buffer, "epochs": flags.epochs, "lr": flags.lr}
    given["optimiser"] = "adam" if flags.data == "cora" else "sgd"
    learner: Learner = kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})
    train = now.splits.train
    pupil = Continual(learner, blank(flags, now, seed), now.task, train, seed=seed)
    at_once = []
    for number, part in enumerate(now.parts):
        if number == len(now.parts) - 1:
            for gone in now.gone:
                forget(pupil, train, now.parts[gone])
                accuracy = by_class(*answered(now, pupil.model, pupil.context))
                at_once += [accuracy[label] for label in now.parts[gone]]
        pupil.learn(arriving(now.splits, part))
    outputs = answered(now, pupil.model, pupil.context)
    figures = accuracies(now, *outputs)
    figures |= apart(now, outputs, [answered(now, *each) for each in joints])
    figures["forget", "accuracy_at_once"] = sum(at_once) / len(at_once)
    figures["all", "held"] = float(pupil.memory.count(pupil.forgotten))
    return [("unlearned", method, figures)]


def arriving(splits: Splits[Any], labels: Sequence[int]) -> Tensor:
    """[n] ids that come with some labels; of a graph the nodes of all views, labelled for training or not."""
    views = splits if isinstance(splits.train, Graph) else (splits.train,)
    found = []
    for view in views:
        own = view.nodes() if isinstance(view, Graph) else view.rows()
        found.append(own[torch.isin(view.y[own], torch.tensor(labels))])
    return torch.cat(found)


def forget(pupil: Continual, train: Any, labels: Sequence[int]) -> None:
    """Ask for some labels to be forgotten."""
    pupil.forget(ForgetRequest.of("node_class" if isinstance(train, Graph) else "class", list(labels)))


def answered(now: World, model: nn.Module, context: Any) -> tuple[Tensor, Batch]:
    """([B, C] outputs on the test elements, the elements)."""
    batch = now.task.elements(context, now.splits.test)
    return now.task.teacher(model, context)(batch), batch


def by_class(outputs: Tensor, batch: Batch) -> dict[int, float]:
    """{label: accuracy on its elements}."""
    right = (outputs.argmax(1) == batch.label).float()
    return {label: float(right[batch.label == label].mean()) for label in batch.label.unique().tolist()}


def accuracies(now: World, outputs: Tensor, batch: Batch) -> Row:
    """Mean accuracy of the retained and of the forgotten classes, and of each class."""
    each = by_class(outputs, batch)
    gone = now.forgotten
    kept = [value for label, value in each.items() if label not in gone]
    found: Row = {("retain", "accuracy"): sum(kept) / len(kept)}
    found["forget", "accuracy"] = sum(each[label] for label in gone) / len(gone)
    return found | {(f"class_{label}", "accuracy"): value for label, value in each.items()}


def apart(now: World, mine: tuple[Tensor, Batch], others: Sequence[tuple[Tensor, Batch]]) -> Row:
    """Mean JS to golds on the test elements of retained and of forgotten classes."""
    if not others:
        raise InputError("a distance needs a gold (got none)")
    outputs, batch = mine
    js = torch.stack([metrics.js(outputs, gold) for gold, _ in others]).mean(0)
    gone = torch.isin(batch.label, torch.tensor(now.forgotten))
    return {("retain", "js_to_gold"): float(js[~gone].mean()), ("forget", "js_to_gold"): float(js[gone].mean())}


if __name__ == "__main__":
    raise SystemExit(main())
