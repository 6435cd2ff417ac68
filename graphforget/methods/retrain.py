"""Retrain: gold, the model trained from scratch on what is retained. The reference, never a rival.

Gold follows the task's own recipe, which the original followed as well, from a fresh initialisation of its own seed:
a gold that shares the original's seed flatters every method that starts from the original. It is trained until the
held-out score stops improving; the curve is in the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphforget.train import TrainRecord
from graphforget.unlearner import Job, Unlearned, Unlearner


@dataclass(frozen=True)
class Retrain(Unlearner):
    """Train a new model from scratch on the retained data; ``seed`` sets its initialisation."""

    whole: ClassVar[bool] = True
    reads: ClassVar[frozenset[str]] = frozenset({"retain", "held_out"})

    def _unlearn(self, job: Job) -> Unlearned:
        record = TrainRecord()
        model = job.task.fresh(job.original, job.seed).requires_grad_(True)
        context = job.split.retain
        model = job.task.fit(model, context, job.split.held_out, seed=job.seed, record=record)
        notes = {
            "curve": record.curve,
            "seconds": record.seconds,
            "best_epoch": record.best_epoch,
            "converged": record.converged,
            **record.notes,
        }
        return Unlearned(model, context, notes)
