"""``python -m benchmarks.clinc``: few-shot intents with retrieval (RAML, arXiv:2309.04979), and classes that go.

Classes, not texts, are split: an encoder of 0.2 million parameters first learns to tell the training classes apart
(ours, in place of published weights), then is meta-trained on them in 5-way 5-shot episodes; the weights that are best
on the validation classes are kept, and the test classes are asked about in 5-way episodes of 1 and 5 shots. Passages
are texts of the training classes. ``floor`` is TF-IDF with a logistic regression on the support; chance is .2.
``raml_without`` has the passages of other queries: what retrieval is worth.

Then a memory of all test classes, 5 texts each, forgets one class: its texts leave memory and retrieval
(``in_memory``), no query is given its name any more (``named_after``), and the answers are those of a memory built
without it (``to_rebuilt``, the largest difference of a logit). The encoder never saw the test classes: exact.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmarks import series
from graphforget.fewshot import meta
from graphforget.fewshot.data import DATASETS, Texts, cut, load
from graphforget.fewshot.library import Library
from graphforget.fewshot.memory import EXACT, Memory
from graphforget.fewshot.meta import Episodes, Shape
from graphforget.fewshot.raml import RAML, build
from graphforget.fewshot.retriever import Retriever
from graphforget.forget import ForgetRequest
from graphforget.report import Row
from graphforget.vocabulary import train_tokenizer

METHODS = ("raml", "raml_without", "floor")
SHOTS = (1, 5)
PASSAGES = 20  # of each training class; our default
VOCABULARY = 2000
WARM = 4  # passes over the training classes before the episodes; ours
QUERIES = 3  # of a class in a training episode; as published 5
COLUMNS = {
    ("test", "accuracy_1_shot"): "5-way 1-shot",
    ("test", "accuracy_5_shot"): "5-way 5-shot",
    ("forget", "in_memory"): "texts of a deleted class",
    ("forget", "named_before"): "named before",
    ("forget", "named_after"): "after",
    ("retain", "to_rebuilt"): "largest difference to rebuilt",
    ("all", "seconds"): "seconds",
}


class World(NamedTuple):
    """Classes in three parts, passages, and a tokenizer of the training classes."""

    train: Texts
    val: Texts
    test: Texts
    passages: Texts
    tokenizer: Any


def main(argv: Sequence[str] | None = None) -> int:
    """Run the episodes from the command line; returns the exit status."""
    made = series.parser("clinc", __doc__, METHODS, tuple(DATASETS))
    made.add_argument("--epochs", type=int, default=12, metavar="N", help="of 50 episodes each (12)")
    made.add_argument("--views", type=int, default=2, metavar="N", help="passages a query (2; as published 5)")
    made.add_argument("--episodes", type=int, default=100, metavar="N", help="of a test (100)")
    flags = made.parse_args(argv)
    return series.ended(flags, lambda: run(flags), COLUMNS, f"{flags.data}: few-shot intents")


def run(flags: Any) -> list[dict[str, Any]]:
    """Every method and seed."""
    series.check(flags, METHODS, DATASETS)
    keys = {"dataset": flags.data, "epochs": flags.epochs, "views": flags.views, "episodes": flags.episodes}

    def measure(method: str, seed: int) -> series.Runs:
        now = world(flags.data, flags.data_root, seed)
        if method == "floor":
            return [("unlearned", "floor: TF-IDF, linear", floor(flags, now, seed))]
        net = trained(flags.data, flags.data_root, seed, flags.epochs, flags.views)
        figures = tested(flags, now, net, seed, shuffled=method == "raml_without")
        if method == "raml":
            figures |= deleted(flags, now, net, seed)
        return [("unlearned", method, figures)]

    return series.collected(flags, keys, flags.methods, measure)


@functools.lru_cache(maxsize=1)
def world(name: str, root: Path | None, seed: int) -> World:
    """Split the classes, choose passages, train a tokenizer."""
    train, val, test = cut(load(name, root), DATASETS[name].cut, seed)
    rows = torch.cat([(train.y == label).nonzero().flatten()[:PASSAGES] for label in train.y.unique()])
    passages = Texts(tuple(train.texts[row] for row in rows.tolist()), train.y[rows], train.names)
    return World(train, val, test, passages, train_tokenizer(train.texts, "bpe", vocab_size=VOCABULARY))


def episodes(now: World, data: Texts, shots: int, count: int, queries: int = 5) -> Episodes:
    """Episodes of some classes, with passages of the training classes."""
    retriever = Retriever(now.passages.texts, count=count)
    return Episodes(data, now.passages, retriever, now.tokenizer, Shape(shots=shots, queries=queries))


@functools.lru_cache(maxsize=1)
def trained(name: str, root: Path | None, seed: int, epochs: int, count: int) -> RAML:
    """Meta-train on the training classes."""
    now = world(name, root, seed)
    net = meta.warm_up(build(now.tokenizer, seed=seed), now.train, now.tokenizer, epochs=WARM, seed=seed)
    recipe = replace(meta.RECIPE, epochs=epochs, patience=epochs)
    own, held_out = episodes(now, now.train, 5, count, QUERIES), episodes(now, now.val, 5, count)
    return meta.train(net, own, held_out, recipe=recipe, seed=seed)


def tested(flags: Any, now: World, net: RAML, seed: int, *, shuffled: bool) -> Row:
    """Accuracy on the test classes; shuffled: with passages that belong to another query."""
    found: Row = {}
    for shots in SHOTS:
        asked = episodes(now, now.test, shots, flags.views)
        if shuffled:
            asked.shuffle(seed)
        found["test", f"accuracy_{shots}_shot"] = meta.accuracy(net, asked, flags.episodes, seed)
    return found


def floor(flags: Any, now: World, seed: int) -> Row:
    """TF-IDF of the training texts and a linear classifier."""
    found: Row = {}
    for shots in SHOTS:
        asked = episodes(now, now.test, shots, flags.views)
        answer = meta.linear(asked, now.train.texts)
        found["test", f"accuracy_{shots}_shot"] = meta.mean_accuracy(answer, asked, flags.episodes, seed)
    return found


def deleted(flags: Any, now: World, net: RAML, seed: int) -> Row:
    """Forget a class of a memory of all test classes."""
    rng = torch.Generator().manual_seed(seed)
    shape = Shape(ways=len(now.test.y.unique()), shots=5, queries=5)
    episode = meta.draw(now.test, shape, rng)
    support = Texts(tuple(now.test.texts[row] for row in episode.support.tolist()), now.test.y[episode.support],
                    now.test.names)  # fmt: skip
    both = Texts(now.passages.texts + support.texts, torch.cat([now.passages.y, support.y]), support.names)
    library = Library(both, support)
    queries = [now.test.texts[row] for row in episode.query.tolist()]
    gone = int(episode.classes[0])
    own = (now.test.y[episode.query] == gone).nonzero().flatten().tolist()

    def named(memory: Memory) -> float:
        said = memory.classify([queries[row] for row in own])
        return sum(name == support.names[gone] for name in said) / len(own)

    memory = Memory(net, now.tokenizer, library, trained_on=now.train.texts, count=flags.views)
    before = named(memory)
    result = memory.forget(ForgetRequest.of("class", [gone]))
    left = memory.library
    rebuilt = Memory(net, now.tokenizer, left, trained_on=now.train.texts, count=flags.views)
    apart = (memory.logits(queries) - rebuilt.logits(queries)).abs().max()
    texts = {row for found in memory.nearest(queries) for row in found} & set(result.passages.tolist())
    held = int((left.support.y[left.support_ids()] == gone).sum() + (left.passages.y[left.passage_ids()] == gone).sum())
    return {
        ("forget", "in_memory"): float(held + len(texts)),
        ("forget", "named_before"): before,
        ("forget", "named_after"): named(memory),
        ("retain", "to_rebuilt"): float(apart),
        ("all", "exact"): float(result.claim == EXACT),
    }


if __name__ == "__main__":
    raise SystemExit(main())
