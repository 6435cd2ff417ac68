"""``python -m benchmarks.letters``: seven online learners on gestures of letters, beside the published table.

An encoder of 94,085 parameters is trained on 176 gestures of each vowel (a fifth of them held out), then frozen; its
last layer learns the other 4,146 gestures, vowels and three more letters, one at a time. ``accuracy`` is prequential
(each gesture is predicted before it is learned) on the last 830; ``published`` that of the thesis behind
arXiv:2209.00591, whose encoder and split are its own. ``--lr-scale`` multiplies the published learning
rates, which fit features of about the published norm.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks import series
from graphforget.continual.data import VOWELS, load_letters, taken
from graphforget.continual.models import encoder
from graphforget.continual.online import RULES, OnlineLayer
from graphforget.errors import InputError
from graphforget.report import Row
from graphforget.samples import split_rows
from graphforget.train import Recipe, seeded
from graphforget.vision.task import ImageClassification

EACH, TESTED = 176, 830
RATES = {  # the published learning rates
    "tinyol": 1e-3, "tinyol_batch": 1e-4, "v2": 1e-3, "v2_batch": 1e-3, "lwf": 1e-3, "lwf_batch": 7e-4, "cwr": 5e-4,
}  # fmt: skip
PUBLISHED = {
    "tinyol": 0.8613, "tinyol_batch": 0.8626, "v2": 0.8798, "v2_batch": 0.8798, "lwf": 0.8761, "lwf_batch": 0.8650,
    "cwr": 0.8847,
}  # fmt: skip
COLUMNS = {
    ("test", "accuracy"): "accuracy",
    ("test", "published"): "published",
    ("all", "kib"): "KiB of the layer",
    ("all", "ms_a_sample"): "ms a gesture, here",
    ("all", "seconds"): "seconds",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the learners from the command line; returns the exit status."""
    made = series.parser("letters", __doc__, RULES, ("letters_accel",))
    made.add_argument("--k", type=int, default=16, metavar="K", help="batch size of the batch forms and of CWR (16)")
    made.add_argument("--lr-scale", type=float, default=1.0, metavar="F", help="times the published rates (1)")
    flags = made.parse_args(argv)
    return series.ended(flags, lambda: run(flags), COLUMNS, "letters: online learners on a frozen encoder")


def run(flags: Any) -> list[dict[str, Any]]:
    """Every method and seed."""
    series.check(flags, RULES, ("letters_accel",))
    if not flags.lr_scale > 0:
        raise InputError(f"--lr-scale must be positive (got {flags.lr_scale})")
    keys = {"dataset": flags.data, "k": flags.k, "lr_scale": flags.lr_scale}

    def measure(method: str, seed: int) -> series.Runs:
        net, x, y = prepared(flags.data_root, seed)
        last = net[-1]
        layer = OnlineLayer(last.weight.t(), last.bias, range(VOWELS), method, RATES[method] * flags.lr_scale, flags.k)
        return [("unlearned", method, streamed(layer, x, y) | {("test", "published"): PUBLISHED[method]})]

    return series.collected(flags, keys, flags.methods, measure)


@functools.lru_cache(maxsize=1)
def prepared(root: Any, seed: int) -> tuple[Any, Tensor, Tensor]:
    """(the encoder, [n, 128] features of the stream, [n] labels)."""
    data = load_letters(root)
    rows, stream = taken(data, EACH, seed)
    own = split_rows(data.view(data.mask_of(rows)), val=0.2, test=0.0, seed=seed)
    task = ImageClassification(recipe=Recipe(epochs=20, patience=20, lr=1e-3, batch_size=16, eval_every=1))
    with seeded(seed):
        net = encoder()
    task.fit(net, own.train, own.val, seed=seed)
    with torch.no_grad():
        return net, net[:-1](data.x[stream]), data.y[stream]


def streamed(layer: OnlineLayer, x: Tensor, y: Tensor) -> Row:
    """Prequential accuracy on the last gestures, and what the layer cost."""
    start = time.process_time()
    right = [layer.learn(one, label) == label for one, label in zip(x, y.tolist(), strict=True)]
    spent = time.process_time() - start
    tested = right[-TESTED:]
    return {
        ("test", "accuracy"): sum(tested) / len(tested),
        ("all", "kib"): layer.nbytes / 1024,
        ("all", "ms_a_sample"): 1000 * spent / len(right),
    }


if __name__ == "__main__":
    raise SystemExit(main())
