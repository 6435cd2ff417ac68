"""MMRecUN-style unlearning, after the abstract of arXiv:2405.15328 (Sinha, Mandal, Kankanhalli; AAAI 2025).

The abstract names a Reverse BPR objective on what is forgotten and the ordinary BPR on what is retained. The paper has
no pseudo-code; the form below, its weights and its stop rule are ours.

::

    L_rev = mean_{(u,p,n) in D_f} -log sigmoid(y_un - y_up)      forward BPR with p and n swapped: bounded below     (1)
    L_fwd = mean over D_r of the model's own training loss                                                        (2)
    L     = alpha L_rev + (1 - alpha) L_fwd + anchor ||theta - theta_0||^2                                         (3)

Each batch of retained triples meets the next batch of forgotten ones, which cycle. (1) uses the embeddings of
evaluation (FREEDOM's full adjacency), (2) those of training. Negatives of forgotten pairs avoid everything that the
user had in the whole data. Everything propagates on the retained graph.

Stop rule, without gold: after an epoch whose forget recall@20 is no higher than what the data say an unseen pair gets:
the recall of held-out pairs for interactions, that of freshly drawn rows for users and items. Fixed numbers of epochs
over-forget. It also stops when the held-out recall has fallen by more than ``tolerance``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from graphforget.errors import InputError, NotApplicable
from graphforget.task import Batch, evaluating
from graphforget.train import descend
from graphforget.unlearner import Job, Unlearned, Unlearner
from recsys.tables import gone, reset_rows
from recsys.task import Recommendation


@dataclass(frozen=True)
class MMRecUN(Unlearner):
    """Reverse and forward BPR.

    Args:
        alpha: weight of the reverse term, in [0, 1] (our default).
        anchor: weight of the squared distance to the original (our default).
        epochs: at most so many passes over the retained interactions (our default).
        lr: Adam's learning rate (our default).
        stop: stop by the rule above; False runs all epochs.
        tolerance: share of the held-out recall that may be lost (our default).
    """

    alpha: float = 0.1
    anchor: float = 0.0
    epochs: int = 10
    lr: float = 1e-3
    stop: bool = True
    tolerance: float = 0.1

    paper: ClassVar[str] = "arXiv:2405.15328"
    needs: ClassVar[tuple[type, ...]] = (Recommendation,)

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha must lie in [0, 1] (got {self.alpha})")
        if self.anchor < 0:
            raise InputError(f"anchor must not be negative (got {self.anchor})")
        if not 0 <= self.tolerance <= 1:
            raise InputError(f"tolerance must lie in [0, 1] (got {self.tolerance})")

    def _unlearn(self, job: Job) -> Unlearned:
        task, split, context = job.task, job.split, job.split.retain
        if next(iter(task.batches(context, split.gone, None)), None) is None:
            raise NotApplicable("reverse BPR forgets interactions (got a request for values only); use row_reset")
        start = [p.detach().clone() for p in job.model.parameters()]
        forgotten = cycle(job)

        def steps(epoch: int) -> Iterator[Tensor]:
            task.begin_epoch(job.model, context, job.rng)
            for batch in task.batches(context, context, job.rng):
                forward = task.loss(job.model, context, batch)  # (2)
                loss = self.alpha * reverse(job, next(forgotten)) + (1 - self.alpha) * forward  # (1), (3)
                yield loss + self.anchor * drift(job.model, start) if self.anchor else loss

        watch = Watch.of(job, self.tolerance) if self.stop else None
        epochs = descend(
            job.model, steps, epochs=self.epochs, lr=self.lr, after_epoch=watch, title=type(self).__name__.lower()
        )
        if watch is not None:
            job.notes.update(watch.notes())
        job.notes["epochs"] = epochs
        return Unlearned(job.model, context, {})


def reverse(job: Job, batch: Batch) -> Tensor:
    """(1) of triples, on the embeddings of evaluation."""
    with evaluating(job.model):
        outputs = job.task.outputs(job.model, job.split.retain, batch)
    return F.softplus(outputs[:, 0] - outputs[:, 1]).mean()


def cycle(job: Job) -> Iterator[Batch]:
    """Batches of forgotten triples without end, shuffled and with fresh negatives each round."""
    while True:
        yield from job.task.batches(job.split.retain, job.split.gone, job.rng)


def drift(model: torch.nn.Module, start: list[Tensor], weights: list[Tensor] | None = None) -> Tensor:
    """sum_k w_k (theta_k - theta_0,k)^2; weights of one where none are given."""
    terms = []
    for k, (parameter, value) in enumerate(zip(model.parameters(), start, strict=True)):
        square = (parameter - value).square()
        terms.append((square if weights is None else weights[k] * square).sum())
    return torch.stack(terms).sum()


@dataclass
class Watch:
    """The stop rule; callable after each epoch.

    Args:
        job: what is being unlearned.
        target: stop when the forget recall is no higher.
        least: stop when the held-out recall is lower.
        reason: why it stopped.
    """

    job: Job
    target: float
    least: float
    reason: str = "epochs"
    recall: float = float("nan")

    @classmethod
    def of(cls, job: Job, tolerance: float) -> Watch:
        """Find the target on the retained and held-out data."""
        task, split = job.task, job.split
        held_out = recall(task, job.original, split, split.held_out)
        return cls(job, unseen_recall(job), (1 - tolerance) * held_out)

    def __call__(self, epoch: int, loss: float) -> bool:
        """Return True when it is time to stop."""
        task, split = self.job.task, self.job.split
        self.recall = recall(task, self.job.model, split, split.gone)
        if self.recall <= self.target:
            self.reason = "forgotten"
        elif recall(task, self.job.model, split, split.held_out) < self.least:
            self.reason = "utility"
        return self.reason != "epochs"

    def notes(self) -> dict[str, Any]:
        """For the record: why it stopped, and at which recall."""
        return {"stopped": self.reason, "stop_target": self.target, "stop_recall": self.recall}


def recall(task: Any, model: torch.nn.Module, split: Any, view: Any) -> float:
    """Recall of a view's interactions on the retained graph."""
    return float(task.evaluate(model, split.retain, view)[f"recall@{task.cut}"])


def unseen_recall(job: Job) -> float:
    """The recall that the forgotten interactions would have, had the model never seen them: estimated without gold.

    For single interactions it is the recall of held-out pairs; where users or items go, that of the original with their
    rows drawn anew, on the retained graph.
    """
    task, split = job.task, job.split
    users, items = gone(split.data, split.retain)
    if not len(users) and not len(items):
        return recall(task, job.original, split, split.held_out)
    blank = copy.deepcopy(job.original)
    own = getattr(blank, "reset_rows", None)
    if callable(own):
        own(users, items)
    else:
        reset_rows(blank, task.fresh(job.original, job.seed + 1), split.data, users, items)
    return recall(task, blank, split, split.gone)
