"""RESTOR and TOFU made ready for small models: token rows, a tokenizer trained on them, anti-samples, refusals.

The slices are ours: of RESTOR the 258 facts of its 50 evaluated entities in six relations with short answers, of TOFU
the questions on the twenty authors of forget10 whose answers have at most twenty words, beside TOFU's questions on real
authors and on the world, which a model from a configuration has to be told as well (groups from GENERAL on). What no
model is trained on (held-out and test) is of other entities and authors.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import torch

from graphforget.errors import unknown
from graphforget.llm import prompts
from graphforget.llm.antisamples import Known, Table
from graphforget.llm.data import CLOSED, DATASETS, Fact, TofuRow, load_facts, load_tofu
from graphforget.llm.tokens import encode, normal, train_tokenizer
from graphforget.samples import Samples
from graphforget.splits import Splits

UNSEEN = 60  # rows for held-out, and as many for the test
WORDS = 20  # of an answer of TOFU, at most
GENERAL = 1000  # groups of general knowledge begin here, in this order:
KNOWLEDGE = ("real_authors_perturbed", "world_facts_perturbed")


class Corpus(NamedTuple):
    """A data set made ready.

    Args:
        splits: what models train on, choose by, and have never seen; groups are entities or authors.
        tokenizer: trained on the questions, answers, paraphrases and wrong answers.
        table: anti-samples of every question that is trained on.
        refusals: other answers, for DPO.
    """

    splits: Splits[Samples]
    tokenizer: Any
    table: Table
    refusals: tuple[str, ...]


@lru_cache(maxsize=4)
def load_corpus(name: str = "restor", root: str | PathLike[str] | None = None, seed: int = 0) -> Corpus:
    """Read a data set and make it ready.

    Args:
        name: ``restor`` or ``tofu``.
        root: data folder; else the environment variable GRAPHFORGET_DATA, else the cache.
        seed: which rows of others are held out and which are the test.

    Raises:
        InputError: an unknown name, or files missing or broken.
    """
    if name not in DATASETS:
        raise unknown("question-answer data set", name, tuple(DATASETS))
    return _restor(root, seed) if name == "restor" else _tofu(root, seed)


def _restor(root: str | PathLike[str] | None, seed: int) -> Corpus:
    world = load_facts(root)
    own, others = (world.select(evaluated=each, relations=CLOSED) for each in (True, False))
    objects = {key: tuple(dict.fromkeys(f.answers[0] for f in own if f.relation == key)) for key in CLOSED}
    known = {
        normal(fact.question): Known(
            tuple(each.format(entity=fact.entity) for each in prompts.REWORDED[fact.relation]),
            tuple(each for each in objects[fact.relation] if each not in fact.answers),
        )
        for fact in own
    }
    groups = [world.evaluated.index(fact.entity) for fact in own]
    unseen = _drawn(others, seed)

    def pair(fact: Fact) -> tuple[str, str]:
        return fact.question, fact.answers[0]

    return _ready([pair(f) for f in own], [pair(f) for f in unseen], groups, Table(known))


def _tofu(root: str | PathLike[str] | None, seed: int) -> Corpus:
    every = load_tofu("forget10_perturbed", root)
    chosen = [place for place, row in enumerate(every) if _short(row)]
    own = [every[place] for place in chosen]
    groups = [place // 20 for place in chosen]
    for number, part in enumerate(KNOWLEDGE):
        told = load_tofu(part, root)
        own += told
        groups += [GENERAL + number] * len(told)
    unseen = _drawn([row for row in load_tofu("retain_perturbed", root) if _short(row)], seed)
    known = {normal(row.question): Known((row.reworded,), row.perturbed, row.paraphrased) for row in own}
    pairs, others = ([(row.question, row.answer) for row in rows] for rows in (own, unseen))
    return _ready(pairs, others, groups, Table(known))


def _ready(
    own: list[tuple[str, str]],
    unseen: list[tuple[str, str]],
    groups: list[int],
    table: Table,
) -> Corpus:
    """Train the tokenizer and encode the rows, those that are trained on first."""
    texts = [*prompts.REFUSALS, *prompts.FRAMES, table.rationale]
    texts += [text for pair in (*own, *unseen) for text in pair]
    texts += [text for known in table.known.values() for text in (*known.reworded, *known.wrong, known.right)]
    tokenizer = train_tokenizer(texts)
    rows = encode(tokenizer, own + unseen, groups=groups + [-1] * len(unseen))
    place = torch.arange(len(rows.x))
    val = (place >= len(own)) & (place < len(own) + len(unseen) // 2)
    splits = Splits(rows.view(place < len(own)), rows.view(val), rows.view((place >= len(own)) & ~val))
    return Corpus(splits, tokenizer, table, prompts.REFUSALS)


def _drawn(rows: Sequence[Any], seed: int) -> list[Any]:
    order = np.random.default_rng(seed).permutation(len(rows))[: 2 * UNSEEN]
    return [rows[place] for place in order]


def _short(row: TofuRow) -> bool:
    return len(row.answer.split()) <= WORDS
