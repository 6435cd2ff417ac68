"""FedAF-style: federated unlearning by active forgetting. A reconstruction, not the paper's equations.

Of "Class-wise Federated Unlearning: Harnessing Active Forgetting with Teacher-Student Memory Generation" (Li, Zhang,
Liu, Chen; arXiv:2307.03363) we have the abstracts only, and no code is known. They say: untrained models as teachers
give the target data new memories; a refined elastic weight consolidation preserves the rest; both run inside ordinary
rounds, without any record of the past. What follows is ours::

    y~(x)    = 1/R sum_r softmax(g_r(x)),  g_r untrained, x in the target data                              (1)
    F_i      = mean over the retained elements of (d loss / d theta_i)^2, one gradient an element           (2)
    L(theta) = mean_x KL( y~(x) || f_theta(x) ) + lambda / 2 sum_i F_i (theta_i - theta*_i)^2               (3)

In every round each client that holds target data minimises (3), each client that retains data trains on it as usual (a
client that holds both trains first and forgets then), and the server averages. theta* is where a client's forgetting
starts. F is a *mean*: lambda has no meaning without that. Every number is our default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from graphforget.errors import InputError, NotApplicable
from graphforget.federated import rounds
from graphforget.federated.task import Federated
from graphforget.task import Ask, Batch, Task, evaluating
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class FedAFStyle(Unlearner):
    """Overwrite what the model says of the target data with untrained models' answers, inside rounds (reconstruction).

    Args:
        teachers: R.
        anchor: lambda, of a mean Fisher information.
        epochs: local passes over the target data in a round.
        lr: Adam's learning rate in them.
        batch_size: target elements a step.
        fisher: retained elements that F is measured on, evenly spaced.
        rounds: after the request.
    """

    teachers: int = 5
    anchor: float = 1e4
    epochs: int = 10
    lr: float = 1e-3
    batch_size: int = 32
    fisher: int = 256
    rounds: int = 5

    paper: ClassVar[str] = "arXiv:2307.03363"
    needs: ClassVar[tuple[type, ...]] = (Federated,)
    reads: ClassVar[frozenset[str]] = frozenset({"forget", "retain"})

    def __post_init__(self) -> None:
        for name in ("teachers", "batch_size", "fisher", "rounds"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1 (got {getattr(self, name)})")
        if self.anchor < 0:
            raise InputError(f"anchor must not be negative (got {self.anchor})")

    def _unlearn(self, job: Job) -> Unlearned:
        task: Federated = job.task  # type: ignore[assignment]
        retain, forget = job.split.retain, job.split.forget
        if task.elements(retain, forget).label.is_floating_point():
            raise NotApplicable("FedAF gives new answers of classes (got real-valued targets); use finetune")
        untrained = [task.fresh(job.original, job.seed + number) for number in range(self.teachers)]
        importance = fisher(task, job.model, retain, self.fisher)
        ordinary = task.local(retain, job.rng)
        held = rounds.weights(retain)
        targets = {client: float(forget.size(client)) for client in forget.present}

        def train(model: nn.Module, client: int) -> float:
            loss = ordinary(model, client) if client in held else 0.0
            if client in targets:
                start = [p.detach().clone() for p in model.parameters()]
                part = forget.part(client)
                for batch in task.inner.batches(part, part, None):
                    goal = memories([task.inner.teacher(g, part) for g in untrained], batch)
                    self._forget(job, task.inner, model, part, batch, goal, start, importance)
            return loss

        weight = {client: held.get(client, 0.0) + targets.get(client, 0.0) for client in held.keys() | targets.keys()}
        rounds.run(job.model, weight, train, task.recipe, rng=job.rng, rounds=self.rounds, title="fedaf")
        return Unlearned(job.model, retain, {})

    def _forget(
        self,
        job: Job,
        task: Task[Any],
        model: nn.Module,
        part: Any,
        batch: Batch,
        goal: Tensor,
        start: list[Tensor],
        importance: list[Tensor],
    ) -> None:
        """Minimise (3) on one client's target data."""

        def steps(epoch: int) -> Iterator[Tensor]:
            for rows in torch.randperm(batch.size, generator=job.rng).to(batch.label.device).split(self.batch_size):
                found = task.outputs(model, part, batch.take(rows)).log_softmax(1)
                new = F.kl_div(found, goal[rows].to(found), reduction="batchmean")
                pairs = zip(model.parameters(), start, importance, strict=True)
                hold = sum(((p - q).square() * f).sum() for p, q, f in pairs)
                yield new + self.anchor / 2 * hold  # (3)

        descend(model, steps, epochs=self.epochs, lr=self.lr)


def memories(teachers: Sequence[Ask], batch: Batch) -> Tensor:
    """[B, C] the mean of what untrained models answer; equation (1)."""
    return torch.stack([ask(batch).softmax(1) for ask in teachers]).mean(0)


def fisher(task: Task[Any], model: nn.Module, view: Any, count: int) -> list[Tensor]:
    """The diagonal Fisher information of each parameter: the mean over elements of squared gradients; equation (2).

    Args:
        task: how the model runs.
        model: in eval mode for this; its gradients are left empty.
        view: the elements; context as well.
        count: at most so many of them, evenly spaced.
    """
    batch = task.elements(view, view)
    rows = torch.linspace(0, batch.size - 1, min(count, batch.size)).round().long().to(batch.label.device)
    parameters = list(model.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    with evaluating(model):
        for row in rows:
            loss = task.loss(model, view, batch.take(row[None]))
            found = torch.autograd.grad(loss, parameters, materialize_grads=True)
            total = [old + g.square() for old, g in zip(total, found, strict=True)]
    return [value / len(rows) for value in total]
