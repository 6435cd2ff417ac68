"""``python -m benchmarks.letters``: seven online learners on gestures of letters, beside the published tables.

An encoder of 94,085 parameters is trained on 176 gestures of each vowel (a fifth of them held out), then frozen; its
last layer learns the other 4,146 gestures, vowels and three more letters, one at a time. ``accuracy`` is prequential
(each gesture is predicted before it is learned) on the last 830; ``published`` that of the thesis behind
arXiv:2209.00591, whose encoder and split are its own. ``--lr-scale`` multiplies the published learning
rates, which fit features of about the published norm.

``--data mnist``: a CNN (two convolutions and a pooling, twice; its widths are our default) is trained on digits 0 to 5
that are not in the stream, then its last layer learns 5,000 images of all ten, tested on the last 1,000 of them.
``encoder`` is the frozen network's accuracy on held-out rows of the labels it was trained on.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks import series
from graphforget.continual.data import load_letters, taken
from graphforget.continual.models import encoder, image_encoder
from graphforget.continual.online import RULES, OnlineLayer
from graphforget.errors import InputError
from graphforget.report import Row
from graphforget.samples import Samples, split_rows
from graphforget.train import Recipe, seeded
from graphforget.vision.data import load as load_images
from graphforget.vision.task import ImageClassification

EACH, DIGITS, STREAM = 176, 6, 5000


class Setting(NamedTuple):
    """What the thesis did on a data set, and what it found; a figure a rule, in the order of ``RULES``.

    Args:
        tested: elements at the end of the stream that the accuracy is of.
        rates: learning rates.
        accuracy: of its table.
        milliseconds: a step of the layer, on its microcontroller.
        encoder: accuracy of the frozen network.
        board: the microcontroller.
    """

    tested: int
    rates: tuple[float, ...]
    accuracy: tuple[float, ...]
    milliseconds: tuple[float, ...]
    encoder: float
    board: str


SETTINGS = {
    "letters_accel": Setting(
        830,
        (1e-3, 1e-4, 1e-3, 1e-3, 1e-3, 7e-4, 5e-4),
        (0.8613, 0.8626, 0.8798, 0.8798, 0.8761, 0.8650, 0.8847),
        (0.99, 1.54, 1.03, 1.11, 3.45, 3.26, 2.11),
        0.9683,
        "STM32F401",
    ),
    "mnist": Setting(
        1000,
        (5e-3,) * 7,
        (0.9439, 0.954, 0.9439, 0.9309, 0.952, 0.9499, 0.957),
        (3.02, 3.35, 2.13, 4.24, 4.86, 5.20, 3.32),
        0.9935,
        "OpenMV",
    ),
}
COLUMNS = {
    ("test", "accuracy"): "accuracy",
    ("test", "published"): "published",
    ("all", "kib"): "KiB of the layer",
    ("all", "ms_a_sample"): "ms a gesture, here",
    ("all", "seconds"): "seconds",
}
WIDER = {
    ("test", "accuracy"): "accuracy",
    ("test", "published"): "published",
    ("val", "encoder"): "encoder",
    ("all", "kib"): "KiB of the layer",
    ("all", "ms_a_sample"): "ms a sample, here",
    ("all", "ms_published"): "ms, published, on its board",
    ("all", "seconds"): "seconds",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the learners from the command line; returns the exit status."""
    made = series.parser("letters", __doc__, RULES, tuple(SETTINGS))
    made.add_argument("--k", type=int, default=16, metavar="K", help="batch size of the batch forms and of CWR (16)")
    made.add_argument("--lr-scale", type=float, default=1.0, metavar="F", help="times the published rates (1)")
    flags = made.parse_args(argv)
    return series.ended(flags, lambda: run(flags), WIDER, f"{flags.data}: online learners on a frozen encoder")


def run(flags: Any) -> list[dict[str, Any]]:
    """Every method and seed."""
    series.check(flags, RULES, SETTINGS)
    if not flags.lr_scale > 0:
        raise InputError(f"--lr-scale must be positive (got {flags.lr_scale})")
    keys = {"dataset": flags.data, "k": flags.k, "lr_scale": flags.lr_scale}
    setting = SETTINGS[flags.data]

    def measure(method: str, seed: int) -> series.Runs:
        net, right, x, y = (letters if flags.data == "letters_accel" else digits)(flags.data_root, seed)
        last, place = net[-1], RULES.index(method)
        labels = range(last.out_features)
        layer = OnlineLayer(last.weight.t(), last.bias, labels, method, setting.rates[place] * flags.lr_scale, flags.k)
        figures = streamed(layer, x, y, setting.tested)
        figures |= {("test", "published"): setting.accuracy[place], ("val", "encoder"): right}
        figures["all", "ms_published"] = setting.milliseconds[place]
        return [("unlearned", method, figures)]

    return series.collected(flags, keys, flags.methods, measure)


Prepared = tuple[Any, float, Tensor, Tensor]  # encoder, its accuracy, features [n, d] and labels [n] of the stream


@functools.lru_cache(maxsize=1)
def letters(root: Any, seed: int) -> Prepared:
    """Train the encoder on vowels; the stream is what is left."""
    data = load_letters(root)
    rows, stream = taken(data, EACH, seed)
    with seeded(seed):
        net = encoder()
    right = trained(net, data.view(data.mask_of(rows)), 16, seed)
    with torch.no_grad():
        return net, right, net[:-1](data.x[stream]), data.y[stream]


@functools.lru_cache(maxsize=1)
def digits(root: Any, seed: int) -> Prepared:
    """Train a CNN on digits 0 to 5 that are not in the stream of 5,000 images."""
    data = load_images("mnist", root)
    order = data.rows()[torch.randperm(data.size, generator=torch.Generator().manual_seed(seed))]
    stream, rest = order[:STREAM], order[STREAM:]
    with seeded(seed):
        net = image_encoder(labels=DIGITS)
    right = trained(net, data.view(data.mask_of(rest[data.y[rest] < DIGITS])), 64, seed)
    with torch.no_grad():
        return net, right, net[:-1](data.x[stream]), data.y[stream]


def trained(net: Any, data: Samples, batch_size: int, seed: int) -> float:
    """Train an encoder by Adam for 20 epochs, the best kept; its accuracy on a fifth of the rows, held out."""
    own = split_rows(data, val=0.2, test=0.0, seed=seed)
    recipe = Recipe(epochs=20, patience=20, lr=1e-3, batch_size=batch_size, eval_every=1)
    task = ImageClassification(recipe=recipe)
    task.fit(net, own.train, own.val, seed=seed)
    return task.evaluate(net, own.val, own.val)["accuracy"]


def streamed(layer: OnlineLayer, x: Tensor, y: Tensor, count: int) -> Row:
    """Prequential accuracy on the last ``count`` elements, and what the layer cost."""
    start = time.process_time()
    right = [layer.learn(one, label) == label for one, label in zip(x, y.tolist(), strict=True)]
    spent = time.process_time() - start
    tested = right[-count:]
    return {
        ("test", "accuracy"): sum(tested) / len(tested),
        ("all", "kib"): layer.nbytes / 1024,
        ("all", "ms_a_sample"): 1000 * spent / len(right),
    }


if __name__ == "__main__":
    raise SystemExit(main())
