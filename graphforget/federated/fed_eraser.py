"""FedEraser (Liu et al., IWQoS 2021): replay the rounds without the leaving clients, each step calibrated.

The server has kept every client's update of every round. From the initial model on, the others train a little from the
*new* global model; their update gives the direction, the kept one the length, layer by layer::

    theta <- theta + || u_t || v_t / || v_t ||                                                              (1)

    u_t: the kept updates of round t, v_t: the new ones, both averaged over the clients that stay

The first round is taken as it was kept, without the leaving clients: it began at the same model. A layer that does not
move (|| v_t || = 0) stays; buffers are those of the calibration. A round in which only the leaving clients took part
has nothing to replay. The new record holds the new updates, so that the next request can be served from it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphforget.errors import InputError
from graphforget.federated import rounds
from graphforget.federated.history import History, State, Upload, floating, history_of, leaving
from graphforget.federated.rounds import Local
from graphforget.federated.task import Federated
from graphforget.train import bar
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class FedEraser(Unlearner):
    """Replay the rounds without the leaving clients, with calibrated updates.

    Args:
        epochs: local passes of a calibration.
    """

    epochs: int = 1

    needs: ClassVar[tuple[type, ...]] = (Federated,)
    reads: ClassVar[frozenset[str]] = frozenset({"retain"})

    def _unlearn(self, job: Job) -> Unlearned:
        history = history_of(job.record, type(self).__name__)
        gone = leaving(job.split, history, type(self).__name__)
        kept = _kept(history)
        task: Federated = job.task  # type: ignore[assignment]
        train, clients = Local(task.inner, task.recipe, job.rng), job.split.retain
        layers = [name for name, _ in job.model.named_parameters(remove_duplicate=False)]
        state = {name: value.detach().clone() for name, value in history.start.items()}
        renewed = History(history.start, "updates")
        with bar("fed eraser", len(kept)) as advance:
            for number, uploads in enumerate(kept):
                old = {client: upload for client, upload in uploads.items() if client not in gone}
                if old and number:
                    sent = {}
                    for client, upload in old.items():
                        local = copy.deepcopy(job.model)
                        local.load_state_dict(state)
                        train(local, clients.part(client), self.epochs)
                        sent[client] = Upload(local.state_dict(), upload.weight)
                    good, bad = rounds.usable(state, sent, number)
                    rounds.report(bad, renewed)
                    new = {client: Upload(difference(each.state, state), each.weight) for client, each in good.items()}
                    steps = calibrated(old, new, layers, number)
                else:
                    steps = old
                if steps:
                    moved = {client: Upload(added(state, each.state), each.weight) for client, each in steps.items()}
                    renewed.add(state, moved)
                    state = rounds.average(state, moved, number)
                advance()
        job.model.load_state_dict(state)
        return Unlearned(job.model, clients, {"history": renewed})


def calibrated(
    old: Mapping[int, Upload], new: Mapping[int, Upload], layers: list[str], number: int = 0
) -> dict[int, Upload]:
    """The new updates, scaled so that their average is the step of equation (1).

    Args:
        old: the kept updates of the clients that stay.
        new: their new ones.
        layers: names of the parameters; what else is in an update is taken as it is.
        number: of the round, for the message.

    Example:
        >>> old = {0: Upload({"w": torch.tensor([3.0, 4.0])}, 1.0)}
        >>> new = {0: Upload({"w": torch.tensor([0.0, 1.0])}, 1.0)}
        >>> calibrated(old, new, ["w"])[0].state["w"].tolist()
        [0.0, 5.0]
    """
    before, after = (_mean(each, number) for each in (old, new))
    scale = {}
    for name in layers:
        length = after[name].norm()
        scale[name] = torch.where(length > 0, before[name].norm() / length.clamp(min=1e-30), 0.0)
    return {
        client: Upload({name: value * scale.get(name, 1.0) for name, value in each.state.items()}, each.weight)
        for client, each in new.items()
    }


def difference(state: State, before: State) -> dict[str, Tensor]:
    """The update that leads from ``before`` to ``state``."""
    return {name: state[name] - before[name] for name in floating(before)}


def added(state: State, step: State) -> dict[str, Tensor]:
    """A state moved by an update; counters stay."""
    return {name: value + step[name].to(value.device) if name in step else value for name, value in state.items()}


def _mean(uploads: Mapping[int, Upload], number: int) -> dict[str, Tensor]:
    return rounds.average(next(iter(uploads.values())).state if uploads else {}, uploads, number)


def _kept(history: History) -> list[dict[int, Upload]]:
    if history.keep != "updates" or len(history.updates) != history.rounds:
        raise InputError(
            f"FedEraser needs the updates of all {history.rounds} rounds (got {len(history.updates)}); train with "
            'Rounds(keep="updates")'
        )
    return history.updates
