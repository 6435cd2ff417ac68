"""Federated rounds in one process: FedAvg, and FedProx with its proximal term.

::

    round t:  every chosen client n trains from theta^{t-1} on its own data -> theta_n^t               (local training)
              theta^t = sum_n w_n theta_n^t / sum_n w_n            w_n = elements of n, or 1            (average)

FedProx (Li et al., arXiv:1812.06127) adds ``mu / 2 ||theta - theta^{t-1}||^2`` to the loss of every local step. An
update that has another shape than the model, or holds NaN or infinity, is quarantined: it is named in the record and in
the log, and the round goes on without it. A round without any update left is an error.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from graphforget.errors import Diverged, InputError, unknown
from graphforget.federated.clients import Clients
from graphforget.federated.history import KEEPS, History, Quarantined, State, Upload, floating
from graphforget.task import Task
from graphforget.train import Recipe, bar, descend

log = logging.getLogger(__name__)

WEIGHTINGS = ("samples", "equal", "moved")


@dataclass(frozen=True)
class Rounds(Recipe):
    """How a federated model is trained.

    Args:
        epochs: rounds, at most.
        patience: stop after so many rounds without a better held-out score. The weights are those of the last round.
        lr: of the local training.
        weight_decay: of the local training.
        batch_size: elements a local step.
        eval_every: rounds between two looks at the held-out data.
        local_epochs: passes of a client over its data in a round.
        momentum: of local SGD, which then stands in for Adam.
        proximal: mu of FedProx; 0 is FedAvg.
        fraction: share of the clients that take part in a round.
        weighting: ``samples`` (FedAvg, arXiv:1602.05629), ``equal``, or ``moved``: every entry is averaged over the
            clients that moved it, for tables of which a client touches a few rows (recommenders; our default there).
        keep: what is recorded: ``nothing``, ``contributions`` or ``updates`` as well (FedEraser needs them).
    """

    epochs: int = 20
    patience: int = 1000
    lr: float = 1e-3
    batch_size: int | None = 32
    eval_every: int = 5
    local_epochs: int = 1
    momentum: float | None = None
    proximal: float = 0.0
    fraction: float = 1.0
    weighting: str = "samples"
    keep: str = "contributions"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.local_epochs < 1:
            raise InputError(f"local_epochs must be at least 1 (got {self.local_epochs})")
        if self.proximal < 0:
            raise InputError(f"proximal must not be negative (got {self.proximal})")
        if not 0 < self.fraction <= 1:
            raise InputError(f"fraction must lie in (0, 1] (got {self.fraction})")
        if self.weighting not in WEIGHTINGS:
            raise unknown("weighting", self.weighting, WEIGHTINGS)
        if self.keep not in KEEPS:
            raise unknown("record", self.keep, KEEPS)


class Local(NamedTuple):
    """Local training, ready to run.

    Args:
        task: the domain's task.
        recipe: how long and how fast.
        rng: random stream.
    """

    task: Task[Any]
    recipe: Rounds
    rng: torch.Generator

    def __call__(self, model: nn.Module, part: Any, epochs: int | None = None) -> float:
        """Train a model in place on a client's part; return the mean loss of the last epoch."""
        task, recipe, losses = self.task, self.recipe, [0.0]
        start = [p.detach().clone() for p in model.parameters()] if recipe.proximal else []

        def steps(epoch: int) -> Iterator[Tensor]:
            task.begin_epoch(model, part, self.rng)
            for batch in task.batches(part, part, self.rng):
                loss = task.loss(model, part, batch)
                if start:
                    pull = sum((p - q).square().sum() for p, q in zip(model.parameters(), start, strict=True))
                    loss = loss + recipe.proximal / 2 * pull
                yield loss

        def after(epoch: int, loss: float) -> bool:
            losses[0] = loss
            return False

        descend(
            model, steps, epochs=epochs or recipe.local_epochs, lr=recipe.lr, weight_decay=recipe.weight_decay,
            momentum=recipe.momentum, after_epoch=after,
        )  # fmt: skip
        return losses[0]


Train = Callable[[nn.Module, int], float]  # trains a copy of the global model as a client does; returns its loss


def run(
    model: nn.Module,
    clients: Mapping[int, float],
    train: Train,
    recipe: Rounds,
    *,
    rng: torch.Generator,
    history: History | None = None,
    after: Callable[[int, float], bool] | None = None,
    rounds: int | None = None,
    title: str = "",
) -> int:
    """Run rounds on a model in place.

    Args:
        model: the global model.
        clients: client -> its weight in the average.
        train: what a client does with its copy of the global model.
        recipe: how many rounds, who takes part, how updates are weighed.
        rng: of the clients that are drawn.
        history: written to, when given.
        after: called with (round, mean local loss); True stops.
        rounds: instead of the recipe's.
        title: shown beside the progress bar.

    Returns:
        The number of rounds run.

    Raises:
        Diverged: a round in which no client's update could be used.
        InputError: nobody holds data.
    """
    total, names = rounds or recipe.epochs, sorted(clients)
    if not names:
        raise InputError("no client holds anything to learn from; give at least one client data")
    done = 0
    with bar(title, total) as advance:
        for number in range(total):
            drawn = torch.randperm(len(names), generator=rng)[: max(1, round(recipe.fraction * len(names)))]
            chosen = names if recipe.fraction == 1 else sorted(names[k] for k in drawn.tolist())
            before = {name: value.detach().clone() for name, value in model.state_dict().items()}
            uploads, losses, bad = {}, [], []
            for client in chosen:
                local = copy.deepcopy(model)
                try:
                    losses.append(train(local, client))
                except Diverged as error:
                    bad.append(Quarantined(number, client, str(error)))
                    continue
                uploads[client] = Upload(local.state_dict(), 1.0 if recipe.weighting == "equal" else clients[client])
            good, worse = usable(before, uploads, number)
            report(bad + worse, history)
            model.load_state_dict(average(before, good, number, moved=recipe.weighting == "moved"))
            if history is not None and recipe.keep != "nothing":
                history.add(before, good)
            advance()
            done = number + 1
            if after is not None and after(number, sum(losses) / max(len(losses), 1)):
                break
    return done


def usable(before: State, uploads: Mapping[int, Upload], number: int) -> tuple[dict[int, Upload], list[Quarantined]]:
    """Part uploads from those that are quarantined.

    Args:
        before: the global model of the round.
        uploads: client -> what it sent.
        number: of the round.

    Example:
        >>> start = {"w": torch.zeros(2)}
        >>> sent = {0: Upload({"w": torch.ones(2)}, 1.0), 1: Upload({"w": torch.ones(3)}, 1.0)}
        >>> good, bad = usable(start, sent, 0)
        >>> list(good), bad[0].client, bad[0].reason
        ([0], 1, 'w must have shape [2] (got [3])')
    """
    good, bad = {}, []
    for client, upload in uploads.items():
        reason = _fault(before, upload)
        if reason:
            bad.append(Quarantined(number, client, reason))
        else:
            good[client] = upload
    return good, bad


def _fault(before: State, upload: Upload) -> str:
    """Why an upload cannot be used; empty where it can."""
    if odd := sorted(before.keys() ^ upload.state.keys()):
        return f"its weights have other names than the model's (first: {odd[0]})"
    for name, value in upload.state.items():
        if value.shape != before[name].shape:
            return f"{name} must have shape {list(before[name].shape)} (got {list(value.shape)})"
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return f"{name} holds NaN or infinity"
    return "" if upload.weight > 0 else f"its weight must be positive (got {upload.weight})"


def report(bad: list[Quarantined], history: History | None) -> None:
    """Name what was left out, in the log and in the record."""
    for each in bad:
        log.warning("round %d: the update of client %d is left out: %s", each.round, each.client, each.reason)
    if history is not None:
        history.quarantined += bad


def average(before: State, uploads: Mapping[int, Upload], number: int = 0, *, moved: bool = False) -> dict[str, Tensor]:
    """Average uploads by their weights; counters are averaged and rounded.

    Args:
        before: the global model of the round.
        uploads: client -> what it sent.
        number: of the round, for the message.
        moved: average every entry over the clients that moved it; nobody moved it, and it stays.

    Raises:
        Diverged: there is no upload.

    Example:
        >>> sent = {0: Upload({"w": torch.tensor([1.0])}, 1.0), 1: Upload({"w": torch.tensor([4.0])}, 2.0)}
        >>> average({"w": torch.zeros(1)}, sent)["w"].tolist()
        [3.0]
    """
    if not uploads:
        raise Diverged(f"round {number}: no client's update could be used; see the warnings for each client's reason")
    weight = torch.tensor([each.weight for each in uploads.values()], dtype=torch.float64)
    found = {}
    for name, old in before.items():
        stack = torch.stack([each.state[name] for each in uploads.values()]).double()
        share = weight.to(stack.device).view(-1, *[1] * old.dim()).expand_as(stack)
        if moved and name in floating(before):
            share = torch.where(stack != old.double(), share, 0.0)
        total = share.sum(0)
        mean = torch.where(total > 0, (share * stack).sum(0) / total.clamp(min=1e-300), old.double())
        found[name] = (mean if old.is_floating_point() else mean.round()).to(old.dtype)
    return found


def weights(clients: Clients[Any]) -> dict[int, float]:
    """Client -> number of its elements, of everybody who holds some."""
    return {client: float(clients.size(client)) for client in clients.present}
