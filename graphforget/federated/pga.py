"""PGA, projected gradient ascent (Halimi et al., arXiv:2207.05521), as IBM/federated-unlearning's notebook runs it.

The leaving client climbs the loss of its own data near a model that knows the others only; rounds without it follow::

    w_ref   = ( W w^T - n_i w_i^T ) / ( W - n_i )        the other clients' last models averaged            (1)
    delta   = 1/3 mean over 10 random initialisations of || w_ref - w_random ||^2                           (2)
    w <- w_ref;  ascend the loss of client i's data by SGD, gradients clipped to norm 5                     (3)
    where || w - w_ref ||^2 > delta: w <- w_ref + sqrt(delta) (w - w_ref) / || w - w_ref ||                 (4)
    stop where || w - w_i ||^2 > 2.2, or after 5 epochs

All distances are squared, as in the notebook. n_i weighs client i in the last round, W is the sum of all weights; with
equal weights (1) is N/(N-1) w^T - 1/(N-1) w_i. Several clients that leave together climb together, and w_i is the mean
of their models. Buffers stay those of w^T (our default; the notebook's network has none). ``rounds=10`` is the
notebook's; the accuracy is back after one or two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from graphforget.errors import InputError
from graphforget.federated import rounds
from graphforget.federated.history import State, history_of, leaving
from graphforget.federated.task import Federated
from graphforget.task import Task
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class PGA(Unlearner):
    """Climb the leaving client's loss inside a ball around the others' model, then run rounds without it.

    Args:
        lr: of the ascent.
        momentum: of the ascent.
        clip: largest norm of a gradient.
        epochs: passes over the leaving client's data, at most.
        distance: squared distance to the client's own model at which the ascent stops.
        radius: share of the mean squared distance to random models that is delta.
        models: random models that it is measured on.
        rounds: after the ascent, without the leaving clients.
    """

    lr: float = 0.01
    momentum: float = 0.9
    clip: float = 5.0
    epochs: int = 5
    distance: float = 2.2
    radius: float = 1 / 3
    models: int = 10
    rounds: int = 10

    paper: ClassVar[str] = "arXiv:2207.05521"
    needs: ClassVar[tuple[type, ...]] = (Federated,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        for name in ("clip", "distance", "radius", "models"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive (got {getattr(self, name)})")
        if self.rounds < 0:
            raise InputError(f"rounds must not be negative (got {self.rounds})")

    def _unlearn(self, job: Job) -> Unlearned:
        history = history_of(job.record, type(self).__name__)
        gone = leaving(job.split, history, type(self).__name__)
        task: Federated = job.task  # type: ignore[assignment]
        last = {client: upload for client, upload in history.last.items() if client in gone}
        total = sum(upload.weight for upload in history.last.values())
        if last and total <= sum(upload.weight for upload in last.values()):
            raise InputError("PGA needs another client in the last round (got only leaving ones); train one more round")
        center, own = reference(job.model, {c: (u.state, u.weight) for c, u in last.items()}, total)
        delta = self.radius * _to_random(task, job, center, self.models)
        job.notes["steps"] = self._ascend(job, center, own, delta)
        clients, rest = job.split.retain, history.without(gone)
        if self.rounds:
            rounds.run(
                job.model, rounds.weights(clients), task.local(clients, job.rng), task.recipe,
                rng=job.rng, history=rest, rounds=self.rounds, title="pga",
            )  # fmt: skip
        return Unlearned(job.model, clients, {"history": rest})

    def _ascend(self, job: Job, center: list[Tensor], own: list[Tensor], delta: Tensor) -> int:
        """(3) and (4) on the job's model; returns the number of steps."""
        task, model, context = job.task, job.model, job.split.forget
        put(model, center)
        weights = list(model.parameters())

        def project() -> None:
            far = distance(weights, center)
            if far > delta:
                with torch.no_grad():
                    for weight, at in zip(weights, center, strict=True):
                        weight.copy_(at + (weight - at) * (delta / far).sqrt())

        batches = [batch for _ in range(self.epochs) for batch in task.batches(context, context, job.rng)]

        def steps(step: int) -> Iterator[Tensor]:
            yield -task.loss(model, context, batches[step])

        return descend(
            model, steps, epochs=len(batches), lr=self.lr, momentum=self.momentum, clip=self.clip, after_step=project,
            after_epoch=lambda step, loss: bool(distance(weights, own) > self.distance), title="pga: ascent",
        )  # fmt: skip


def reference(
    model: nn.Module, last: dict[int, tuple[State, float]], total: float
) -> tuple[list[Tensor], list[Tensor]]:
    """(w_ref, w_i): the others' last models averaged, and the leaving clients' own; equation (1).

    Args:
        model: the global model after the last round.
        last: leaving client -> (its last model, its weight in the average).
        total: weight of all clients of the last round.
    """
    share = sum(weight for _, weight in last.values())
    center, own = [], []
    for name, value in model.named_parameters():
        gone = sum((state[name].to(value.device) * weight for state, weight in last.values()), torch.zeros_like(value))
        center.append(((total * value - gone) / (total - share)).detach())
        own.append((gone / share).detach() if last else value.detach().clone())
    return center, own


def distance(weights: list[Tensor] | list[nn.Parameter], other: list[Tensor]) -> Tensor:
    """Squared L2 distance of two sets of weights."""
    return torch.stack([(a.detach() - b).square().sum() for a, b in zip(weights, other, strict=True)]).sum()


def put(model: nn.Module, values: list[Tensor]) -> None:
    """Set a model's parameters."""
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), values, strict=True):
            parameter.copy_(value)


def _to_random(task: Task[Any], job: Job, center: list[Tensor], models: int) -> Tensor:
    """Mean squared distance of random initialisations to w_ref; (2) without its factor."""
    drawn = [task.fresh(job.original, job.seed + number) for number in range(models)]
    return torch.stack([distance(list(model.parameters()), center) for model in drawn]).mean()
