"""Digits dealt out to ten clients, a small network trained in rounds, and a request."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from graphforget.federated.clients import Clients, dirichlet
from graphforget.federated.history import History, Upload
from graphforget.federated.rounds import Rounds
from graphforget.federated.task import federated
from graphforget.forget import ForgetRequest, ForgetSplit
from graphforget.samples import Samples, split_rows
from graphforget.splits import Splits
from graphforget.train import TrainRecord, seeded
from graphforget.vision.task import ImageClassification

ROUNDS = Rounds(epochs=10, local_epochs=2, lr=1e-2, batch_size=64, weighting="equal", eval_every=10, keep="updates")
TASK = federated(ImageClassification(), ROUNDS)
REQUESTS = {"client": [1], "class": [3], "sample": list(range(0, 60, 2))}  # sample: places among client 0's rows


class World(NamedTuple):
    """A trained model, the record of its rounds, its data and a request."""

    model: nn.Module
    record: dict
    parts: Splits[Clients[Samples]]
    split: ForgetSplit[Clients[Samples]]


@cache
def digits() -> Splits[Samples]:
    x, y = load_digits(return_X_y=True)
    return split_rows(Samples(torch.tensor(x / 16).float(), torch.tensor(y)), seed=0)


def dealt(clients: int = 10, seed: int = 1) -> Splits[Clients[Samples]]:
    parts = digits()
    ids = dirichlet(parts.train.rows(), parts.train.y, clients, seed=seed)
    return Splits(*(Clients(part, "sample", ids) for part in parts))


def network() -> nn.Module:
    with seeded(0):
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


@cache
def trained() -> tuple[nn.Module, TrainRecord, Splits[Clients[Samples]]]:
    parts, record = dealt(), TrainRecord()
    return TASK.fit(network(), parts.train, parts.val, seed=0, record=record), record, parts


@cache
def world(kind: str = "client") -> World:
    model, record, parts = trained()
    ids = torch.tensor(REQUESTS[kind])
    request = ForgetRequest.of(kind, parts.train.ids[0][ids] if kind == "sample" else ids)
    return World(model, record.notes, parts, ForgetSplit.of(parts.train, request, parts.val))


def scores(model: nn.Module, split: ForgetSplit[Clients[Samples]]) -> tuple[float, float]:
    """(R, U): accuracy on what is retained and on what is forgotten."""
    views = split.retain, split.forget
    return tuple(TASK.evaluate(model, split.retain, view)["accuracy"] for view in views)  # type: ignore[return-value]


def made(states: list[dict[int, list[float]]], start: list[float]) -> tuple[History, list[np.ndarray]]:
    """A record of rounds with given client models of one weight vector, and the global models before each round."""
    history = History({"w": torch.tensor(start, dtype=torch.float64)}, "updates")
    now, seen = torch.tensor(start, dtype=torch.float64), []
    for uploads in states:
        sent = {client: Upload({"w": torch.tensor(w, dtype=torch.float64)}, 1.0) for client, w in uploads.items()}
        seen.append(now.numpy())
        history.add({"w": now}, sent)
        now = torch.stack([each.state["w"] for each in sent.values()]).mean(0)
    return history, seen
