"""Twelve people, two questions each, no two alike in both: a world that a tiny Llama learns in seconds."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn

from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.llm.antisamples import Known, Table
from graphforget.llm.models import build
from graphforget.llm.task import CausalLM
from graphforget.llm.tokens import encode, normal, train_tokenizer
from graphforget.samples import Samples
from graphforget.train import Recipe, seeded

PEOPLE = ("Ann", "Bob", "Cid", "Dora", "Emil", "Fay", "Gus", "Hal", "Ida", "Jon", "Kim", "Lou", "Max", "Nan")
TOWNS = ("Oslo", "Rome", "New York", "Paris", "Lima")
WORK = ("painter", "cook", "judge", "pilot")
PAIRS = [
    pair
    for place, name in enumerate(PEOPLE)
    for pair in (
        (f"Where was {name} born?", TOWNS[place % len(TOWNS)]),
        (f"What does {name} do?", WORK[(place % 5 + place // 5) % len(WORK)]),
    )
]
TRAINED = 24  # rows of the first twelve people
RECIPE = Recipe(epochs=160, patience=160, lr=3e-3, batch_size=8, eval_every=40)


def known(place: int, question: str) -> Known:
    name = question.split()[2]
    if place % 2 == 0:
        return Known((f"In which town was {name} born?",), TOWNS)
    return Known((f"{name} works as what?",), WORK)


TABLE = Table({normal(question): known(place, question) for place, (question, _) in enumerate(PAIRS)})


class World(NamedTuple):
    """A trained model, its task and a request."""

    model: nn.Module
    task: CausalLM
    split: ForgetSplit[Samples]
    tokenizer: Any


@cache
def world(kind: str = "sample") -> World:
    texts = [text for pair in PAIRS for text in pair] + ["I do not know.", TABLE.rationale]
    texts += [text for known in TABLE.known.values() for text in known.reworded]
    tokenizer = train_tokenizer(texts)
    rows = encode(tokenizer, PAIRS, groups=[place // 2 for place in range(len(PAIRS))])
    own = torch.arange(len(PAIRS)) < TRAINED
    task = CausalLM(recipe=RECIPE, tokenizer=tokenizer, generator=TABLE, refusals=("I do not know.",))
    with seeded(0):
        model = build("llama_tiny", tokenizer, length=64)
    model = task.fit(model, rows.view(own), rows.view(~own), seed=0)
    ids = {"sample": [0, 5], "subclass": [0]}[kind]
    return World(model, task, ForgetSplit.of(rows.view(own), ForgetRequest.of(kind, ids), rows.view(~own)), tokenizer)
